"""From torch to a small ONNX network.

Matrix products run in integers: weights in bytes with a scale per column, activations quantised as
they come (ONNX Runtime's dynamic quantisation). That scales all rows of an activation alike, so a
neighbour in a batch would change a score: the backend runs one thread at a time. And within a
thread a few tokens have activations far larger than the others, which would be rounded away: the
products scale each row to one before, and back after.
"""

from __future__ import annotations

import logging
import warnings
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from intimacy.backends import OUTPUTS, runtime
from intimacy.training.model import ThreadModel

_INPUTS = ("input_ids", "attention_mask", "segments")


class _ByteEmbedding(nn.Module):
    """An embedding table in bytes with one scale a row."""

    def __init__(self, source: nn.Embedding) -> None:
        super().__init__()
        weight = source.weight.detach()
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
        self.register_buffer("rows", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        return self.rows[ids].float() * self.scale[ids]  # type: ignore[index]


class _RowScaled(nn.Module):
    """A linear layer whose input rows all have the same largest magnitude when it is quantised."""

    def __init__(self, source: nn.Linear) -> None:
        super().__init__()
        self.product = nn.Linear(source.in_features, source.out_features, bias=False)
        self.product.weight = source.weight
        self.bias = source.bias

    def forward(self, x: Tensor) -> Tensor:
        scale = x.abs().amax(-1, keepdim=True).clamp(min=1e-6)
        out: Tensor = self.product(x / scale) * scale
        return out if self.bias is None else out + self.bias


def _row_scaled(encoder: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    """Put `_RowScaled` in the place of every linear layer; returns what to put back."""
    found = [
        (parent, name, child)
        for parent in list(encoder.modules())
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]
    for parent, name, child in found:
        setattr(parent, name, _RowScaled(child))
    return found


class _Explained(nn.Module):
    """The network with both of its outputs."""

    def __init__(self, model: ThreadModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.explain(ids, mask, segments)


def export(model: ThreadModel, path: Path) -> None:
    """Write ``model`` as an 8-bit ONNX file."""
    model = model.eval().cpu().float()
    embeddings = model.encoder.get_input_embeddings()
    model.encoder.set_input_embeddings(_ByteEmbedding(embeddings))
    replaced = _row_scaled(model.encoder)
    ids = torch.ones((2, 8), dtype=torch.long)
    whole = path.with_suffix(".fp32.onnx")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Explained(model),
                (ids, ids, ids),
                str(whole),
                input_names=list(_INPUTS),
                output_names=list(OUTPUTS),
                dynamic_axes={name: {0: "batch", 1: "tokens"} for name in _INPUTS},
                opset_version=18,
                dynamo=False,
            )
        _quantise(whole, path)
    finally:
        model.encoder.set_input_embeddings(embeddings)
        for parent, name, child in replaced:
            setattr(parent, name, child)
        whole.unlink(missing_ok=True)


def _quantise(source: Path, target: Path) -> None:
    runtime()
    quantization = import_module("onnxruntime.quantization")
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it recommends a step that changes nothing here
    try:
        quantization.quantize_dynamic(
            str(source),
            str(target),
            op_types_to_quantize=["MatMul"],
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            # Seven bits: eight overflow in the 16-bit sums of processors without VNNI, which
            # would give other scores there.
            reduce_range=True,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        logging.disable(level)

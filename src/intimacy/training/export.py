"""From torch to a small ONNX network.

Matrix products run in integers: weights in bytes with a scale per column, activations quantised as
they come (ONNX Runtime's dynamic quantisation). That scales all rows of an activation alike, so a
neighbour in a batch would change a score: the backend runs one thread at a time. And within a
thread a few tokens, and a few dimensions of all tokens, have activations far larger than the
others, which would be rounded away: the products scale each row to one before, and back after, and
part of the size of a dimension is moved from the activations into the weights (SmoothQuant, Xiao
et al. 2023, arXiv:2211.10438).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from intimacy.backends import OUTPUTS, Batch, runtime
from intimacy.render import ModelInput
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


class _Scaled(nn.Module):
    """A linear layer whose input is of even size when it is quantised, by row and by column."""

    shrink: Tensor

    def __init__(self, source: nn.Linear, largest: Tensor) -> None:
        super().__init__()
        weight = source.weight.detach()
        columns = largest.clamp(min=1e-5) ** _SHARE
        columns = columns / weight.abs().amax(0).clamp(min=1e-5) ** (1 - _SHARE)
        columns = columns / columns.mean()
        self.product = nn.Linear(source.in_features, source.out_features, bias=False)
        self.product.weight = nn.Parameter(weight * columns, requires_grad=False)
        self.bias = source.bias
        self.register_buffer("shrink", 1 / columns)

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.shrink
        scale = x.abs().amax(-1, keepdim=True).clamp(min=1e-6)
        out: Tensor = self.product(x / scale) * scale
        return out if self.bias is None else out + self.bias


_SHARE = 0.4
"""Of the size of a dimension, in logarithms, that goes over into the weights."""


def _linear_layers(encoder: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    """Every linear layer, with the module it belongs to and its name there."""
    return [
        (parent, name, child)
        for parent in list(encoder.modules())
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]


@torch.inference_mode()
def _largest(
    model: ThreadModel, layers: Sequence[nn.Linear], inputs: Sequence[ModelInput]
) -> list[Tensor]:
    """Largest magnitude that each dimension of the input of each layer has on some threads."""
    found = [torch.zeros(layer.in_features) for layer in layers]

    def note(number: int) -> Callable[..., None]:
        def hook(_: nn.Module, given: tuple[Tensor, ...], __: Tensor) -> None:
            found[number] = torch.maximum(found[number], given[0].abs().flatten(0, -2).amax(0))

        return hook

    hooks = [layer.register_forward_hook(note(n)) for n, layer in enumerate(layers)]
    for item in inputs:
        batch, n = Batch.of([item]), len(item.ids)
        arrays = (batch.input_ids, batch.attention_mask, batch.segments)
        model(*(torch.from_numpy(array[:, :n]) for array in arrays))
    for hook in hooks:
        hook.remove()
    return found


class _Explained(nn.Module):
    """The network with both of its outputs."""

    def __init__(self, model: ThreadModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.explain(ids, mask, segments)


def export(model: ThreadModel, path: Path, inputs: Sequence[ModelInput]) -> None:
    """Write ``model`` as an 8-bit ONNX file.

    Args:
        model: The network.
        path: Where to.
        inputs: Some hundred rendered threads, to see how large activations are.
    """
    model = model.eval().cpu().float()
    layers = _linear_layers(model.encoder)
    sizes = _largest(model, [layer for *_, layer in layers], inputs)
    embeddings = model.encoder.get_input_embeddings()
    model.encoder.set_input_embeddings(_ByteEmbedding(embeddings))
    for (parent, name, layer), size in zip(layers, sizes, strict=True):
        setattr(parent, name, _Scaled(layer, size.clone()))
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
        for parent, name, layer in layers:
            setattr(parent, name, layer)
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

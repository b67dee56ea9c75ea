"""From torch to a small ONNX network whose results do not depend on the batch.

Matrix products get 8-bit weights with a scale per block, and ONNX Runtime quantises the
activations row by row (``MatMulNBits``). The usual dynamic quantisation scales the activations
of a whole batch at once, so that a thread's neighbours would change its scores.
"""

from __future__ import annotations

import logging
import warnings
from importlib import import_module
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from intimacy.backends import OUTPUTS, runtime
from intimacy.training.model import ThreadModel

_BLOCK = 128
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


class _Explained(nn.Module):
    """The network with both of its outputs; a run computes those it is asked for."""

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
        whole.unlink(missing_ok=True)


def _quantise(source: Path, target: Path) -> None:
    runtime()
    quantization = import_module("onnxruntime.quantization.matmul_nbits_quantizer")
    # The quantizer lists every node it looks at.
    logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer").setLevel(logging.ERROR)
    settings = {"block_size": _BLOCK, "is_symmetric": True, "accuracy_level": 4}
    quantizer = quantization.MatMulNBitsQuantizer(
        onnx.load(source),
        bits=8,
        algo_config=quantization.DefaultWeightOnlyQuantConfig(bits=8, **settings),
        **settings,
    )
    quantizer.process()
    onnx.save(quantizer.model.model, target)

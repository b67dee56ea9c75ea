"""From torch to a small ONNX network.

Matrix products run in integers: weights in bytes with a scale per column, activations quantised as
they come (ONNX Runtime's dynamic quantisation). That scales all rows of an activation alike, so a
neighbour in a batch would change a score: the backend runs one thread at a time. And a few
dimensions have activations far larger than the others, which would be rounded away. So those stay
in floats (LLM.int8(), Dettmers et al. 2022, arXiv:2208.07339); of the others part of the size is
moved from the activations into the weights (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438), which
are rounded by what they do to the outputs (`intimacy.training.rounding`). What is left differs
little from token to token. Layers that read the same states, those of queries, keys and values, are
one product. Embeddings have twelve bits.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from intimacy.backends import OUTPUTS, Batch, runtime
from intimacy.render import ModelInput
from intimacy.training.model import ThreadModel
from intimacy.training.rounding import rounded

_INPUTS = ("input_ids", "attention_mask", "segments")


class _SmallEmbedding(nn.Module):
    """An embedding table in twelve bits with one scale a row: eight, and four of two dimensions in
    a byte."""

    rows: Tensor
    rest: Tensor
    scale: Tensor

    def __init__(self, source: nn.Embedding) -> None:
        super().__init__()
        weight = source.weight.detach()
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / 2047
        whole = (weight / scale).round()
        high = (whole / 16).floor()
        first, second = nn.functional.pad(whole - 16 * high, (0, weight.shape[1] % 2)).chunk(2, 1)
        self.width = weight.shape[1]
        self.register_buffer("rows", high.to(torch.int8))
        self.register_buffer("rest", (first + 16 * second).to(torch.uint8))
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        both = self.rest[ids].float()
        second = (both / 16).floor()
        low = torch.cat([both - 16 * second, second], -1)[..., : self.width]
        return (self.rows[ids].float() * 16 + low) * self.scale[ids]


class _Scaled(nn.Module):
    """Linear layers of one input, whose dimensions are of even size when it is quantised; the few
    that stand out are not."""

    bias: Tensor
    shrink: Tensor
    loud: Tensor

    def __init__(self, sources: Sequence[nn.Linear], largest: Tensor) -> None:
        super().__init__()
        weight = torch.cat([source.weight.detach() for source in sources])
        columns = largest.clamp(min=1e-5) ** _SHARE
        columns = columns / weight.abs().amax(0).clamp(min=1e-5) ** (1 - _SHARE)
        columns = columns / columns.mean()
        loud = largest.topk(max(1, len(largest) // _LOUD)).indices
        quiet = torch.ones_like(largest).index_fill(0, loud, 0.0)
        self.product = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self.product.weight = nn.Parameter(weight * columns * quiet, requires_grad=False)
        self.exact = nn.Linear(len(loud), weight.shape[0], bias=False)
        self.exact.weight = nn.Parameter(weight[:, loud], requires_grad=False)
        biases = [
            torch.zeros(source.out_features) if source.bias is None else source.bias.detach()
            for source in sources
        ]
        self.register_buffer("bias", torch.cat(biases))
        self.register_buffer("loud", loud)
        self.register_buffer("shrink", quiet / columns)
        self.latest: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.latest is None or self.latest[0] is not x:
            # In this order ONNX Runtime makes the bias part of the product.
            out = self.product(x * self.shrink) + self.bias + self.exact(x[..., self.loud])
            self.latest = (x, out)
        return self.latest[1]


class _Part(nn.Module):
    """One of the layers of a `_Scaled`, which is run once for all of them."""

    def __init__(self, whole: _Scaled, columns: slice) -> None:
        super().__init__()
        self.whole, self.columns = whole, columns

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.whole(x)[..., self.columns]
        return out


_LOUD = 64
"""One dimension in so many stays in floats."""
_SHARE = 0.4
"""Of the size of a dimension, in logarithms, that goes over into the weights."""


class _Layer:
    """A linear layer, where it stands, and what it reads on some threads."""

    def __init__(self, parent: nn.Module, name: str, linear: nn.Linear) -> None:
        self.parent, self.name, self.linear = parent, name, linear
        self.largest = torch.zeros(linear.in_features)
        """Largest magnitude of each dimension of the input."""
        self.reads: Tensor | None = None
        """The first input, by which layers are known that read the same."""

    def note(self, _: nn.Module, given: tuple[Tensor, ...], __: Tensor) -> None:
        """A hook for a forward pass."""
        self.reads = given[0] if self.reads is None else self.reads
        self.largest = torch.maximum(self.largest, given[0].abs().flatten(0, -2).amax(0))


@torch.no_grad()
def _observed(model: ThreadModel, inputs: Sequence[ModelInput]) -> list[list[_Layer]]:
    """Every linear layer of the encoder, those that read the same together."""
    layers = [
        _Layer(parent, name, child)
        for parent in list(model.encoder.modules())
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]
    _read(model, inputs, {layer.linear: layer.note for layer in layers})
    groups: dict[int, list[_Layer]] = {}
    for layer in layers:
        groups.setdefault(id(layer if layer.reads is None else layer.reads), []).append(layer)
    return list(groups.values())


@torch.no_grad()
def _round(model: ThreadModel, inputs: Sequence[ModelInput], products: Sequence[nn.Linear]) -> None:
    """Put the weights of products on their grid, by what they read on some threads."""
    moments = {
        product: torch.zeros(product.in_features, product.in_features) for product in products
    }

    def add(product: nn.Linear) -> Callable[..., None]:
        def hook(_: nn.Module, given: tuple[Tensor, ...], __: Tensor) -> None:
            rows = given[0].flatten(0, -2)
            moments[product] += rows.T @ rows

        return hook

    _read(model, inputs, {product: add(product) for product in products})
    for product, moment in moments.items():
        product.weight.data = rounded(product.weight, moment)


def _read(
    model: ThreadModel, inputs: Sequence[ModelInput], hooks: Mapping[nn.Module, Callable[..., None]]
) -> None:
    """Run the network on threads, one by one, with hooks on some of its modules."""
    handles = [module.register_forward_hook(hook) for module, hook in hooks.items()]
    for item in inputs:
        batch, n = Batch.of([item]), len(item.ids)
        arrays = (batch.input_ids, batch.attention_mask, batch.segments)
        model(*(torch.from_numpy(array[:, :n]) for array in arrays))
    for handle in handles:
        handle.remove()


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
    groups = _observed(model, inputs)
    embeddings = model.encoder.get_input_embeddings()
    ids = torch.ones((2, 8), dtype=torch.long)
    whole = path.with_suffix(".fp32.onnx")
    try:
        model.encoder.set_input_embeddings(_SmallEmbedding(embeddings))
        scaled = [_put(layers) for layers in groups]
        _round(model, inputs, [each.product for each in scaled])
        for each in scaled:
            each.latest = None
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
        for layer in (layer for layers in groups for layer in layers):
            setattr(layer.parent, layer.name, layer.linear)
        whole.unlink(missing_ok=True)


def _put(layers: Sequence[_Layer]) -> _Scaled:
    """One product in the place of some layers."""
    whole = _Scaled([layer.linear for layer in layers], layers[0].largest)
    start = 0
    for layer in layers:
        end = start + layer.linear.out_features
        alone = len(layers) == 1
        setattr(layer.parent, layer.name, whole if alone else _Part(whole, slice(start, end)))
        start = end
    return whole


def _quantise(source: Path, target: Path) -> None:
    runtime()
    quantization = import_module("onnxruntime.quantization")
    graph = import_module("onnx").load(str(source)).graph
    exact = [node.name for node in graph.node if "/exact/" in node.name]
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
            nodes_to_exclude=exact,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        logging.disable(level)

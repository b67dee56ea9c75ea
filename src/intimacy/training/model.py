"""The network: one encoder, pooled by who speaks, a linear head for each of the codebook's axes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel

from intimacy.backends import Batch
from intimacy.bundle import columns
from intimacy.errors import BundleError, ConfigError
from intimacy.render import SEGMENTS

POOLED = ("all", "caption", "follower", "creator")
"""Mean-pooled views of the thread, side by side: what each side says is kept apart."""


class ThreadModel(nn.Module):
    """Encoder, pooling by segment, one hidden layer, heads side by side."""

    def __init__(
        self, encoder: Any, heads: Mapping[str, Sequence[Any]], *, dropout: float = 0.1
    ) -> None:
        super().__init__()
        if hasattr(encoder, "pooler"):
            encoder.pooler = None  # a second pooling that nothing here uses
        width = encoder.config.hidden_size
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(len(POOLED) * width, width)
        self.heads = nn.Linear(width, sum(len(values) for values in heads.values()))
        self.labels = columns(heads)["label"]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, segments: Tensor) -> Tensor:
        """Logits of all heads.

        Args:
            input_ids: (batch, tokens).
            attention_mask: (batch, tokens), 1 for real tokens.
            segments: (batch, tokens), index into `intimacy.render.SEGMENTS`.

        Returns: (batch, total values of the heads).
        """
        hidden, shares = self._read(input_ids, attention_mask, segments)
        logits: Tensor = self.heads(self.dropout(nn.functional.gelu(self._mixed(hidden, shares))))
        return logits

    def explain(
        self, input_ids: Tensor, attention_mask: Tensor, segments: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits, and what each token adds to those of the labels.

        Above the encoder the network is linear but for one GELU, x·Φ(x). With its gates Φ(x) held
        as they are, a label's logit is a sum over tokens (and a constant): the rule that
        layer-wise relevance propagation uses for gated layers (Arras et al. 2017). What a token
        has taken in from its neighbours counts as its own.

        Returns: (batch, total values of the heads) and (batch, tokens, labels).
        """
        hidden, shares = self._read(input_ids, attention_mask, segments)
        mixed = self._mixed(hidden, shares)
        gates = (1 + torch.erf(mixed / math.sqrt(2))) / 2
        weights = self.heads.weight[self.labels] * gates[:, None]
        n_views, width = len(POOLED), hidden.shape[2]
        by_view = (weights @ self.mix.weight).reshape(hidden.shape[0], -1, width)
        said = (hidden @ by_view.transpose(1, 2)).unflatten(2, (-1, n_views))
        contributions = (said * shares.transpose(1, 2)[:, :, None]).sum(3)
        return self.heads(mixed * gates), contributions

    def _read(
        self, input_ids: Tensor, attention_mask: Tensor, segments: Tensor
    ) -> tuple[Tensor, Tensor]:
        """States, (batch, tokens, width), and shares of tokens in views, (batch, views, tokens)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        views = [attention_mask.bool()] + [segments == SEGMENTS.index(v) for v in POOLED[1:]]
        masks = torch.stack(views, 1).to(hidden.dtype)
        return hidden, masks / masks.sum(-1, keepdim=True).clamp(min=1)

    def _mixed(self, hidden: Tensor, shares: Tensor) -> Tensor:
        mixed: Tensor = self.mix(self.dropout(torch.bmm(shares, hidden).flatten(1)))
        return mixed


def open_encoder(source: str, *, layers: int = 0) -> Any:
    """A transformers encoder by path or hub name, in single precision, without a pooler.

    Args:
        source: Folder or hub name.
        layers: How many to keep, from the bottom; 0 keeps all.

    Raises:
        ConfigError: When it has not so many.
    """
    config = AutoConfig.from_pretrained(source)
    network = MODEL_MAPPING[type(config)]
    takes = inspect.signature(network).parameters
    options: dict[str, Any] = {}
    if "add_pooling_layer" in takes:
        options["add_pooling_layer"] = False
    if layers:
        has = config.num_hidden_layers
        if not 0 < layers <= has:
            raise ConfigError(f"layers is {layers}; {source} has {has}, expected 0 (all) to {has}")
        options["num_hidden_layers"] = layers
    if hasattr(config, "attention_probs_dropout_prob"):
        # It regularises little beside the dropout of the states, and costs a sixth of a step here.
        options["attention_probs_dropout_prob"] = 0.0
    # Plain attention: the fused one has no ONNX counterpart worth having at this size.
    return AutoModel.from_pretrained(
        source, dtype=torch.float32, attn_implementation="eager", **options
    )


def from_encoder(
    source: str,
    heads: Mapping[str, Sequence[Any]],
    *,
    dropout: float = 0.1,
    layers: int = 0,
) -> ThreadModel:
    """Fresh heads on a transformers encoder, see `open_encoder`."""
    return ThreadModel(open_encoder(source, layers=layers), heads, dropout=dropout)


def save(model: ThreadModel, folder: Path) -> None:
    """Weights in half precision and the encoder's configuration."""
    weights = {name: p.detach().half().contiguous() for name, p in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors writes it for its owner alone
    (folder / "config.json").write_text(model.encoder.config.to_json_string(), "utf-8")


def load(folder: Path, heads: Mapping[str, Sequence[Any]]) -> ThreadModel:
    """The network of a model folder, in single precision.

    Raises:
        BundleError: When the weights do not fit the configuration.
    """
    config = AutoConfig.from_pretrained(folder)
    model = ThreadModel(AutoModel.from_config(config, attn_implementation="eager"), heads)
    weights = {name: p.float() for name, p in load_file(folder / "model.safetensors").items()}
    try:
        model.load_state_dict(weights)
    except RuntimeError as exc:
        raise BundleError(f"{folder}: model.safetensors does not fit config.json") from exc
    return model.eval()


class TorchBackend:
    """The network as it was trained, in single precision; see `intimacy.backends.Backend`."""

    def __init__(self, model: ThreadModel) -> None:
        self._model = model.eval()

    def logits(self, batch: Batch) -> npt.NDArray[np.float32]:
        """See `intimacy.backends.Backend`."""
        return self.explain(batch)[0]

    @torch.inference_mode()
    def explain(self, batch: Batch) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """See `intimacy.backends.Backend`."""
        arrays = (batch.input_ids, batch.attention_mask, batch.segments)
        logits, contributions = self._model.explain(*map(torch.from_numpy, arrays))
        return logits.numpy(), contributions.numpy()

"""The network: one encoder, pooled by who speaks, a linear head for each of the codebook's axes."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, AutoTokenizer

from intimacy.backends import Batch
from intimacy.bundle import MANIFEST, columns, open_bundle
from intimacy.errors import BundleError, ConfigError, require
from intimacy.render import SEGMENTS, TAGS

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
        self.values = {head: tuple(values) for head, values in heads.items()}
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


def open_tokenizer(source: str) -> Tokenizer:
    """The tokenizer of an encoder or of a model folder, with a token for every role.

    Raises:
        ConfigError: When the encoder has none that runs without Python (a "fast" one).
    """
    if is_bundle(source):
        return open_bundle(source).tokenizer()
    tokenizer: Tokenizer | None = getattr(
        AutoTokenizer.from_pretrained(source), "backend_tokenizer", None
    )
    if tokenizer is None:
        raise ConfigError(
            f"{source}: its tokenizer is written in Python; expected one of the 'fast' ones, "
            "with a tokenizer.json"
        )
    missing = [token for token in TAGS.values() if tokenizer.token_to_id(token) is None]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in missing])
    return tokenizer


def is_bundle(source: str | Path) -> bool:
    """Whether it is a model folder, with heads, rather than an encoder."""
    return (Path(source) / MANIFEST).is_file()


def open_encoder(source: str, tokenizer: Tokenizer, *, layers: int = 0) -> Any:
    """A transformers encoder by path or hub name, in single precision, without a pooler.

    Args:
        source: Folder or hub name; of a model folder, its encoder.
        tokenizer: From `open_tokenizer`; the encoder gets an embedding for each of its tokens.
        layers: How many to keep, from the bottom; 0 keeps all.

    Raises:
        ConfigError: When it has not so many.
    """
    if is_bundle(source):
        if layers:
            raise ConfigError(f"layers is {layers}; a model folder keeps those it has: expected 0")
        return open_model(source).encoder
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
    encoder = AutoModel.from_pretrained(
        source, dtype=torch.float32, attn_implementation="eager", **options
    )
    if tokenizer.get_vocab_size() > encoder.get_input_embeddings().num_embeddings:
        encoder.resize_token_embeddings(tokenizer.get_vocab_size())
    return encoder


def build(
    source: str,
    heads: Mapping[str, Sequence[Any]],
    tokenizer: Tokenizer,
    *,
    max_tokens: int,
    dropout: float = 0.1,
    layers: int = 0,
) -> ThreadModel:
    """Heads on a transformers encoder, see `open_encoder`; a model folder brings those it has.

    Args:
        source: Folder or hub name.
        heads: Head → its values. Those that a model folder has go on from there, the others are
            fresh.
        tokenizer: From `open_tokenizer`.
        max_tokens: Length of the longest thread.
        dropout: Share of the states hidden in training.
        layers: How many to keep, from the bottom; 0 keeps all.

    Raises:
        ConfigError: When the encoder has not so many layers, or cannot read so many tokens.
    """
    encoder = open_encoder(source, tokenizer, layers=layers)
    if (limit := _positions(encoder.config)) < max_tokens:
        raise ConfigError(
            f"{source} reads at most {limit} tokens, render.max_tokens is {max_tokens}; "
            f"expected {limit} or fewer"
        )
    model = ThreadModel(encoder, heads, dropout=dropout)
    if is_bundle(source):
        _take_over(model, open_model(source))
    return model


def _positions(config: Any) -> int:
    """Tokens that an encoder has positions for; RoBERTa counts them from behind its padding."""
    limit = getattr(config, "max_position_embeddings", None) or sys.maxsize
    behind = "roberta" in config.model_type or config.model_type == "camembert"
    return int(limit) - (config.pad_token_id + 1 if behind else 0)


@torch.no_grad()
def _take_over(model: ThreadModel, trained: ThreadModel) -> None:
    """Copy what lies above the encoder, as far as it answers the same questions."""
    model.mix.load_state_dict(trained.mix.state_dict())
    new, old = columns(model.values), columns(trained.values)
    for head, values in model.values.items():
        for n, value in enumerate(values):
            if value in (known := trained.values.get(head, ())):
                to, of = new[head].start + n, old[head].start + known.index(value)
                model.heads.weight[to] = trained.heads.weight[of]
                model.heads.bias[to] = trained.heads.bias[of]


def open_model(source: str | Path) -> ThreadModel:
    """The network of a model folder, ready to be trained further."""
    bundle = open_bundle(source)
    return load(bundle.path, bundle.manifest.heads)


def adapt(model: ThreadModel, *, tune: str, rank: int) -> None:
    """Leave only that of the encoder to be trained which ``tune`` says, see `TrainConfig.tune`.

    Raises:
        MissingExtraError: When adapters are asked for and peft is not installed.
    """
    if tune == "frozen":
        model.encoder.requires_grad_(False)
    elif tune == "lora":
        peft = require("peft", extra="train")
        config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        model.encoder = peft.get_peft_model(model.encoder, config)


def settle(model: ThreadModel, *, tune: str) -> None:
    """Make a plain encoder of an adapted one: adapters are added into its weights."""
    if tune == "lora":
        model.encoder = model.encoder.merge_and_unload()
    model.encoder.requires_grad_(True)


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

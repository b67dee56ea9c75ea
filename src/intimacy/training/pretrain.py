"""`intimacy pretrain`: an encoder learns the Italian of comments by masked-language modelling."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from intimacy import store
from intimacy.errors import ConfigError
from intimacy.training import config as configs
from intimacy.training import corpora, distill, loop
from intimacy.training import tokenizer as tokenizers_it
from intimacy.training.config import PretrainConfig, ShapeConfig
from intimacy.training.progress import Progress

_READ = ("ids.npy", "ends.npy", "groups.npy")
_CHUNK = 20_000


def pretrain(
    folder: Path,
    out: Path,
    config: PretrainConfig,
    *,
    start: str | Path | None = None,
    device: str = "cpu",
) -> Path:
    """Train an encoder on masked words and save it as a transformers folder.

    A run that was killed goes on from its last checkpoint when it is started again with the
    same ``out``. ``out/corpora.json`` says what was read and what was left out.

    Args:
        folder: Corpora, see `intimacy.training.corpora`.
        out: Folder to write; made if missing.
        config: What to do.
        start: An encoder to go on from, with its tokenizer; None starts from random weights.
        device: A torch device.

    Returns: ``out``.

    Raises:
        ConfigError: When ``out`` holds another run, or nothing of the corpora may be read.
    """
    configs.claim(out, "pretrain", config, start)
    torch.manual_seed(config.seed)
    where = torch.device(device)
    tokenizer = distill.open_tokenizer(start, folder, out, config.tokenizer, config.tiers)
    encoder = (
        random_encoder(tokenizer, config.shape) if start is None else (distill.open_encoder(start))
    )
    texts = _Texts.read(folder, out, tokenizer, config)
    words = _Words(tokenizer, config, where)
    model = MaskedModel(encoder).to(where)
    pairs = None
    if config.parallel_share > 0:
        pairs = distill.Pairs.open(folder, out, tokenizer, config.pairs, config.seed, where)
    bridge = None if pairs is None else pairs.bridge(encoder)
    trained = nn.ModuleList([model] if bridge is None else [model, bridge])

    def batches() -> Iterator[list[np.ndarray] | distill.Rows]:
        masked = texts.batches(config)
        parallel = iter(()) if pairs is None else pairs.batches()
        rng = random.Random(config.seed)
        while True:
            yield next(parallel) if rng.random() < config.parallel_share else next(masked)

    def loss(batch: list[np.ndarray] | distill.Rows) -> tuple[Tensor, int]:
        if pairs is not None and isinstance(batch, tuple):
            return pairs.loss(encoder, batch, bridge)
        return words.loss(model, batch)

    # Counted in full batches, so that a run's length does not depend on how they are filled.
    total = max(1, config.tokens // config.tokens_per_batch)
    step = loop.Step(batches, loss)
    loop.run("pretrain", trained, step, total=total, config=config.optimiser, out=out)
    distill.save_encoder(encoder, tokenizer, out)
    for name in _READ:
        (out / name).unlink(missing_ok=True)
    return out


def random_encoder(tokenizer: Tokenizer, shape: ShapeConfig) -> BertModel:
    """A BERT with fresh weights."""
    return BertModel(
        BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.feed_forward,
            max_position_embeddings=shape.max_positions,
            type_vocab_size=1,
            pad_token_id=tokenizer.token_to_id("[PAD]"),
        ),
        add_pooling_layer=False,
    )


class MaskedModel(nn.Module):
    """An encoder with the head of BERT that names masked tokens; output weights are tied."""

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        width = encoder.config.hidden_size
        self.encoder = encoder
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(encoder.config.vocab_size))

    def forward(self, ids: Tensor, mask: Tensor, chosen: Tensor) -> Tensor:
        """Logits at the chosen positions only, (chosen, pieces).

        Args:
            ids: (batch, tokens).
            mask: (batch, tokens), 1 for real tokens.
            chosen: (batch, tokens), true where a token is to be predicted.
        """
        hidden = self.encoder(ids, mask).last_hidden_state[chosen]
        table = self.encoder.embeddings.word_embeddings.weight
        return nn.functional.linear(self.transform(hidden), table, self.bias)


class _Words:
    """Hides whole words and asks for them back."""

    def __init__(self, tokenizer: Tokenizer, config: PretrainConfig, device: torch.device) -> None:
        self._cls, self._sep, self._pad, self._mask = tokenizers_it.ids(
            tokenizer, "[CLS]", "[SEP]", "[PAD]", "[MASK]"
        )
        size = tokenizer.get_vocab_size()
        pieces = [tokenizer.id_to_token(i) for i in range(size)]
        # Byte-level pieces spell the space before a word as Ġ.
        self._starts = torch.tensor([p.startswith(("Ġ", "[")) for p in pieces])
        self._special = torch.tensor([p.startswith("[") and p.endswith("]") for p in pieces])
        self._size, self._share, self._device = size, config.mask, device

    def loss(self, model: nn.Module, rows: list[np.ndarray]) -> tuple[Tensor, int]:
        ids, mask = loop.padded([[self._cls, *row.tolist(), self._sep] for row in rows], self._pad)
        word = self._starts[ids].long().cumsum(1)
        drawn = torch.rand(len(rows), int(word.max()) + 1) < self._share
        chosen = drawn.gather(1, word) & ~self._special[ids] & mask.bool()
        if not chosen.any():  # every text so short that nothing was drawn: ask for all
            chosen = ~self._special[ids] & mask.bool()
        fate = torch.rand(ids.shape)
        seen = torch.where(chosen & (fate < 0.8), self._mask, ids)
        other = torch.randint(0, self._size, ids.shape)
        seen = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), other, seen)
        seen, mask, chosen, ids = (t.to(self._device) for t in (seen, mask, chosen, ids))
        with torch.autocast(self._device.type, torch.bfloat16):
            logits = model(seen, mask, chosen)
        return nn.functional.cross_entropy(logits.float(), ids[chosen]), int(mask.sum())


class _Texts:
    """The corpora as token ids: one array, the ends of the texts in it, the group of each."""

    def __init__(self, ids: np.ndarray, ends: np.ndarray, groups: np.ndarray) -> None:
        self._ids, self._ends, self._groups = ids, ends, groups

    @classmethod
    def read(cls, folder: Path, out: Path, tokenizer: Tokenizer, config: PretrainConfig) -> _Texts:
        """Tokenize the corpora, or take what an interrupted run with the same ``out`` left."""
        paths = [out / name for name in _READ]
        if not all(path.exists() for path in paths):
            reader = corpora.Reader(folder, config.tiers)
            limit = config.max_tokens - 2
            number = np.dtype("uint16" if tokenizer.get_vocab_size() <= 1 << 16 else "uint32")
            parts: list[np.ndarray] = []
            lengths: list[int] = []
            groups: list[int] = []
            with Progress("read", unit="text") as bar:
                source = bar.over(reader.texts())
                while chunk := list(itertools.islice(source, _CHUNK)):
                    encoded = tokenizer.encode_batch_fast(
                        [text for _, text in chunk], add_special_tokens=False
                    )
                    for (group, _), row in zip(chunk, encoded, strict=True):
                        ids = np.array(row.ids, number)
                        for begin in range(0, len(ids), limit):
                            parts.append(ids[begin : begin + limit])
                            lengths.append(len(parts[-1]))
                            groups.append(corpora.GROUPS.index(group))
            read = {group for i, group in enumerate(corpora.GROUPS) if i in groups}
            if not any(getattr(config.mix, group) > 0 for group in read):
                raise ConfigError(f"nothing to read in {folder} under tiers and mix; widen them")
            arrays = (np.concatenate(parts), np.cumsum(lengths), np.array(groups, np.int8))
            _report(out, config, reader, arrays)
            for path, array in zip(paths, arrays, strict=True):
                with store.atomic(path) as stream:
                    np.save(stream, array)
        return cls(*(np.load(path) for path in paths))

    def batches(self, config: PretrainConfig) -> Iterator[list[np.ndarray]]:
        """Pass after pass over the mix, without end."""
        weights = np.array([getattr(config.mix, group) for group in corpora.GROUPS])
        begins = np.concatenate([[0], self._ends[:-1]])
        lengths = self._ends - begins
        for pass_index in itertools.count():
            rng = np.random.default_rng(config.seed + pass_index)
            times = np.floor(weights[self._groups] + rng.random(len(self._ends))).astype(int)
            rows = np.repeat(np.arange(len(times)), times)
            for batch in loop.cut(lengths[rows] + 2, config.tokens_per_batch, rng):
                yield [self._ids[begins[i] : self._ends[i]] for i in rows[batch]]


def _report(
    out: Path,
    config: PretrainConfig,
    reader: corpora.Reader,
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    _, ends, groups = arrays
    lengths = np.diff(ends, prepend=0)
    read = {
        name: {
            "texts": int((groups == i).sum()),
            "tokens": int(lengths[groups == i].sum()),
            "times_a_pass": getattr(config.mix, name),
        }
        for i, name in enumerate(corpora.GROUPS)
    }
    facts = {"tiers": config.tiers, "read": read, "removed": dict(reader.removed)}
    (out / "corpora.json").write_text(json.dumps(facts, indent=2), "utf-8")

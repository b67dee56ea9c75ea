"""`intimacy pretrain`: an encoder learns from masked words, parallel sentences and scores."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from intimacy import bundle, store
from intimacy.errors import ConfigError
from intimacy.render import CLS, PAD, SEP, SPECIAL_TOKENS
from intimacy.training import config as configs
from intimacy.training import corpora, distill, loop, packing, scores
from intimacy.training import tokenizer as tokenizers_it
from intimacy.training.config import PretrainConfig, ShapeConfig
from intimacy.training.progress import Progress

_HELD_OUT = 1_000
_CHUNK = 20_000


def pretrain(
    folder: Path,
    out: Path,
    config: PretrainConfig,
    *,
    start: str | Path | None = None,
    device: str = "cpu",
) -> Path:
    """Train an encoder on words, parallel sentences and scores; save it for transformers.

    A run that was killed goes on from its last checkpoint when it is started again with the
    same ``out``. ``out/corpora.json`` says what was read and what was left out, the last line of
    ``out/metrics.jsonl`` how well hidden words of comments are told that it never read as such
    (mean surprise), and each score of texts whose scores it was never given (Pearson r).

    Args:
        folder: Corpora, see `intimacy.training.corpora`.
        out: Folder to write; made if missing.
        config: What to do.
        start: An encoder to go on from, with its tokenizer; None starts from random weights.
        device: A torch device.

    Returns: ``out``.

    Raises:
        ConfigError: When ``out`` holds another run, nothing of the corpora may be read, or the
            file of scores is missing or has none of their texts.
        RecordError: When a line of the file of scores is malformed.
    """
    inputs, scored = {}, []
    if config.scored_share > 0:
        scored = scores.read(config.scores.file)
        inputs["scores_sha256"] = bundle.digest(Path(config.scores.file))
    configs.claim(out, "pretrain", config, start, **inputs)
    torch.manual_seed(config.seed)
    where = torch.device(device)
    tokenizer = distill.open_tokenizer(start, folder, out, config.tokenizer, config.tiers)
    encoder = (
        random_encoder(tokenizer, config.shape) if start is None else distill.open_encoder(start)
    )
    packing.set_dropout(encoder.to(where), config.dropout)
    loop.speed_up(encoder, where)
    tasks = list(_tasks(folder, out, tokenizer, encoder, scored, config, where))

    def batches() -> Iterator[tuple[_Task, packing.Packed]]:
        streams = [(task, task.batches()) for task in tasks]
        shares = [task.share for task in tasks]
        rng = random.Random(config.seed)
        while True:
            ((drawn, stream),) = rng.choices(streams, shares)
            yield drawn, next(stream)

    def loss(batch: tuple[_Task, packing.Packed]) -> tuple[Tensor, int]:
        drawn, packed = batch
        return drawn.loss(packed)

    # Counted in full batches, so that a run's length does not depend on how they are filled.
    total = max(1, config.tokens // config.tokens_per_batch)
    trained = nn.ModuleList([encoder, *(task.layers for task in tasks)])
    step = loop.Step(batches, loss)
    loop.run("pretrain", trained, step, total=total, config=config.optimiser, out=out)
    trained.eval()
    with Progress("pretrain", log=out / "metrics.jsonl") as log:
        log.record(**{name: figure for task in tasks for name, figure in task.held_out().items()})
    distill.save_encoder(encoder, tokenizer, out)
    _Corpus.forget(out)
    return out


@dataclass(frozen=True)
class _Task:
    """One of the things that a run learns from."""

    share: float
    """Of the batches."""
    batches: Callable[[], Iterator[packing.Packed]]
    loss: Callable[[packing.Packed], tuple[Tensor, int]]
    layers: nn.ModuleList
    """What this takes beside the encoder."""
    held_out: Callable[[], dict[str, Any]] = dict
    """How well it is done on what was held out, after the run."""


def _tasks(
    folder: Path,
    out: Path,
    tokenizer: Tokenizer,
    encoder: BertModel,
    scored: list[scores.Scored],
    config: PretrainConfig,
    device: torch.device,
) -> Iterator[_Task]:
    """What a run learns from: parallel sentences, scores and, for the rest of it, words."""
    shape = (config.tokens_per_batch, config.max_tokens)
    if config.parallel_share > 0:
        pairs = distill.Pairs.open(folder, out, tokenizer, config.pairs, config.seed, device)
        bridge = pairs.bridge(encoder)
        yield _Task(
            config.parallel_share,
            lambda: pairs.batches(*shape),
            lambda packed: pairs.loss(encoder, packed, bridge),
            nn.ModuleList([] if bridge is None else [bridge]),
        )
    if config.scored_share > 0:
        reader = corpora.Reader(folder, config.tiers)
        rated = scores.Scores.open(scored, reader, tokenizer, config.scores, config.seed, device)
        _report(out, config, scored=rated.found, scored_missing=rated.missing)
        head = rated.head(encoder)
        yield _Task(
            config.scored_share,
            lambda: rated.batches(*shape),
            lambda packed: rated.loss(encoder, packed, head),
            nn.ModuleList([head]),
            lambda: {"held_out_r": rated.held_out_r(encoder, head, *shape)},
        )
    if (share := 1 - config.parallel_share - config.scored_share) > 1e-9:
        corpus = _Corpus.read(folder, out, tokenizer, config)
        words = _Words(tokenizer, encoder, config, device)
        yield _Task(
            share,
            lambda: corpus.batches(config),
            words.loss,
            nn.ModuleList([words.head]),
            lambda: {"held_out_loss": corpus.held_out_loss(words, config)},
        )


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


class WordHead(nn.Module):
    """The head of BERT that names hidden tokens; its output weights are the encoder's vectors."""

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        width = encoder.config.hidden_size
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(encoder.config.vocab_size))

    def forward(self, hidden: Tensor, vectors: Tensor) -> Tensor:
        """Logits of every piece, (tokens, pieces).

        Args:
            hidden: States of the tokens to be named, (tokens, width).
            vectors: Of the encoder's pieces, (pieces, width).
        """
        return nn.functional.linear(self.transform(hidden), vectors, self.bias)


class _Words:
    """Hides whole words and asks for them back."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        encoder: BertModel,
        config: PretrainConfig,
        device: torch.device,
    ) -> None:
        self._encoder, self.head = encoder, WordHead(encoder).to(device)
        (self._mask,) = tokenizers_it.ids(tokenizer, "[MASK]")
        size = tokenizer.get_vocab_size()
        pieces = [tokenizer.id_to_token(i) for i in range(size)]
        # Byte-level pieces spell the space before a word as Ġ.
        self._starts = torch.tensor([p.startswith(("Ġ", "[")) for p in pieces]).to(device)
        self._special = torch.tensor([p in SPECIAL_TOKENS for p in pieces]).to(device)
        self._size, self._share, self.device = size, config.mask, device

    def loss(
        self, packed: packing.Packed, rng: torch.Generator | None = None
    ) -> tuple[Tensor, int]:
        """Mean surprise at hidden words, and the number of tokens.

        Predictions are computed at hidden words only.

        Args:
            packed: Rows of texts.
            rng: Source of what is hidden; None is the global one.
        """
        n_tokens, packed = packed.n_tokens, packed.to(self.device)
        ids = packed.ids

        def draw() -> Tensor:
            return torch.rand(ids.shape, generator=rng, device=self.device)

        word = self._starts[ids].long().cumsum(1)  # at most one a token, so a row of draws does
        chosen = draw().gather(1, word - 1) < self._share
        chosen &= ~self._special[ids]
        fate = draw()
        seen = torch.where(chosen & (fate < 0.8), self._mask, ids)
        other = (draw() * self._size).long()
        seen = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), other, seen)
        with loop.half_precision(self.device):
            hidden = packing.read(self._encoder, replace(packed, ids=seen))[chosen]
            logits = self.head(hidden, self._encoder.embeddings.word_embeddings.weight)
        surprise = nn.functional.cross_entropy(logits.float(), ids[chosen], reduction="sum")
        return surprise / max(1, len(logits)), n_tokens


class _Corpus:
    """The corpora as token ids, with the source of every text."""

    _FILES = ("ids.npy", "ends.npy", "sources.npy", "sources.json")

    def __init__(self, folder: Path) -> None:
        ids, ends, sources = (np.load(folder / name) for name in self._FILES[:3])
        self._texts, self._sources = packing.Texts(ids, ends), sources
        self._names = json.loads((folder / "sources.json").read_text("utf-8"))["sources"]

    @classmethod
    def read(cls, folder: Path, out: Path, tokenizer: Tokenizer, config: PretrainConfig) -> _Corpus:
        """Tokenize the corpora, or take what an interrupted run with the same ``out`` left."""
        if not all((out / name).exists() for name in cls._FILES):
            cls._tokenize(folder, out, tokenizer, config)
        corpus = cls(out)
        corpus._tell(out, config)
        return corpus

    @classmethod
    def _tokenize(
        cls, folder: Path, out: Path, tokenizer: Tokenizer, config: PretrainConfig
    ) -> None:
        reader = corpora.Reader(folder, config.tiers)
        limit = config.max_tokens - 2
        parts: list[list[int]] = []
        of: list[int] = []
        names: dict[tuple[str, str], int] = {}
        with Progress("read", unit="text") as bar:
            source = bar.over(_drawn(reader.texts(), config))
            while chunk := list(itertools.islice(source, _CHUNK)):
                flat = [turn for text in chunk for turn in text.turns]
                rows = iter(tokenizer.encode_batch_fast(flat, add_special_tokens=False))
                for text in chunk:
                    ids: list[int] = []
                    for role, row in itertools.zip_longest(
                        text.roles, itertools.islice(rows, len(text.turns))
                    ):
                        ids += row.ids if role is None else [SPECIAL_TOKENS.index(role), *row.ids]
                    index = names.setdefault((text.group, text.source), len(names))
                    cut = [ids[begin : begin + limit] for begin in range(0, len(ids), limit)]
                    parts += cut
                    of += [index] * len(cut)
        number = "uint16" if tokenizer.get_vocab_size() <= 1 << 16 else "uint32"
        texts = packing.Texts.of(parts, number)
        for name, array in zip(
            cls._FILES, (texts.ids, texts.ends, np.array(of, np.int16)), strict=False
        ):
            with store.atomic(out / name) as stream:
                np.save(stream, array)
        facts = {"sources": list(names), "removed": dict(reader.removed)}
        (out / "sources.json").write_text(json.dumps(facts), "utf-8")

    def _times(self, config: PretrainConfig) -> np.ndarray:
        """How often each text is read in one pass."""
        weights = [getattr(config.mix, group) for group, _ in self._names]
        allowed = [source.rpartition(".")[2] in config.tiers for _, source in self._names]
        times = (np.array(weights, float) * allowed)[self._sources]
        times[self._held_out()] = 0
        return times

    def _held_out(self) -> np.ndarray:
        """Some comments whose words no run is asked for."""
        social = [group == "social" for group, _ in self._names]
        rows = np.flatnonzero(np.array(social, bool)[self._sources])
        n = min(_HELD_OUT, len(rows) // 20)
        return np.random.default_rng(0).permutation(rows)[:n]

    def batches(self, config: PretrainConfig) -> Iterator[packing.Packed]:
        """Pass after pass over the mix, without end."""
        times = self._times(config)

        def passes() -> Iterator[list[list[int]]]:
            for number in itertools.count():
                rng = np.random.default_rng(config.seed + number)
                drawn = np.floor(times + rng.random(len(times))).astype(int)
                chosen = rng.permutation(np.repeat(np.arange(len(times)), drawn))
                yield packing.fill(self._texts.lengths + 2, chosen, config.max_tokens)

        return self._pack(passes(), config)

    def _pack(
        self, passes: Iterator[list[list[int]]], config: PretrainConfig
    ) -> Iterator[packing.Packed]:
        return packing.batches(
            self._texts,
            passes,
            rows=max(1, config.tokens_per_batch // config.max_tokens),
            width=config.max_tokens,
            frame=(CLS, SEP),
            pad=PAD,
        )

    @torch.inference_mode()
    def held_out_loss(self, words: _Words, config: PretrainConfig) -> float | None:
        """Mean surprise at hidden words of `_held_out`; None without any."""
        rows = packing.fill(self._texts.lengths + 2, self._held_out(), config.max_tokens)
        if not rows:
            return None
        rng = torch.Generator(words.device).manual_seed(0)
        losses = [float(words.loss(b, rng)[0]) for b in self._pack(iter([rows]), config)]
        return sum(losses) / len(losses)

    def _tell(self, out: Path, config: PretrainConfig) -> None:
        times, lengths = self._times(config), self._texts.lengths
        if not times.any():
            raise ConfigError(f"nothing read in {out} under tiers, read and mix; widen them")
        read = {}
        for index, (group, source) in enumerate(self._names):
            mine = self._sources == index
            read[source] = {
                "group": group,
                "texts": int(mine.sum()),
                "tokens": int(lengths[mine].sum()),
                "times_a_pass": getattr(config.mix, group),
            }
        removed = json.loads((out / "sources.json").read_text("utf-8"))["removed"]
        _report(out, config, removed=removed, read=read)

    @classmethod
    def forget(cls, out: Path) -> None:
        """Remove what only an unfinished run needs."""
        for name in cls._FILES:
            (out / name).unlink(missing_ok=True)


def _drawn(texts: Iterator[corpora.Text], config: PretrainConfig) -> Iterator[corpora.Text]:
    """The share of every group that is read, always the same texts."""
    rng = random.Random(0)
    return (text for text in texts if rng.random() < getattr(config.read, text.group))


def _report(out: Path, config: PretrainConfig, **facts: Any) -> None:
    """Add to what ``out/corpora.json`` says of the run."""
    path = out / "corpora.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    with store.atomic(path) as stream:
        stream.write(json.dumps(known | {"tiers": config.tiers} | facts, indent=2).encode())

"""`intimacy pretrain`: an encoder learns the Italian of comments by masked-language modelling."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from intimacy import store
from intimacy.errors import ConfigError
from intimacy.render import CLS, PAD, SEP, SPECIAL_TOKENS
from intimacy.training import config as configs
from intimacy.training import corpora, distill, loop, packing
from intimacy.training import tokenizer as tokenizers_it
from intimacy.training.config import PretrainConfig, ShapeConfig
from intimacy.training.progress import Progress
from intimacy.training.scores import Scores

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
    """Train an encoder on masked words and save it as a transformers folder.

    A run that was killed goes on from its last checkpoint when it is started again with the
    same ``out``. ``out/corpora.json`` says what was read and what was left out, the last line of
    ``out/metrics.jsonl`` how well words of comments that it never saw are told.

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
        random_encoder(tokenizer, config.shape) if start is None else distill.open_encoder(start)
    )
    corpus = _Corpus.read(folder, out, tokenizer, config)
    words = _Words(tokenizer, config, where)
    model = MaskedModel(encoder).to(where)
    loop.speed_up(packing.without_dropout(encoder), where)
    tasks, trained = _other_tasks(folder, out, tokenizer, encoder, config, where)
    tasks.append(
        _Task(
            1 - sum(task.share for task in tasks),
            lambda: corpus.batches(config),
            lambda packed: words.loss(model, packed),
        )
    )

    def batches() -> Iterator[tuple[int, packing.Packed]]:
        streams = [task.batches() for task in tasks]
        shares = [task.share for task in tasks]
        rng = random.Random(config.seed)
        while True:
            (drawn,) = rng.choices(range(len(tasks)), shares)
            yield drawn, next(streams[drawn])

    def loss(batch: tuple[int, packing.Packed]) -> tuple[Tensor, int]:
        drawn, packed = batch
        return tasks[drawn].loss(packed)

    # Counted in full batches, so that a run's length does not depend on how they are filled.
    total = max(1, config.tokens // config.tokens_per_batch)
    step = loop.Step(batches, loss)
    loop.run(
        "pretrain",
        nn.ModuleList([model, *trained]),
        step,
        total=total,
        config=config.optimiser,
        out=out,
    )
    with Progress("pretrain", log=out / "metrics.jsonl") as log:
        log.record(held_out_loss=corpus.held_out_loss(model, words, config))
    distill.save_encoder(encoder, tokenizer, out)
    corpus.forget(out)
    return out


@dataclass(frozen=True)
class _Task:
    """One of the things that a run learns from."""

    share: float
    """Of the batches."""
    batches: Callable[[], Iterator[packing.Packed]]
    loss: Callable[[packing.Packed], tuple[Tensor, int]]


def _other_tasks(
    folder: Path,
    out: Path,
    tokenizer: Tokenizer,
    encoder: BertModel,
    config: PretrainConfig,
    device: torch.device,
) -> tuple[list[_Task], list[nn.Module]]:
    """What is learnt beside words, and the layers that this takes beside the encoder."""
    shape = (config.tokens_per_batch, config.max_tokens)
    tasks: list[_Task] = []
    layers: list[nn.Module] = []
    if config.parallel_share > 0:
        pairs = distill.Pairs.open(folder, out, tokenizer, config.pairs, config.seed, device)
        if (bridge := pairs.bridge(encoder)) is not None:
            layers.append(bridge)
        tasks.append(
            _Task(
                config.parallel_share,
                lambda: pairs.batches(*shape),
                lambda packed: pairs.loss(encoder, packed, bridge),
            )
        )
    if config.scored_share > 0:
        reader = corpora.Reader(folder, config.tiers)
        scores = Scores.open(reader, tokenizer, config.scores, config.seed, device)
        layers.append(head := scores.head(encoder))
        tasks.append(
            _Task(
                config.scored_share,
                lambda: scores.batches(*shape),
                lambda packed: scores.loss(encoder, packed, head),
            )
        )
    return tasks, layers


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

    def forward(self, packed: packing.Packed, chosen: Tensor) -> Tensor:
        """Logits at the chosen positions only, (chosen, pieces).

        Args:
            packed: Rows of texts.
            chosen: (rows, width), true where a token is to be predicted.
        """
        hidden = packing.read(self.encoder, packed)[chosen]
        table = self.encoder.embeddings.word_embeddings.weight
        return nn.functional.linear(self.transform(hidden), table, self.bias)


class _Words:
    """Hides whole words and asks for them back."""

    def __init__(self, tokenizer: Tokenizer, config: PretrainConfig, device: torch.device) -> None:
        (self._mask,) = tokenizers_it.ids(tokenizer, "[MASK]")
        size = tokenizer.get_vocab_size()
        pieces = [tokenizer.id_to_token(i) for i in range(size)]
        # Byte-level pieces spell the space before a word as Ġ.
        self._starts = torch.tensor([p.startswith(("Ġ", "[")) for p in pieces]).to(device)
        self._special = torch.tensor([p in SPECIAL_TOKENS for p in pieces]).to(device)
        self._size, self._share, self.device = size, config.mask, device

    def loss(
        self, model: nn.Module, packed: packing.Packed, rng: torch.Generator | None = None
    ) -> tuple[Tensor, int]:
        """Mean surprise at hidden words, and the number of tokens.

        Args:
            model: A `MaskedModel`.
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
            logits = model(replace(packed, ids=seen), chosen)
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
        corpus._report(out, config)
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
        """Some comments that no run trains on."""
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
    def held_out_loss(
        self, model: nn.Module, words: _Words, config: PretrainConfig
    ) -> float | None:
        """Mean surprise at hidden words of comments that no run trains on; None without any."""
        rows = packing.fill(self._texts.lengths + 2, self._held_out(), config.max_tokens)
        if not rows:
            return None
        model.eval()
        rng = torch.Generator(words.device).manual_seed(0)
        losses = [float(words.loss(model, b, rng)[0]) for b in self._pack(iter([rows]), config)]
        return sum(losses) / len(losses)

    def _report(self, out: Path, config: PretrainConfig) -> None:
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
        facts = {"tiers": config.tiers, "removed": removed, "read": read}
        (out / "corpora.json").write_text(json.dumps(facts, indent=2), "utf-8")

    @classmethod
    def forget(cls, out: Path) -> None:
        """Remove what only an unfinished run needs."""
        for name in cls._FILES:
            (out / name).unlink(missing_ok=True)


def _drawn(texts: Iterator[corpora.Text], config: PretrainConfig) -> Iterator[corpora.Text]:
    """The share of every group that is read, always the same texts."""
    rng = random.Random(0)
    return (text for text in texts if rng.random() < getattr(config.read, text.group))

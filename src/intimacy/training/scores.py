"""Texts with scores, given by persons or a model: a third thing that `intimacy pretrain` learns.

The file of scores holds no text, only the hash of each (`corpus.text_hash` of its body alone), so
that it can be passed on; the texts are found in the corpora. What may not be read there, because
encoders are measured on it, is not learnt from here either.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertModel

from intimacy import store
from intimacy.errors import ConfigError, RecordError, shown
from intimacy.render import CLS, PAD, SEP
from intimacy.training import corpora, loop, packing
from intimacy.training.config import ScoresConfig
from intimacy.training.progress import Progress

_HELD_OUT = 1_000


@dataclass(frozen=True)
class Scored:
    """A line of a file of scores: a text of the corpora and what was said of it."""

    key: str
    """`corpus.text_hash` of the text."""
    source: str
    """File of the corpora that it stands in, as in `corpora.Text`."""
    scores: Mapping[str, float]
    """By name, on any scale."""


def read(path: str | Path) -> list[Scored]:
    """The lines of a file of scores.

    Raises:
        ConfigError: When there is no such file.
        RecordError: When a line is malformed, a text stands in two lines, or a line has other
            scores than the first.
    """
    if not Path(path).is_file():
        raise ConfigError(f"[scores] file: {shown(str(path))} is not a file")
    seen: dict[str, Scored] = {}

    def one(record: Mapping[str, Any], *, path: Path, line: int) -> Scored:
        said = _scored(record, path=path, line=line)
        if said.key in seen:
            raise RecordError(
                f"{said.key} has scores already; expected one line a text", path=path, line=line
            )
        first = next(iter(seen.values()), said)
        if set(said.scores) != set(first.scores):
            raise RecordError(
                f"'scores' names {sorted(said.scores)}; expected those of the first line, "
                f"{sorted(first.scores)}",
                path=path,
                line=line,
            )
        seen[said.key] = said
        return said

    return list(store.read_jsonl(Path(path), one))


class Scores:
    """Texts with scores. Those with the smallest hashes are held out: no run learns theirs.

    Attributes:
        names: Of the scores.
        found: Texts of each source.
        missing: Lines whose text is not where they say, or may not be read.
    """

    def __init__(
        self,
        scored: list[Scored],
        texts: packing.Texts,
        missing: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.names = tuple(scored[0].scores)
        self.found, self.missing = dict(Counter(line.source for line in scored)), missing
        self._texts, self._seed, self._device = texts, seed, device
        order = np.argsort([line.key for line in scored], kind="stable")
        n = min(_HELD_OUT, len(texts) // 20)
        self._held_out, self._learnt = order[:n], order[n:]
        values = np.array([[line.scores[name] for name in self.names] for line in scored])
        learnt = values[self._learnt]
        # In units of their spread, so that no score weighs more for its scale.
        self._values = (values - learnt.mean(0)) / np.maximum(learnt.std(0), 1e-6)

    def __len__(self) -> int:
        return len(self._texts)

    @classmethod
    def open(
        cls,
        scored: list[Scored],
        reader: corpora.Reader,
        tokenizer: Tokenizer,
        config: ScoresConfig,
        seed: int,
        device: torch.device,
    ) -> Scores:
        """Join scores with their texts.

        Raises:
            ConfigError: When the corpora have none of the texts where the scores say.
        """
        known = {(line.key, line.source): line for line in scored}
        found: dict[tuple[str, str], str] = {}
        with Progress("scores", unit="text") as bar:
            for text in bar.over(reader.texts_of({line.source for line in scored})):
                for key, turn in zip(text.keys, text.turns, strict=True):
                    if (key, text.source) in known:
                        found[key, text.source] = turn
            bar.step(0, scored=len(known), found=len(found))
        if not found:
            raise ConfigError(
                f"no text of the {len(known):,} scored is in the file of the corpora that they "
                "name, under the tiers that may be read"
            )
        encoded = tokenizer.encode_batch_fast(list(found.values()), add_special_tokens=False)
        limit = config.max_tokens - 2
        texts = packing.Texts.of([row.ids[:limit] for row in encoded])
        missing = len(known) - len(found)
        return cls([known[place] for place in found], texts, missing, seed, device)

    def head(self, encoder: BertModel) -> nn.Linear:
        """From the vector of a text to its scores; thrown away after."""
        return nn.Linear(encoder.config.hidden_size, len(self.names)).to(self._device)

    def batches(self, tokens: int, width: int) -> Iterator[packing.Packed]:
        """Batches of about ``tokens`` tokens in rows of ``width``, pass after pass, without end."""

        def passes() -> Iterator[npt.NDArray[np.int64]]:
            for number in itertools.count():
                yield np.random.default_rng(self._seed + number).permutation(self._learnt)

        return self._pack(passes(), tokens, width)

    def _pack(
        self, passes: Iterator[npt.NDArray[np.int64]], tokens: int, width: int
    ) -> Iterator[packing.Packed]:
        return packing.batches(
            self._texts,
            (packing.fill(self._texts.lengths + 2, order, width) for order in passes),
            rows=max(1, tokens // width),
            width=width,
            frame=(CLS, SEP),
            pad=PAD,
        )

    def loss(
        self, encoder: BertModel, packed: packing.Packed, head: nn.Module
    ) -> tuple[Tensor, int]:
        """Mean squared error of all scores, a spread being 1, and the number of tokens."""
        goal = torch.from_numpy(self._values[packed.order].astype(np.float32)).to(self._device)
        said = self._say(encoder, packed, head)
        return ((said - goal) ** 2).mean(), packed.n_tokens

    def _say(self, encoder: BertModel, packed: packing.Packed, head: nn.Module) -> Tensor:
        packed = packed.to(self._device)
        with loop.half_precision(self._device):
            hidden = packing.read(encoder, packed)
        said: Tensor = head(packing.mean_pool(hidden, packed))
        return said

    @torch.inference_mode()
    def held_out_r(
        self, encoder: BertModel, head: nn.Module, tokens: int, width: int
    ) -> dict[str, float | None]:
        """Pearson r with each score of the texts held out; None where these do not differ."""
        if not len(self._held_out):
            return dict.fromkeys(self.names)
        batches = list(self._pack(iter([self._held_out]), tokens, width))
        said = np.concatenate([self._say(encoder, b, head).cpu().numpy() for b in batches])
        truth = self._values[np.concatenate([b.order for b in batches])]
        return {
            name: float(np.corrcoef(x, y)[0, 1]) if min(np.ptp(x), np.ptp(y)) > 0 else None
            for name, x, y in zip(self.names, said.T, truth.T, strict=True)
        }


def _scored(record: Mapping[str, Any], *, path: Path, line: int) -> Scored:
    key, source, found = (record.get(name) for name in ("text_sha256", "source", "scores"))
    for name, value in (("text_sha256", key), ("source", source)):
        if not isinstance(value, str):
            message = f"{name!r} is {shown(value)}; expected a string"
            raise RecordError(message, path=path, line=line)
    if not isinstance(found, dict) or not found:
        message = f"'scores' is {shown(found)}; expected an object of numbers by name"
        raise RecordError(message, path=path, line=line)
    for name, score in found.items():
        number = isinstance(score, int | float) and not isinstance(score, bool)
        if not number or not math.isfinite(score):
            message = f"score {name!r} is {shown(score)}; expected a number"
            raise RecordError(message, path=path, line=line)
    return Scored(str(key), str(source), {name: float(x) for name, x in found.items()})

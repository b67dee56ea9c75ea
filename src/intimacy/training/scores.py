"""Texts that somebody has scored: a third thing that `intimacy pretrain` may learn from.

The file of scores holds no text, only the hash of each (`corpus.text_hash` of its body alone), so
that it can be passed on; the texts are found in the corpora. What may not be read there, because
encoders are measured on it, is not learnt from here either.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
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


class Scores:
    """Texts with scores; some of them are held out of all training.

    Attributes:
        sources: Texts found in each file of the corpora.
    """

    def __init__(
        self,
        texts: packing.Texts,
        scores: npt.NDArray[np.float64],
        sources: Mapping[str, int],
        seed: int,
        device: torch.device,
    ) -> None:
        self.sources = dict(sources)
        self._texts, self._seed, self._device = texts, seed, device
        order = np.random.default_rng(0).permutation(len(texts))
        n = min(_HELD_OUT, len(texts) // 20)
        self._held_out, self._learnt = order[:n], order[n:]
        learnt = scores[self._learnt]
        # In units of their spread, so that the loss does not hang on the scale.
        self._scores = (scores - learnt.mean()) / max(float(learnt.std()), 1e-6)

    def __len__(self) -> int:
        return len(self._texts)

    @classmethod
    def open(
        cls,
        reader: corpora.Reader,
        tokenizer: Tokenizer,
        config: ScoresConfig,
        seed: int,
        device: torch.device,
    ) -> Scores:
        """The texts of the corpora that ``config.file`` has scores for.

        Raises:
            ConfigError: When none of them is in the corpora, or the file is not there.
            RecordError: When a line of the file is malformed.
        """
        if not Path(config.file).is_file():
            raise ConfigError(f"[scores] file: {shown(config.file)} is not a file")
        rows = list(store.read_jsonl(Path(config.file), _scored))
        known = {key: score for key, _, score in rows}
        found: dict[str, tuple[str, str]] = {}
        with Progress("scores", unit="text") as bar:
            for text in bar.over(reader.texts_of({source for _, source, _ in rows})):
                for key, turn in zip(text.keys, text.turns, strict=True):
                    if key in known:
                        found.setdefault(key, (turn, text.source))
        if not found:
            raise ConfigError(f"no text of the corpora has one of the {len(known):,} scores")
        turns, sources = zip(*found.values(), strict=True)
        encoded = tokenizer.encode_batch_fast(list(turns), add_special_tokens=False)
        limit = config.max_tokens - 2
        texts = packing.Texts.of([row.ids[:limit] for row in encoded])
        scores = np.array([known[key] for key in found])
        return cls(texts, scores, Counter(sources), seed, device)

    def head(self, encoder: BertModel) -> nn.Linear:
        """From the vector of a text to its score; thrown away after."""
        return nn.Linear(encoder.config.hidden_size, 1).to(self._device)

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
        """Mean squared error of the scores, a spread being 1, and the number of tokens."""
        goal = torch.from_numpy(self._scores[packed.order].astype(np.float32)).to(self._device)
        said = self._say(encoder, packed, head)
        return ((said - goal) ** 2).mean(), packed.n_tokens

    def _say(self, encoder: BertModel, packed: packing.Packed, head: nn.Module) -> Tensor:
        packed = packed.to(self._device)
        with loop.half_precision(self._device):
            hidden = packing.read(encoder, packed)
        said: Tensor = head(packing.mean_pool(hidden, packed))[:, 0]
        return said

    @torch.inference_mode()
    def held_out_r(
        self, encoder: BertModel, head: nn.Module, tokens: int, width: int
    ) -> float | None:
        """Pearson r with the scores of the texts held out; None where there are fewer than two."""
        if len(self._held_out) < 2:
            return None
        batches = list(self._pack(iter([self._held_out]), tokens, width))
        said = np.concatenate([self._say(encoder, b, head).cpu().numpy() for b in batches])
        truth = self._scores[np.concatenate([b.order for b in batches])]
        return float(np.corrcoef(said, truth)[0, 1])


def _scored(record: Mapping[str, Any], *, path: Path, line: int) -> tuple[str, str, float]:
    key, source, score = (record.get(name) for name in ("text_sha256", "source", "score"))
    for name, value in (("text_sha256", key), ("source", source)):
        if not isinstance(value, str):
            message = f"{name!r} is {shown(value)}; expected a string"
            raise RecordError(message, path=path, line=line)
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise RecordError(f"'score' is {shown(score)}; expected a number", path=path, line=line)
    return str(key), str(source), float(score)

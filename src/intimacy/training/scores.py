"""Texts that somebody has scored: a third thing that `intimacy pretrain` may learn from.

The file of scores holds no text, only the hash of each (`corpus.text_hash` of its body alone), so
that it can be passed on; the texts are found in the corpora. What may not be read there, because
encoders are measured on it, is not learnt from here either.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
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


class Scores:
    """Texts with scores, (texts,), in units of their spread."""

    def __init__(
        self, texts: packing.Texts, scores: np.ndarray, seed: int, device: torch.device
    ) -> None:
        self._texts, self._seed, self._device = texts, seed, device
        self._scores = (scores - scores.mean()) / max(float(scores.std()), 1e-6)

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
        found: dict[str, str] = {}
        with Progress("scores", unit="text") as bar:
            for text in bar.over(reader.texts_of({source for _, source, _ in rows})):
                found.update(
                    (k, t) for k, t in zip(text.keys, text.turns, strict=True) if k in known
                )
        if not found:
            raise ConfigError(f"no text of the corpora has one of the {len(known):,} scores")
        encoded = tokenizer.encode_batch_fast(list(found.values()), add_special_tokens=False)
        limit = config.max_tokens - 2
        texts = packing.Texts.of([row.ids[:limit] for row in encoded])
        return cls(texts, np.array([known[key] for key in found]), seed, device)

    def head(self, encoder: BertModel) -> nn.Linear:
        """From the vector of a text to its score; thrown away after."""
        return nn.Linear(encoder.config.hidden_size, 1).to(self._device)

    def batches(self, tokens: int, width: int) -> Iterator[packing.Packed]:
        """Batches of about ``tokens`` tokens in rows of ``width``, pass after pass, without end."""

        def passes() -> Iterator[list[list[int]]]:
            for number in itertools.count():
                order = np.random.default_rng(self._seed + number).permutation(len(self._texts))
                yield packing.fill(self._texts.lengths + 2, order, width)

        rows = max(1, tokens // width)
        frame = (CLS, SEP)
        return packing.batches(self._texts, passes(), rows=rows, width=width, frame=frame, pad=PAD)

    def loss(
        self, encoder: BertModel, packed: packing.Packed, head: nn.Module
    ) -> tuple[Tensor, int]:
        """Mean squared error of the scores, a spread being 1, and the number of tokens."""
        goal = torch.from_numpy(self._scores[packed.order].astype(np.float32)).to(self._device)
        n_tokens, packed = packed.n_tokens, packed.to(self._device)
        with loop.half_precision(self._device):
            hidden = packing.read(encoder, packed)
        said = head(packing.mean_pool(hidden, packed))[:, 0]
        return ((said - goal) ** 2).mean(), n_tokens


def _scored(record: Mapping[str, Any], *, path: Path, line: int) -> tuple[str, str, float]:
    key, source, score = (record.get(name) for name in ("text_sha256", "source", "score"))
    for name, value in (("text_sha256", key), ("source", source)):
        if not isinstance(value, str):
            message = f"{name!r} is {shown(value)}; expected a string"
            raise RecordError(message, path=path, line=line)
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise RecordError(f"'score' is {shown(score)}; expected a number", path=path, line=line)
    return str(key), str(source), float(score)

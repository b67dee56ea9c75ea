"""Texts side by side in rows of one width: no padding worth naming, and always the same shape.

Texts of a row do not see each other and count their positions from zero, so a text reads as
it would alone (Krell et al. 2021, arXiv:2107.02027).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

_OPEN_ROWS = 16


@dataclass(frozen=True)
class Packed:
    """Some rows of token ids."""

    ids: Tensor
    """(rows, width)."""
    text: Tensor
    """Which text of the batch a token belongs to, counted from 1; 0 is padding. (rows, width)."""
    positions: Tensor
    """Place of a token within its text, (rows, width)."""
    order: npt.NDArray[np.int64]
    """Index of every text of the batch in the array that it came from, (texts,)."""

    @property
    def n_tokens(self) -> int:
        """Tokens that are no padding."""
        return int((self.text > 0).sum())

    def to(self, device: torch.device) -> Packed:
        """The same on another device."""
        ids, text, positions = (t.to(device) for t in (self.ids, self.text, self.positions))
        return Packed(ids, text, positions, self.order)


@dataclass(frozen=True)
class Texts:
    """Token ids of many texts, end to end."""

    ids: npt.NDArray[Any]
    ends: npt.NDArray[np.int64]
    """Where each text ends in ``ids``, (texts,)."""

    @classmethod
    def of(cls, rows: list[list[int]], number: str = "uint32") -> Texts:
        """From the ids of each text."""
        lengths = np.array([len(row) for row in rows], np.int64)
        flat = np.fromiter(itertools.chain.from_iterable(rows), number, int(lengths.sum()))
        return cls(flat, np.cumsum(lengths))

    def __len__(self) -> int:
        return len(self.ends)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text, (texts,)."""
        return np.diff(self.ends, prepend=0)


def fill(
    lengths: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64], width: int
) -> list[list[int]]:
    """Texts of every row, first fit among a few open rows.

    Args:
        lengths: Tokens of each text, at most ``width``, (texts,).
        chosen: Texts to place, in this order; one may stand in it more than once.
        width: Tokens a row holds.
    """
    rows: list[list[int]] = []
    free: list[int] = []
    spread: list[list[int]] = []
    for index, length in zip(chosen.tolist(), lengths[chosen].tolist(), strict=True):
        for place, room in enumerate(free):
            if length <= room:
                spread[place].append(index)
                free[place] = room - length
                break
        else:
            if len(free) == _OPEN_ROWS:
                fullest = free.index(min(free))
                rows.append(spread.pop(fullest))
                free.pop(fullest)
            spread.append([index])
            free.append(width - length)
    return rows + spread


def batches(
    texts: Texts,
    passes: Iterator[list[list[int]]],
    *,
    rows: int,
    width: int,
    frame: tuple[int, int],
    pad: int,
) -> Iterator[Packed]:
    """Batches of ``rows`` rows, pass after pass; a batch may reach into the next pass.

    Args:
        texts: Without frame.
        passes: Rows of each pass, as `fill` makes them with the frame counted.
        rows: Rows a batch.
        width: Tokens a row.
        frame: Ids that open and close every text.
        pad: Id that fills a row.
    """
    stream = itertools.chain.from_iterable(passes)
    while taken := list(itertools.islice(stream, rows)):
        yield _lay(texts, taken, rows, width, frame, pad)


def _lay(
    texts: Texts,
    taken: list[list[int]],
    rows: int,
    width: int,
    frame: tuple[int, int],
    pad: int,
) -> Packed:
    order = np.fromiter(itertools.chain.from_iterable(taken), np.int64)
    begins = texts.ends[order] - texts.lengths[order]
    framed = texts.lengths[order] + 2
    row_of = np.repeat(np.arange(len(taken)), [len(row) for row in taken])
    before = np.cumsum(framed) - framed
    first = np.searchsorted(row_of, np.arange(len(taken)))
    start = row_of * width + before - before[first][row_of]
    within = np.arange(int(framed.sum())) - np.repeat(before, framed)
    where = np.repeat(start, framed) + within
    source = np.repeat(begins - 1, framed) + within
    ids = np.full(rows * width, pad, np.int64)
    text = np.zeros(rows * width, np.int64)
    positions = np.zeros(rows * width, np.int64)
    ids[where] = texts.ids[np.clip(source, 0, len(texts.ids) - 1)]
    ids[start], ids[start + framed - 1] = frame
    text[where] = np.repeat(np.arange(1, len(order) + 1), framed)
    positions[where] = within
    shape = (rows, width)
    return Packed(
        torch.from_numpy(ids.reshape(shape)),
        torch.from_numpy(text.reshape(shape)),
        torch.from_numpy(positions.reshape(shape)),
        order,
    )


def read(model: Callable[..., Any], packed: Packed) -> Tensor:
    """Hidden states of an encoder of transformers, (rows, width, hidden)."""
    alone = (packed.text[:, :, None] == packed.text[:, None, :])[:, None]
    hidden: Tensor = model(
        input_ids=packed.ids, attention_mask=alone, position_ids=packed.positions
    ).last_hidden_state
    return hidden


def mean_pool(hidden: Tensor, packed: Packed) -> Tensor:
    """Mean of the hidden states of every text, in single precision, (texts, hidden)."""
    n_texts, width = len(packed.order), hidden.shape[-1]
    flat, owner = hidden.float().flatten(0, 1), packed.text.flatten()
    sums = torch.zeros(n_texts + 1, width, device=hidden.device).index_add_(0, owner, flat)
    counts = torch.bincount(owner, minlength=n_texts + 1).clamp(min=1)
    return (sums / counts[:, None])[1:]


def set_dropout(model: nn.Module, rate: float) -> None:
    """Give every dropout of the model this rate, without touching its configuration."""
    module: Any
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
        elif hasattr(module, "dropout_prob"):  # where transformers 4 keeps that of attention
            module.dropout_prob = rate

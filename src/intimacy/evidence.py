"""Which words a prediction leans on, as spans of the original text.

Tokens say what they add to the best score (`intimacy.backends.Backend.explain`); the words of each
turn that add most together make a span. The classifier then takes each span out of the thread and
scores what is left, so that a weight is what anybody gets who does the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from intimacy import text as texts
from intimacy.prediction import CAPTION
from intimacy.render import FRAME, ModelInput, masked
from intimacy.schema import Thread

MOST = 2
"""Spans of a thread; each costs one more pass of the network."""
Span = tuple[int, int, int]
"""Turn (or `CAPTION`), start and end offset in the original text."""
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class _Words:
    """Words of one turn in its masked text, and what each adds."""

    turn: int
    where: list[tuple[int, int]]
    added: npt.NDArray[np.float64]


def spans(
    thread: Thread,
    item: ModelInput,
    added: npt.NDArray[np.float64],
    *,
    limit: int,
    most: int = MOST,
) -> list[Span]:
    """Runs of words that add most, no two of them touching, heaviest first.

    A run is the stretch of a turn with the largest sum after the mean over all words of what
    they add or take has been subtracted from each: a word stays in it only if it pulls more than
    most do.

    Args:
        thread: What was rendered.
        item: As the network saw it.
        added: What each token adds to the score, shape ``(n,)``.
        limit: Characters of a turn that were looked at, see `intimacy.render.Renderer`.
        most: How many spans at most.
    """
    words = list(_words(thread, item, added, limit))
    if not words:
        return []
    mean = float(np.abs(np.concatenate([w.added for w in words])).mean())
    runs: list[tuple[float, int, tuple[int, int]]] = []
    # Where all words pull alike none stands out; then those count that pull at all.
    for price in (mean, 0.0, -mean):
        runs = [(gain, turn.turn, where) for turn in words for gain, where in _runs(turn, price)]
        if runs:
            break
    runs.sort(key=lambda run: -run[0])
    return [_original(thread, turn, where, limit) for _, turn, where in runs[:most]]


def without(thread: Thread, span: Span) -> Thread:
    """The thread with the characters of ``span`` taken out."""
    turn, start, end = span
    if turn == CAPTION:
        text = thread.post.text or ""
        return replace(thread, post=replace(thread.post, text=text[:start] + text[end:]))
    turns = list(thread.turns)
    text = turns[turn].text
    turns[turn] = replace(turns[turn], text=text[:start] + text[end:])
    return replace(thread, turns=tuple(turns))


def _words(
    thread: Thread, item: ModelInput, added: npt.NDArray[np.float64], limit: int
) -> Iterator[_Words]:
    for turn in dict.fromkeys(item.origins[:, 0].tolist()):
        if turn == FRAME:
            continue
        mine = item.origins[:, 0] == turn
        ends = item.origins[mine, 2]
        body = masked(_text(thread, turn), limit)
        where = [m.span() for m in _WORD.finditer(body) if m.start() < ends.max()]
        if not where:
            continue
        # A token belongs to the word that holds its last character; some start with the blank.
        rows = np.searchsorted([start for start, _ in where], ends - 1, side="right") - 1
        sums = np.zeros(len(where))
        np.add.at(sums, rows.clip(min=0), added[mine])
        yield _Words(turn, where, sums)


def _runs(words: _Words, price: float) -> Iterator[tuple[float, tuple[int, int]]]:
    """Disjoint runs with a gain: (gain, (start, end) in the masked text)."""
    todo = [(0, len(words.where))]
    while todo:
        low, high = todo.pop()
        gain, first, last = _best_run(words.added[low:high] - price)
        if gain <= 0:
            continue
        first, last = first + low, last + low
        yield gain, (words.where[first][0], words.where[last][1])
        # A word on either side is left out, else two runs would be one.
        todo += [(low, max(low, first - 1)), (min(high, last + 2), high)]


def _best_run(values: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, int, int]:
    """Largest sum of a contiguous run with its first and last index (Kadane's algorithm)."""
    best, best_first, best_last = 0.0, 0, 0
    total, first = 0.0, 0
    for i, value in enumerate(values):
        if total <= 0:
            total, first = 0.0, i
        total += value
        if total > best:
            best, best_first, best_last = total, first, i
    return best, best_first, best_last


def _text(thread: Thread, turn: int) -> str:
    return (thread.post.text or "") if turn == CAPTION else thread.turns[turn].text


def _original(thread: Thread, turn: int, where: tuple[int, int], limit: int) -> Span:
    offsets = texts.masked_offsets(_text(thread, turn)[:limit])
    start, end = where
    return turn, offsets[start][0], offsets[end - 1][1]

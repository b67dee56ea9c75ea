"""What to label next: threads the model is unsure of, unlike each other, or that tell most.

Two strategies draw by chance and say with what probability: ``random``, and ``profile``, which
draws a thread more often the more its label would narrow the shares of its creator. Their labels
speak for all threads: tasks of `intimacy.export_for` carry the probabilities, and labels that
`intimacy.read_annotations` gives back hand them to `intimacy.labelled_shares`. The other two
serve training: what they choose is unlike the rest by design, and shares from it are biased.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from intimacy.annotation import VALUES
from intimacy.classifier import Classifier
from intimacy.errors import ConfigError, ThreadError, require_many, shown
from intimacy.intake import as_thread
from intimacy.prediction import Prediction
from intimacy.profiling import as_predictions
from intimacy.schema import Label, Role, Thread

Strategy = Literal["uncertainty", "diversity", "profile", "random"]
STRATEGIES: tuple[Strategy, ...] = ("uncertainty", "diversity", "profile", "random")
OUTCOMES = (*(str(label) for label in Label), "out_of_scope")
"""What a label can be: one of the four, or none of them."""

Floats = npt.NDArray[np.float64]
_EVEN = 0.5
"""Part of the draw that takes every thread alike, so that sure scores that are wrong are seen."""
_WORDS = 128
"""Columns that words are hashed into."""
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A thread to label, and why it."""

    thread_id: str
    position: int
    """Where it stands in what was given, from 0."""
    creator_id: str | None
    by: Strategy
    score: float
    """What it was chosen by, larger first; by strategy, see `label_next`."""
    probability: float | None = None
    """That the draw takes this thread; None where chance did not decide."""
    why: str = ""


def label_next(
    threads: Iterable[Any],
    n: int,
    *,
    by: Strategy = "uncertainty",
    predictions: Iterable[Prediction] | None = None,
    model: Classifier | None = None,
    creator_id: str | None = None,
    labelled: Collection[str] = (),
    seed: int = 0,
) -> list[Choice]:
    """The threads to label next, best first, or in random order where they are drawn.

    Never chosen: threads that the model did not read (empty, too short, not Italian), and those
    in which a follower states an age under 18.

    - ``uncertainty``: the smallest margin between the two likeliest of five outcomes, the four
      labels and out of scope (Settles 2009, section 3.1). Score: 1 less the margin.
    - ``diversity``: unsure threads that differ from each other, by k-means++ over the gradients
      that their likeliest labels would give (BADGE, Ash et al. 2020, arXiv:1906.03671), with
      hashed words, attributes and roles in place of the last hidden layer; words only where
      threads are given. Score: squared distance to those chosen before.
    - ``profile``: drawn with a probability that grows with the standard deviation of what is left
      to know of the shares (active inference, Zrnic & Candès 2024, arXiv:2403.03208), in equal
      parts with an even draw. Of several creators, labels go where intervals are widest. Score:
      that standard deviation.
    - ``random``: every thread alike. Score: 0.

    Args:
        threads: Threads; or predictions alone.
        n: How many to choose.
        by: One of `STRATEGIES`.
        predictions: Of these threads, in their order; None classifies them now.
        model: That classifies; None is the bundled one.
        creator_id: Choose among the threads of this creator only.
        labelled: Ids not to choose again. Probabilities are those of a draw from the rest. Labels
            of several draws go together, each with the probability of its own; those that
            chance did not choose have probability 1 in `intimacy.labelled_shares`.
        seed: Of the draws. The same threads in any order and the same seed give the same choice.

    Raises:
        ConfigError: When there is no such strategy or creator, or not as many threads.
        ThreadError: When the threads are not such, or two have one id.
    """
    if by not in STRATEGIES:
        raise ConfigError(f"by is {shown(by)}; expected one of: {', '.join(STRATEGIES)}")
    for name, value, least in (("n", n, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{name} is {shown(value)}; expected a whole number from {least}")
    if isinstance(labelled, str):
        raise ConfigError("labelled is one string; expected a collection of thread ids")
    require_many(threads, "a list of threads or of predictions")
    given = list(threads)
    found = as_predictions(given, predictions, model)
    rows = frame(found, creator_id=creator_id)
    skip = {str(name) for name in labelled}
    rows = sorted(
        (i for i in rows if str(found[i].thread_id) not in skip),
        key=lambda i: (str(found[i].creator_id), str(found[i].thread_id)),
    )
    if n > len(rows):
        raise ConfigError(
            f"n is {n}; of {len(found)} threads {len(rows)} can be chosen (read by the model, not "
            f"labelled yet): give n={len(rows)} or fewer, or more threads"
            if rows
            else f"none of {len(found)} threads can be chosen: the model read none that is not "
            "labelled yet; give other threads"
        )
    kept = [found[i] for i in rows]
    odds = chances(kept)
    texts = [as_thread(item, i) for i in rows if not isinstance(item := given[i], Prediction)]
    scores, probability, order = _chosen(by, kept, texts, odds, n, seed)
    return [
        Choice(
            thread_id=str(kept[i].thread_id),
            position=rows[i],
            creator_id=kept[i].creator_id,
            by=by,
            score=float(scores[i]),
            probability=None if probability is None else float(probability[i]),
            why=_two_likeliest(odds[i]),
        )
        for i in order
    ]


def _chosen(
    by: Strategy,
    kept: Sequence[Prediction],
    texts: Sequence[Thread],
    odds: Floats,
    n: int,
    seed: int,
) -> tuple[Floats, Floats | None, list[int]]:
    """Scores, probabilities of a draw, and the rows that are chosen, in order."""
    size, rng = len(kept), np.random.default_rng(seed)
    if by == "random":
        order: list[int] = rng.choice(size, n, replace=False).tolist()
        return np.zeros(size), np.full(size, n / size), order
    if by == "profile":
        spread = np.sqrt(left_to_know(odds, [item.creator_id for item in kept]))
        probability, drawn = _drawn([item.creator_id for item in kept], odds, spread, n, seed)
        return spread, probability, rng.permutation(drawn).tolist()
    if by == "uncertainty":
        best = np.sort(odds, axis=1)
        doubt = 1 - (best[:, -1] - best[:, -2])
        return doubt, None, np.argsort(-doubt, kind="stable")[:n].tolist()
    distances, order = _scattered(odds, _looks(kept, texts), n, rng)
    return distances, None, order


def _two_likeliest(odds: Floats) -> str:
    first, second = np.argsort(-odds, kind="stable")[:2]
    return f"{OUTCOMES[first]} {odds[first]:.2f}, {OUTCOMES[second]} {odds[second]:.2f}"


# -- what is known of a thread


def frame(predictions: Sequence[Prediction], *, creator_id: str | None = None) -> list[int]:
    """Positions of the threads that labels can be asked of, and that shares speak of.

    Those the model read, less those in which a follower states an age under 18 (profiles leave
    them out as well).

    Raises:
        ConfigError: When there is no thread of the creator.
        ThreadError: When two of them have one id.
    """
    rows = [
        i
        for i, item in enumerate(predictions)
        if item.scores
        and item.thread_id is not None
        and (creator_id is None or item.creator_id == creator_id)
        and not (item.structure.signs and item.structure.signs.cues.get("minor"))
    ]
    if creator_id is not None and all(p.creator_id != creator_id for p in predictions):
        raise ConfigError(
            f"no thread of creator {shown(creator_id)} among {len(predictions)}; expected a "
            "creator_id that the threads have"
        )
    times = Counter(predictions[i].thread_id for i in rows)
    if twice := [name for name, count in times.items() if count > 1]:
        raise ThreadError(
            f"{len(twice)} ids stand at more than one thread, e.g. {shown(twice[0])}; expected an "
            "id of its own for each, or a label cannot be told whose it is"
        )
    return rows


def chances(predictions: Sequence[Prediction]) -> Floats:
    """Probabilities of the five `OUTCOMES`, as the scores have them; shape ``(n, 5)``."""
    scores = [[item.scores.get(name, 0.0) for name in OUTCOMES[:-1]] for item in predictions]
    scope = np.array([1.0 if item.scope is None else item.scope for item in predictions])
    inside = np.array(scores, dtype=np.float64).reshape(-1, len(OUTCOMES) - 1) * scope[:, None]
    out = np.column_stack([inside, np.clip(1 - inside.sum(1), 0.0, 1.0)])
    result: Floats = out / out.sum(1, keepdims=True)
    return result


def left_to_know(odds: Floats, groups: Sequence[Any] | None = None) -> Floats:
    """How much each thread's label would tell of the shares: a variance, shape ``(n,)``.

    A share among threads in scope is a ratio; linearised, a thread adds Y - θS to it, Y whether it
    has the label and S whether it is in scope. What the model leaves open is the variance of that
    given the scores, summed over the four labels, with the mean chances of the thread's group
    for θ.
    """
    out = np.zeros(len(odds))
    names = [""] * len(odds) if groups is None else [str(name) for name in groups]
    keys = np.unique(names, return_inverse=True)[1]
    for key in np.unique(keys):
        rows = keys == key
        y, scope = odds[rows, :-1], odds[rows, :-1].sum(1, keepdims=True)
        share = y.sum(0) / max(float(scope.sum()), 1e-12)
        open_ = y * (1 - y) + share**2 * scope * (1 - scope) - 2 * share * y * (1 - scope)
        out[rows] = open_.clip(min=0).sum(1)
    return out


# -- drawn for a profile


def _drawn(
    creators: Sequence[str | None], odds: Floats, spread: Floats, n: int, seed: int
) -> tuple[Floats, list[int]]:
    """Inclusion probabilities, and rows drawn with them: of each creator a fixed number."""
    keys = np.array([str(name) for name in creators])
    names = sorted(set(keys))
    sizes = np.array([(keys == name).sum() for name in names])
    width = np.array([spread[keys == name].mean() for name in names])
    probability, out = np.zeros(len(keys)), []
    for name, share in zip(names, _shared_out(width, sizes, n), strict=True):
        if not share:
            continue
        rows = np.flatnonzero(keys == name)
        probability[rows] = _inclusion(spread[rows], share)
        # Along the likeliest outcome and then the doubt: every kind gets its part.
        rows = rows[np.lexsort((spread[rows], odds[rows].argmax(1)))]
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        ends = np.cumsum(probability[rows])
        ends *= share / ends[-1]
        out += rows[np.searchsorted(ends, rng.random() + np.arange(share), "right")].tolist()
    return probability, out


def _shared_out(width: Floats, sizes: npt.NDArray[np.int64], n: int) -> list[int]:
    """Labels by creator: each goes where the interval is widest with those given so far."""
    given = np.zeros(len(sizes), dtype=np.int64)
    for _ in range(n):
        need = np.where(given < sizes, np.maximum(width, 1e-9) / np.sqrt(given + 0.5), -1.0)
        given[need.argmax()] += 1
    return [int(g) for g in given]


def _inclusion(spread: Floats, n: int) -> Floats:
    """Probabilities that sum to n, none above 1: half even, half by what is left to know."""
    size, total = len(spread), float(spread.sum())
    told = spread / total if total > 0 else np.full(size, 1 / size)
    weight = (1 - _EVEN) * told + _EVEN / size
    sure: npt.NDArray[np.bool_] = np.zeros(size, dtype=np.bool_)
    while True:
        out = np.where(sure, 1.0, weight * (n - sure.sum()) / max(weight[~sure].sum(), 1e-300))
        over = (out > 1) & ~sure
        if not over.any():
            return np.asarray(np.minimum(out, 1.0))
        sure = sure | over


# -- unlike each other


def _looks(predictions: Sequence[Prediction], texts: Sequence[Thread]) -> npt.NDArray[np.float32]:
    """Attributes, roles and hashed words of each thread, each part of length 1."""
    values = [(head, value) for head, options in VALUES.items() for value in options]
    own = np.zeros((len(predictions), len(values) + len(Role) + 1), dtype=np.float32)
    for row, item in zip(own, predictions, strict=True):
        roles = Counter(item.structure.roles)
        row[: len(values)] = [item.attributes.get(head) == value for head, value in values]
        row[len(values) : -1] = [np.log1p(roles[role]) for role in Role]
        row[-1] = item.structure.has_caption
    if not texts:
        return _unit(own)
    words = np.zeros((len(texts), _WORDS), dtype=np.float32)
    for row, thread in zip(words, texts, strict=True):
        found = (w for turn in thread.turns for w in _WORD.findall(turn.text[:2_000].lower()))
        for word, count in Counter(found).items():
            row[zlib.crc32(word.encode()) % _WORDS] += 1 + np.log(count)
    rarity = np.log((1 + len(words)) / (1 + (words > 0).sum(0)))
    return np.concatenate([_unit(own), _unit(words * rarity.astype(np.float32))], axis=1)


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    length = np.sqrt((rows**2).sum(1, keepdims=True))
    return np.asarray(rows / np.maximum(length, np.float32(1e-9)))


def _scattered(
    odds: Floats, looks: npt.NDArray[np.float32], n: int, rng: np.random.Generator
) -> tuple[Floats, list[int]]:
    """k-means++ over outer products of two vectors a thread, which are never written out."""
    pull = odds - np.eye(odds.shape[1])[odds.argmax(1)]
    length = (pull**2).sum(1) * (looks.astype(np.float64) ** 2).sum(1)
    distance, chosen = np.full(len(odds), np.inf), [int(length.argmax())]
    score = length.copy()
    while len(chosen) < n:
        last = chosen[-1]
        shared = (pull @ pull[last]) * (looks @ looks[last])
        distance = np.minimum(distance, np.maximum(length + length[last] - 2 * shared, 0.0))
        distance[chosen] = 0.0
        total = distance.sum()
        if total > 1e-12:
            new = int(rng.choice(len(odds), p=distance / total))
        else:  # nothing differs any more: the most doubtful of what is left
            rest = np.where(np.isin(np.arange(len(odds)), chosen), -1.0, length)
            new = int(rest.argmax())
        score[new] = distance[new]
        chosen.append(new)
    return score, chosen

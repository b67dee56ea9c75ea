"""Figures that a classifier is judged by, and the rules it must beat.

Metrics are the field's own (scikit-learn computes the same macro-F1; a test says so); they are
written out here because the light install has no scikit-learn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from intimacy.errors import ConfigError, shown
from intimacy.schema import Label, Role, Share, Thread

_PRODUCT = re.compile(
    r"\b(?:prezz\w*|cost[aio]\w*|compra\w*|acquist\w*|ordin\w*|sconto|sconti|codice|link|marca|"
    r"brand|prodott\w*|sponsor\w*|adv|pubblicit\w*|spedizion\w*|shop|negozi\w*|taglia|corso|"
    r"bigliett\w*|giveaway|crema|fondotinta|libro)\b|€|\beuro\b",
    re.IGNORECASE,
)


def names_product(text: str) -> bool:
    """Whether a word of buying and selling stands in it."""
    return _PRODUCT.search(text) is not None


def structure_rules(thread: Thread) -> Label:
    """The baseline without a model: product word, else creator reply, else interactive."""
    if any(names_product(turn.text) for turn in thread.turns):
        return Label.COMMERCIAL
    if any(turn.role is Role.CREATOR for turn in thread.turns):
        return Label.RECIPROCAL
    return Label.INTERACTIVE


def majority(labels: Sequence[Hashable]) -> Hashable:
    """The most frequent label; of equals the first seen."""
    return Counter(labels).most_common(1)[0][0]


def codes(values: Sequence[Hashable], labels: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """Places of the values among the labels; ``len(labels)`` for what is none of them."""
    index = {label: i for i, label in enumerate(labels)}
    return np.array([index.get(value, len(labels)) for value in values], dtype=np.int64)


def f1_of_codes(
    truth: npt.NDArray[np.int64], said: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.float64]:
    """F1 of each of ``size`` labels, 0 where neither side has it; both sides from `codes`."""
    both = np.bincount(truth[truth == said], minlength=size)[:size]
    either = np.bincount(truth, minlength=size)[:size] + np.bincount(said, minlength=size)[:size]
    found: npt.NDArray[np.float64] = 2 * both / either.clip(min=1)
    return found


def f1_by_label(
    truth: Sequence[Hashable], predicted: Sequence[Hashable], labels: Sequence[Hashable]
) -> dict[Hashable, float]:
    """F1 of every label, 0 where neither side has it."""
    if len(truth) != len(predicted):
        raise ConfigError(f"{len(truth)} true labels, {len(predicted)} others; expected as many")
    found = f1_of_codes(codes(truth, labels), codes(predicted, labels), len(labels))
    return dict(zip(labels, found.tolist(), strict=True))


def macro_f1(
    truth: Sequence[Hashable], predicted: Sequence[Hashable], labels: Sequence[Hashable]
) -> float:
    """Unweighted mean of F1 over ``labels``, in [0, 1]."""
    return sum(f1_by_label(truth, predicted, labels).values()) / len(labels)


@dataclass(frozen=True, slots=True)
class Bin:
    """Threads of about equal confidence: what was promised and what was kept."""

    n: int
    confidence: float
    accuracy: float


def reliability(
    confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_], *, bins: int = 15
) -> list[Bin]:
    """Bins of equal mass, from the least confident to the most; the reliability diagram."""
    order = np.argsort(confidences, kind="stable")
    parts = np.split(order, _starts(len(order), bins)[1:]) if len(order) else []
    return [
        Bin(len(part), float(confidences[part].mean()), float(correct[part].mean()))
        for part in parts
    ]


def _starts(n: int, bins: int) -> npt.NDArray[np.int64]:
    """Where each bin of equal mass begins among ``n`` sorted rows; the first ones are larger."""
    bins = min(bins, n)
    sizes = np.full(bins, n // bins)
    sizes[: n % bins] += 1
    starts: npt.NDArray[np.int64] = sizes.cumsum() - sizes
    return starts


def calibration_error(
    confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_], *, bins: int = 15
) -> float:
    """Expected calibration error over bins of equal mass (Nixon et al. 2019), in [0, 1]."""
    n = len(confidences)
    if not n:
        return 0.0
    gaps = (confidences - correct)[np.argsort(confidences, kind="stable")]
    return float(np.abs(np.add.reduceat(gaps, _starts(n, bins))).sum() / n)


def calibration_error_by_chance(
    confidences: npt.NDArray[np.float64], *, bins: int = 15, draws: int = 1_000, seed: int = 0
) -> float:
    """What `calibration_error` is on average for a perfectly calibrated model of as many threads.

    Bins of few threads differ from what they promise by chance alone, so the error of a perfect
    model is not zero. Answers are drawn right with the probability that was promised.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.random((draws, len(confidences))) < confidences
    return float(np.mean([calibration_error(confidences, row, bins=bins) for row in drawn]))


def risk_coverage_area(
    confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]
) -> float:
    """Area under the risk–coverage curve (Geifman et al. 2019), in [0, 1]; lower is better.

    The mean error rate among the k most confident answers, over all k.
    """
    if not len(confidences):
        return 0.0
    wrong = ~correct[np.argsort(-confidences, kind="stable")]
    return float((wrong.cumsum() / np.arange(1, len(wrong) + 1)).mean())


def most_confident(confidences: npt.NDArray[np.float64], coverage: float) -> npt.NDArray[np.int64]:
    """Rows of the ``coverage`` most confident answers, e.g. 0.9 of all."""
    n = round(coverage * len(confidences))
    rows: npt.NDArray[np.int64] = np.argsort(-confidences, kind="stable")[:n]
    return rows


def brier(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    """Multi-class Brier score, in [0, 2]: mean squared distance from the one-hot truth."""
    return float(((scores - np.eye(scores.shape[1])[truth]) ** 2).sum(1).mean())


def cluster_interval(
    statistic: Callable[[Sequence[int]], float],
    clusters: Sequence[Any],
    *,
    interval: float = 0.95,
    draws: int = 1_000,
    seed: int = 0,
) -> Share:
    """A statistic with its percentile interval from a bootstrap over clusters.

    Threads of one creator resemble each other, so creators are drawn, not threads.

    Args:
        statistic: From row indices (with repeats) to a number.
        clusters: Cluster of every row.
        interval: Probability inside the interval.
        draws: Bootstrap samples.
        seed: Of the draws.

    Returns: The estimate with its interval; of one cluster without, and with the reason.
    """
    return cluster_intervals(
        lambda rows: [statistic(rows.tolist())],
        clusters,
        interval=interval,
        draws=draws,
        seed=seed,
    )[0]


def cluster_intervals(
    statistics: Callable[[npt.NDArray[np.int64]], Sequence[float] | npt.NDArray[np.float64]],
    clusters: Sequence[Any],
    *,
    interval: float = 0.95,
    draws: int = 1_000,
    seed: int = 0,
) -> list[Share]:
    """Several statistics of one bootstrap over clusters, see `cluster_interval`.

    The bootstrap of Field & Welsh (2007), *Bootstrapping Clustered Data*: whole clusters are drawn
    with replacement, as many as there are; intervals are percentiles (Efron & Tibshirani 1993,
    chapter 13). A statistic that is a difference of two models is paired, since both are read on
    the threads of the same draw.

    Args:
        statistics: From row indices (with repeats) to numbers, always as many.
        clusters: Cluster of every row.
        interval: Probability inside the interval.
        draws: Bootstrap samples.
        seed: Of the draws.

    Returns: An estimate for each number with its interval; of one cluster without, and with the
        reason.
    """
    members: dict[Any, list[int]] = {}
    for row, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(row)
    estimates = [float(v) for v in statistics(np.arange(len(clusters)))]
    if len(members) < 2:
        return [Share(estimate=v, reason="all of one creator: no interval") for v in estimates]
    groups = [np.array(rows) for rows in members.values()]
    rng = np.random.default_rng(seed)
    values = np.empty((draws, len(estimates)))
    for sample in values:
        drawn = rng.integers(len(groups), size=len(groups))
        sample[:] = statistics(np.concatenate([groups[g] for g in drawn]))
    low, high = np.quantile(values, [(1 - interval) / 2, (1 + interval) / 2], axis=0)
    return [
        Share(estimate=v, low=float(low[i]), high=float(high[i])) for i, v in enumerate(estimates)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Threads that one of two models alone gets right, and how surprising their numbers are."""

    only_first: int
    only_second: int
    p: float
    """Two-sided; 1 where no thread tells the two apart."""


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> McNemar:
    """McNemar's test (1947) of two classifiers on the same threads, exact.

    Where both are as good, who alone is right is a coin (Dietterich 1998, *Approximate Statistical
    Tests for Comparing Supervised Classification Learning Algorithms*). The coin takes threads for
    independent; those of one creator are not, so p is too small there.

    Args:
        first: Whether the first one is right, by thread.
        second: Whether the second one is, in the same order.

    Raises:
        ConfigError: When they are not as many.
    """
    if len(first) != len(second):
        raise ConfigError(f"{len(first)} answers and {len(second)}; expected the same threads")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n = only_first + only_second
    # As integers: powers of two outgrow a float at about a thousand threads.
    term = tail = 1
    for k in range(min(only_first, only_second)):
        term = term * (n - k) // (k + 1)
        tail += term
    return McNemar(only_first=only_first, only_second=only_second, p=min(1.0, 2 * tail / 2**n))


def confusion(
    truth: Sequence[Hashable], predicted: Sequence[Hashable], labels: Sequence[Hashable]
) -> list[list[int]]:
    """Counts with the true label in rows, the predicted in columns."""
    index: Mapping[Hashable, int] = {label: i for i, label in enumerate(labels)}
    table = [[0] * len(labels) for _ in labels]
    for t, p in zip(truth, predicted, strict=True):
        table[index[t]][index[p]] += 1
    return table


def krippendorff_alpha(
    units: Sequence[Sequence[Hashable | None]],
    *,
    level: Literal["nominal", "ordinal"] = "nominal",
    values: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | None = None,
    interval: float = 0.95,
    draws: int = 1_000,
    seed: int = 0,
) -> Share:
    """Agreement of annotators beyond chance: 1 is perfect, 0 is chance, below 0 is worse.

    Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), over the coincidences of
    values within units; any number of annotators, missing answers allowed. The interval is the
    percentile interval of a bootstrap over clusters of units.

    Args:
        units: For every thread, the annotators' answers; None is a missing one. A unit with
            fewer than two answers carries no information and is passed over.
        level: ``nominal`` counts every difference alike; ``ordinal`` weighs it by the answers
            that lie between the two.
        values: All values, in their order; needed for ``ordinal``.
        clusters: Cluster of every unit (the persona of a thread); else every unit is its own.
        interval: Probability inside the interval.
        draws: Bootstrap samples.
        seed: Of the draws.

    Returns: The estimate in [-1, 1] with its interval (without one where all units are one
        cluster), or the reason why there is none.

    Raises:
        ConfigError: When an argument has no meaning, e.g. an answer that is not in ``values``.
    """
    units = [list(unit) for unit in units]
    seen = list(dict.fromkeys(answer for unit in units for answer in unit if answer is not None))
    if level not in ("nominal", "ordinal"):
        raise ConfigError(f"level is {shown(level)}; expected 'nominal' or 'ordinal'")
    if level == "ordinal" and values is None:
        raise ConfigError("no values; ordinal agreement needs values=, all of them in their order")
    if not 0 < interval < 1 or draws < 1:
        raise ConfigError(f"interval is {interval}, draws {draws}; expected one in (0, 1), one ≥ 1")
    order = list(values) if values is not None else seen
    if unknown := [answer for answer in seen if answer not in order]:
        raise ConfigError(f"an answer is {shown(unknown[0])}, which is not in values")
    names = list(clusters) if clusters is not None else list(range(len(units)))
    if len(names) != len(units):
        raise ConfigError(f"{len(names)} clusters for {len(units)} units; expected one for each")
    index = {value: i for i, value in enumerate(order)}
    tables: dict[Hashable, npt.NDArray[np.float64]] = {}
    for unit, cluster in zip(units, names, strict=True):
        counts = np.zeros(len(order))
        for answer in unit:
            if answer is not None:
                counts[index[answer]] += 1
        if counts.sum() < _PAIR:
            continue
        table = tables.setdefault(cluster, np.zeros((len(order), len(order))))
        table += (np.outer(counts, counts) - np.diag(counts)) / (counts.sum() - 1)
    if not tables:
        return Share(reason="no unit has two answers")
    stack = np.stack(list(tables.values()))
    estimate = float(_alpha(stack.sum(0)[None], level)[0])
    if np.isnan(estimate):
        return Share(reason="all answers are the same: agreement beyond chance is not defined")
    if len(stack) == 1:
        return Share(estimate=estimate, reason="all units are one cluster: no interval")
    rng, even = np.random.default_rng(seed), [1 / len(stack)] * len(stack)
    # One draw at a time: all of them over a million clusters would not fit into memory.
    drawn = [np.tensordot(rng.multinomial(len(stack), even), stack, axes=1) for _ in range(draws)]
    found = _alpha(np.stack(drawn), level)
    found = found[~np.isnan(found)]
    if not len(found):
        return Share(estimate=estimate, reason="too few different answers for an interval")
    low, high = np.quantile(found, [(1 - interval) / 2, (1 + interval) / 2])
    return Share(estimate=estimate, low=float(low), high=float(high))


_PAIR = 2


def _alpha(coincidences: npt.NDArray[np.float64], level: str) -> npt.NDArray[np.float64]:
    """Alpha of every table of coincidences, shape (n, k, k) → (n,); nan where undefined."""
    totals = coincidences.sum(2)
    n, k = totals.shape
    if level == "nominal":
        distance = np.broadcast_to(1 - np.eye(k), (n, k, k))
    else:
        # Half of the answers at either end and all between them, squared.
        middle = totals.cumsum(1) - totals / 2
        distance = (middle[:, :, None] - middle[:, None, :]) ** 2
    observed = (coincidences * distance).sum((1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * distance).sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1 - (totals.sum(1) - 1) * observed / expected)

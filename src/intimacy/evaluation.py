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


def f1_by_label(
    truth: Sequence[Hashable], predicted: Sequence[Hashable], labels: Sequence[Hashable]
) -> dict[Hashable, float]:
    """F1 of every label, 0 where neither side has it."""
    out = {}
    for label in labels:
        both = sum(t == label and p == label for t, p in zip(truth, predicted, strict=True))
        either = sum(t == label for t in truth) + sum(p == label for p in predicted)
        out[label] = 2 * both / either if either else 0.0
    return out


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
    parts = np.array_split(order, min(bins, len(order))) if len(order) else []
    return [
        Bin(len(part), float(confidences[part].mean()), float(correct[part].mean()))
        for part in parts
    ]


def calibration_error(
    confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_], *, bins: int = 15
) -> float:
    """Expected calibration error over bins of equal mass (Nixon et al. 2019), in [0, 1]."""
    found = reliability(confidences, correct, bins=bins)
    n = sum(part.n for part in found)
    return sum(abs(part.confidence - part.accuracy) * part.n for part in found) / max(1, n)


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
    """
    members: dict[Any, list[int]] = {}
    for row, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(row)
    groups = list(members.values())
    rng = np.random.default_rng(seed)
    values = [
        statistic([row for g in rng.integers(len(groups), size=len(groups)) for row in groups[g]])
        for _ in range(draws)
    ]
    return Share(
        estimate=statistic(range(len(clusters))),
        low=float(np.quantile(values, (1 - interval) / 2)),
        high=float(np.quantile(values, (1 + interval) / 2)),
    )


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

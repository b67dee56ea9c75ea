"""Figures that a classifier is judged by, and the rules it must beat.

Metrics are the field's own (scikit-learn computes the same macro-F1; a test says so); they are
written out here because the light install has no scikit-learn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from intimacy.schema import Label, Role, Share, Thread

_PRODUCT = re.compile(
    r"\b(?:prezz\w*|cost[aio]\w*|compra\w*|acquist\w*|ordin\w*|sconto|sconti|codice|link|marca|"
    r"brand|prodott\w*|sponsor\w*|adv|pubblicit\w*|spedizion\w*|shop|negozi\w*|taglia|corso|"
    r"bigliett\w*|giveaway|crema|fondotinta|libro)\b|€|\beuro\b",
    re.IGNORECASE,
)


def structure_rules(thread: Thread) -> Label:
    """The baseline without a model: product word, else creator reply, else interactive."""
    if any(_PRODUCT.search(turn.text) for turn in thread.turns):
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


def calibration_error(
    confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_], *, bins: int = 15
) -> float:
    """Expected calibration error over bins of equal mass (Nixon et al. 2019), in [0, 1]."""
    order = np.argsort(confidences, kind="stable")
    gaps = [
        abs(confidences[part].mean() - correct[part].mean()) * len(part)
        for part in np.array_split(order, min(bins, len(order)))
        if len(part)
    ]
    return float(sum(gaps) / max(1, len(order)))


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

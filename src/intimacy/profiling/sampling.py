"""Statistics of threads that hang together: of one post, of one follower.

Draws are of what the data leave possible, ready for an interval or a difference, and seeded: the
same rows give the same draws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from intimacy import prevalence
from intimacy.profiling.facts import Bools

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
DRAWS = prevalence.DRAWS
HALF = 0.5 + 1e-9
"""One half, whatever rounding makes of it."""
_RESAMPLES = 500
_SEED = 4_140_413


def generator() -> np.random.Generator:
    """A fresh generator with the seed of all measures."""
    return np.random.default_rng(_SEED)


def design_effect(values: Floats, posts: Ints, authors: Ints) -> float:
    """How much wider an interval is because threads of a post, or of a follower, are alike.

    Variance of the mean under two-way clusters over that under independence (Cameron, Gelbach &
    Miller 2011, "Robust Inference With Multiway Clustering"), at least 1.

    Args:
        values: What is averaged, one value a thread, shape ``(n,)`` or ``(n, k)``; of several
            columns the effects are averaged by their variance.
        posts: Keys; 0 hangs together with nothing.
        authors: The same for who opened the thread.
    """
    n = len(values)
    if n < 2:
        return 1.0
    residual = np.asarray(values, dtype=np.float64).reshape(n, -1)
    residual = residual - residual.mean(0)
    alone = (residual**2).sum() * n / (n - 1)
    if alone <= 0:
        return 1.0
    by_post, by_author = _clusters(posts), _clusters(authors)
    both = _clusters(by_post * np.int64(n + 1) + by_author + 1)  # 0 would stand alone
    variance = sum(
        sign * _between(residual, groups)
        for sign, groups in ((1, by_post), (1, by_author), (-1, both))
    )
    return float(np.clip(variance / alone, 1.0, n / 2))


def _clusters(keys: Ints) -> Ints:
    """Groups numbered from 0; keys that are 0 stand alone."""
    own = np.where(keys == 0, -1 - np.arange(len(keys)), keys)
    groups: Ints = np.unique(own, return_inverse=True)[1]
    return groups


def _between(residual: Floats, groups: Ints) -> float:
    sums = np.zeros((groups.max() + 1, residual.shape[1]))
    np.add.at(sums, groups, residual)
    n_groups = len(sums)
    correction = n_groups / (n_groups - 1) if n_groups > 1 else 1.0
    return float(correction * (sums**2).sum())


def proportion(hit: Bools, posts: Ints, authors: Ints) -> Floats:
    """Draws of the share of threads that are hit."""
    effect = design_effect(hit.astype(np.float64), posts, authors)
    return prevalence.rate_draws(hit.sum() / effect, len(hit) / effect)


def mean_count(counts: Floats, posts: Ints, authors: Ints) -> Floats:
    """Draws of a mean count a thread, log-normal about it by linearisation."""
    rng, n, mean = generator(), len(counts), float(counts.mean())
    if mean <= 0:
        return rng.gamma(0.5, size=DRAWS) / n
    effect = design_effect(counts, posts, authors)
    error = np.sqrt(effect * float(((counts - mean) ** 2).sum())) / n
    return np.exp(rng.normal(np.log(mean), error / mean, size=DRAWS))


def median_survival(time: Floats, event: Bools, posts: Ints) -> Floats:
    """Draws of the median waiting time, where what did not happen yet is censored.

    Kaplan & Meier (1958), resampled by post with exponential weights (Rubin's Bayesian
    bootstrap). ``inf`` where fewer than half of the events ever happen.
    """
    groups = _clusters(posts)
    if groups.max() + 1 < 5:
        groups = np.arange(len(time))
    order = np.lexsort((~event, time))
    time, event, groups = time[order], event[order], groups[order]
    weights = generator().exponential(size=(_RESAMPLES, groups.max() + 1))
    return np.array([_median(time, event, row[groups]) for row in weights])


def kaplan_meier(time: Floats, event: Bools, weights: Floats | None = None) -> Floats:
    """Share that still waits after each time, for times in rising order, events before the rest."""
    weight = np.ones(len(time)) if weights is None else weights
    at_risk = weight[::-1].cumsum()[::-1]
    survival: Floats = np.cumprod(1 - np.where(event, weight / at_risk, 0.0))
    return survival


def _median(time: Floats, event: Bools, weights: Floats | None = None) -> float:
    below = np.flatnonzero(kaplan_meier(time, event, weights) <= HALF)
    return float(time[below[0]]) if len(below) else float("inf")


def gini(counts: Floats, weights: Floats | None = None) -> float:
    """Inequality of counts, 0 to 1, with the small-sample correction n / (n - 1)."""
    n = len(counts)
    if n < 2 or counts.sum() <= 0:
        return float("nan")
    weight = np.full(n, 1.0) if weights is None else weights * n / weights.sum()
    order = np.argsort(counts, kind="stable")
    counts, weight = counts[order], weight[order]
    people = np.insert(weight.cumsum() / n, 0, 0.0)
    held = np.insert((weight * counts).cumsum() / (weight * counts).sum(), 0, 0.0)
    area = float(((held[1:] + held[:-1]) * np.diff(people)).sum() / 2)
    return (1 - 2 * area) * n / (n - 1)


def top_share(counts: Floats, weights: Floats | None = None, *, share: float = 0.1) -> float:
    """Part of the total that the busiest tenth hold."""
    weight = np.ones(len(counts)) if weights is None else weights / weights.mean()
    order = np.argsort(-counts, kind="stable")
    people = weight[order].cumsum() / weight.sum()
    held = (weight * counts)[order].cumsum() / (weight * counts).sum()
    return float(np.interp(share, np.insert(people, 0, 0.0), np.insert(held, 0, 0.0)))


def bootstrap(counts: Floats, statistic: Callable[..., float]) -> Floats:
    """Draws of a statistic of counts and weights, by exponential weights."""
    weights = generator().exponential(size=(_RESAMPLES, len(counts)))
    return np.array([statistic(counts, row) for row in weights])


def jensen_shannon(first: Floats, second: Floats, *, chances: int = 1) -> float:
    """Divergence of two count vectors in bits, less what chance adds at their size.

    The correction is ``(K - 1) / (4 n ln 2)`` for each, K the categories that occur (Grosse et
    al. 2002). Below 0 where there is less than chance would make.

    Args:
        first: Counts by category; fractions where cases count for less than one.
        second: The same.
        chances: How often the counts were drawn: 2 for a draw from counts.
    """
    n_first, n_second = first.sum(), second.sum()
    if min(n_first, n_second) <= 0:
        return float("nan")
    p, q = first / n_first, second / n_second
    middle = (p + q) / 2
    raw = 0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle))
    kinds = int((first + second > 0).sum())
    chance = (kinds - 1) / (8 * np.log(2)) * (1 / n_first + 1 / n_second)
    return float(raw - chances * chance)


def _relative_entropy(p: Floats, q: Floats) -> float:
    held = p > 0
    return float((p[held] * np.log2(p[held] / q[held])).sum())


def single_cut(counts: Floats) -> int:
    """The bin at which one cut in two stretches of one mix each fits best."""
    sums = counts.cumsum(0)
    cuts = range(1, len(counts))
    return max(cuts, key=lambda at: _fit(sums[at - 1]) + _fit(sums[-1] - sums[at - 1]), default=0)


def _fit(counts: Floats) -> float:
    held = counts[counts > 0]
    return float((held * np.log(held / held.sum())).sum())


def change_points(counts: Floats, *, least: float = 30) -> list[int]:
    """Where a run of count vectors is best cut into stretches of one mix each.

    Exact search over all cuts (Jackson et al. 2005, "optimal partitioning") of the multinomial
    likelihood with penalty ``(K - 1) ln n`` a cut.

    Args:
        counts: Threads by time bin and label, shape ``(bins, labels)``.
        least: Threads that a stretch must hold.

    Returns: Bins at which a new stretch begins, in order; empty when one mix fits.
    """
    n_bins, kinds = counts.shape
    sums = np.vstack([np.zeros(kinds), counts.cumsum(0)])
    penalty = (kinds - 1) * np.log(max(counts.sum(), 2.0))
    best = np.full(n_bins + 1, np.inf)
    best[0], came = -penalty, np.zeros(n_bins + 1, dtype=np.int64)
    for end in range(1, n_bins + 1):
        inside = sums[end] - sums[:end]
        size = inside.sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(inside > 0, np.log(inside / size[:, None]), 0.0)
        cost = best[:end] - (inside * share).sum(1) + penalty
        cost[size < least] = np.inf
        came[end] = int(cost.argmin())
        best[end] = cost[came[end]]
    if not np.isfinite(best[n_bins]):
        return []
    cuts, at = [], n_bins
    while at > 0:
        at = int(came[at])
        if at > 0:
            cuts.append(at)
    return cuts[::-1]

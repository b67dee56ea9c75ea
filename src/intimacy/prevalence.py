"""Shares of the labels in a population, from scores, corrected for classifier error.

Counting labels is biased wherever a creator's mix differs from the training mix. The scores
hold what is needed to undo that: under a shift of the prior alone, P(label | thread) is
re-weighted by q / q_train (Saerens, Latinne & Decaestecker 2002). The share vector q has a
Dirichlet prior and is drawn by Gibbs sampling together with the threads' labels, which gives a
posterior mean and an interval at once.

Threads enter as counts on a grid of score vectors, so that estimates over shards, months or
machines can be added up exactly before they are evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from intimacy.schema import Share

GRID = 50
"""Scores are rounded to multiples of 1/50; the error of a share is far below its interval."""
_DRAWS = 2_000
_BURN_IN = 500
_SEED = 20_080_501


def cell(scores: Mapping[str, float], order: Sequence[str]) -> tuple[int, ...]:
    """Scores as whole fiftieths that sum to 50, in the given order (largest remainders)."""
    raw = [max(0.0, scores.get(name, 0.0)) * GRID for name in order]
    floors = [int(value) for value in raw]
    rest = GRID - sum(floors)
    by_remainder = sorted(range(len(raw)), key=lambda i: (floors[i] - raw[i], i))
    for i in by_remainder[: max(0, rest)]:
        floors[i] += 1
    return tuple(floors)


def shares(
    cells: Mapping[tuple[int, ...], int],
    order: Sequence[str],
    *,
    prior: Mapping[str, float],
    interval: float = 0.90,
    concentration: float = 1.0,
) -> dict[str, Share]:
    """Posterior mean and equal-tailed interval of each label's share.

    Args:
        cells: Threads by score vector on the grid; see `cell`.
        order: Labels, in the order of the vectors.
        prior: Shares of the labels that the scores assume (those of the training data).
        interval: Probability inside the intervals.
        concentration: Of the symmetric Dirichlet prior on the shares.

    Returns: One `Share` per label. Deterministic: the sampler is seeded.
    """
    if not cells:
        return {name: Share(reason="no threads") for name in order}
    # Sorted, so that the draws do not depend on the order in which threads were added.
    keys = sorted(cells)
    counts = np.array([cells[key] for key in keys])
    posteriors = np.array(keys, dtype=np.float64) / GRID
    assumed = np.array([max(prior.get(name, 0.0), 1e-6) for name in order])
    likelihood = posteriors / assumed
    draws = _gibbs(likelihood, counts, concentration)
    low, high = (1 - interval) / 2, (1 + interval) / 2
    return {
        name: Share(
            estimate=float(draws[:, i].mean()),
            low=float(np.quantile(draws[:, i], low)),
            high=float(np.quantile(draws[:, i], high)),
        )
        for i, name in enumerate(order)
    }


def _gibbs(
    likelihood: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], concentration: float
) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(_SEED)
    n_labels = likelihood.shape[1]
    shares = np.full(n_labels, 1 / n_labels)
    kept = np.empty((_DRAWS, n_labels))
    for step in range(-_BURN_IN, _DRAWS):
        weights = likelihood * shares
        weights /= weights.sum(axis=1, keepdims=True)
        totals = rng.multinomial(counts, weights).sum(axis=0)
        shares = np.maximum(rng.dirichlet(concentration + totals), 1e-12)
        if step >= 0:
            kept[step] = shares
    return kept


def rate(successes: int, trials: int, *, interval: float = 0.90) -> Share:
    """A proportion with the equal-tailed interval of its Beta posterior (Jeffreys prior)."""
    if trials <= 0:
        return Share(reason="not measurable: no threads it applies to")
    rng = np.random.default_rng(_SEED)
    draws = rng.beta(successes + 0.5, trials - successes + 0.5, size=100_000)
    return Share(
        estimate=successes / trials,
        low=min(float(np.quantile(draws, (1 - interval) / 2)), successes / trials),
        high=max(float(np.quantile(draws, (1 + interval) / 2)), successes / trials),
    )


def counted(
    counts: Mapping[str, int], order: Sequence[str], *, interval: float = 0.90
) -> dict[str, Share]:
    """Shares as counted, without correction; for comparison only."""
    total = sum(counts.get(name, 0) for name in order)
    return {name: rate(counts.get(name, 0), total, interval=interval) for name in order}

"""Shares of the labels in a population, from scores, corrected for classifier error.

Counting labels is biased wherever a creator's mix differs from the training mix. Two accounts of
the classifier's error undo that, and the answer pools their draws:

- *scores*: under a shift of the prior alone, P(label | thread) is re-weighted by q / q_train
  (Saerens, Latinne & Decaestecker 2002); labels and shares are drawn in turn by Gibbs sampling.
  Sharp, and as right as the scores are calibrated.
- *confusion*: only the most likely label of each thread is believed, with error rates drawn from
  what the development threads leave possible (Bayesian black-box quantification, Ziegler & Czyż
  2023). Blunt, and aware of how few those threads were.

Where both agree the interval is theirs; where the scores run into a corner that the development
threads cannot vouch for, the interval says so.

Threads enter as counts on a grid of score vectors, so that estimates over shards, months or
machines can be added up exactly before they are evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from intimacy.schema import Share

GRID = 50
"""Scores are rounded to multiples of 1/50; the error of a share is far below its interval."""
DRAWS = 2_000
_SEED = 20_080_501
_ERROR_PRIOR = 0.5
"""Jeffreys: added to every cell of the confusion matrix."""

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


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
    confusion: Sequence[Sequence[float]] = (),
    interval: float = 0.90,
    concentration: float = 1.0,
    draws: int = DRAWS,
) -> dict[str, Share]:
    """Posterior mean and equal-tailed interval of each label's share.

    Args:
        cells: Threads by score vector on the grid; see `cell`.
        order: Labels, in the order of the vectors.
        prior: Shares of the labels that the scores assume (those of the training data).
        confusion: Development threads by true (rows) and most likely label (columns), in the
            same order; empty where none are known, and the scores alone are believed.
        interval: Probability inside the intervals.
        concentration: Of the symmetric Dirichlet prior on the shares.
        draws: Kept from each sampler, after a quarter as many that are not.

    Returns: One `Share` per label; a label that no thread can have has share 0. Deterministic:
        the samplers are seeded.
    """
    if not cells:
        return {name: Share(reason="no threads") for name in order}
    # Sorted, so that the draws do not depend on the order in which threads were added.
    keys = sorted(cells)
    counts = np.array([cells[key] for key in keys])
    posteriors = np.array(keys, dtype=np.float64) / GRID
    open_ = posteriors.sum(0) > 0
    dirichlet = np.where(open_, concentration, 0.0)
    assumed = np.array([max(prior.get(name, 0.0), 1e-6) for name in order])
    drawn = _by_scores(posteriors / assumed, counts, dirichlet, draws)
    if len(confusion):
        best = np.bincount(posteriors.argmax(1), weights=counts, minlength=len(order))
        seen = np.asarray(confusion, dtype=np.float64)
        by_confusion = _by_confusion(best.astype(int), seen, dirichlet, draws)
        drawn = np.concatenate([drawn, by_confusion])
    low, high = (1 - interval) / 2, (1 + interval) / 2
    return {
        name: Share(
            estimate=float(drawn[:, i].mean()),
            low=float(np.quantile(drawn[:, i], low)),
            high=float(np.quantile(drawn[:, i], high)),
        )
        for i, name in enumerate(order)
    }


def _by_scores(likelihood: _Floats, counts: _Ints, dirichlet: _Floats, draws: int) -> _Floats:
    """Draws of the shares that believe every score; shape ``(draws, labels)``."""

    def totals(rng: np.random.Generator, shares: _Floats) -> _Ints:
        weights = likelihood * shares
        weights /= weights.sum(axis=1, keepdims=True)
        drawn: _Ints = rng.multinomial(counts, weights).sum(axis=0)
        return drawn

    return _gibbs(totals, dirichlet, draws)


def _by_confusion(best: _Ints, seen: _Floats, dirichlet: _Floats, draws: int) -> _Floats:
    """Draws of the shares that believe the most likely labels as far as ``seen`` allows."""

    def totals(rng: np.random.Generator, shares: _Floats) -> _Ints:
        # Drawn from the development threads alone: the error rates are not learned from threads
        # whose labels nobody knows.
        rates = np.array([rng.dirichlet(row + _ERROR_PRIOR) for row in seen])
        weights = (rates * shares[:, None]).T
        weights /= weights.sum(axis=1, keepdims=True)
        drawn: _Ints = rng.multinomial(best, weights).sum(axis=0)
        return drawn

    return _gibbs(totals, dirichlet, draws)


def _gibbs(
    totals: Callable[[np.random.Generator, _Floats], _Ints], dirichlet: _Floats, draws: int
) -> _Floats:
    """Alternate the threads' labels (``totals`` counts them) and the shares."""
    rng = np.random.default_rng(_SEED)
    open_ = dirichlet > 0
    shares = open_ / open_.sum()
    kept = np.zeros((draws, len(dirichlet)))
    for step in range(-(draws // 4), draws):
        drawn = rng.dirichlet((dirichlet + totals(rng, shares))[open_])
        shares[open_] = np.maximum(drawn, 1e-12)
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

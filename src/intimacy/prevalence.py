"""Shares of categories in a population, from what a classifier says, corrected for its errors.

Counting what a classifier says is biased wherever a creator's mix differs from the training mix,
and grows surer of its bias with every thread. `posterior` undoes that. What the classifier says
follows from the true labels by error rates. Development threads tell these for creators at large
(Bayesian quantification with black-box estimators, Ziegler & Czyż 2023, arXiv:2302.09159); those of
one creator are shifted from them, by as much as development creators differ from each other. The
usual point estimates stand beside it for comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from intimacy.bundle import Errors
from intimacy.schema import Share

GRID = 50
"""Scores are rounded to multiples of 1/50; the error of a share is far below its interval."""
DRAWS = 2_000
_CHAINS = 100
_BURN = 100
_MOVES = 3
_STEP = 0.5
"""Size of a proposed shift, in spreads."""
_MOST = 1_000
"""Threads beyond which the interval is that of the error rates, and the chains would freeze."""
_SEED = 20_080_501

_Floats = npt.NDArray[np.float64]


def cell(scores: Mapping[str, float], order: Sequence[str]) -> tuple[int, ...]:
    """Scores as whole fiftieths that sum to 50, in the given order (largest remainders)."""
    raw = [max(0.0, scores.get(name, 0.0)) * GRID for name in order]
    floors = [int(value) for value in raw]
    rest = GRID - sum(floors)
    by_remainder = sorted(range(len(raw)), key=lambda i: (floors[i] - raw[i], i))
    for i in by_remainder[: max(0, rest)]:
        floors[i] += 1
    return tuple(floors)


def posterior(
    counts: npt.ArrayLike, errors: Errors, *, possible: npt.ArrayLike, draws: int = DRAWS
) -> _Floats:
    """Draws of the shares of the true categories.

    Model: shares ~ Dirichlet(1); error rates of creators at large ~ Dirichlet(½ + development
    counts); those of this creator are proportional to them times ``exp(shift)``, one normal shift
    for each category said, with the spread of the manifest. Shares and labels are drawn in turn,
    shifts by Metropolis steps; the rates at large are not learned from threads without labels.

    Args:
        counts: Threads by the category that the classifier says; fractions where threads that
            hang together count for less than one each.
        errors: What the development threads say of the classifier.
        possible: Categories that any thread may have, as booleans; the others get share 0.
        draws: How many.

    Returns: Shape ``(draws, categories)``; rows sum to 1. The sampler is seeded: the same on one
        machine; on others ends of 90 % intervals differ by some hundredths.
    """
    found = np.asarray(counts, dtype=np.float64)
    own = np.asarray(possible, dtype=bool)
    open_, said = np.flatnonzero(own), np.flatnonzero(own | (found > 0))
    known = np.asarray(errors.counts, dtype=np.float64)[np.ix_(open_, said)] + 0.5
    found = found[said] * min(1.0, _MOST / max(1.0, float(found.sum())))
    whole, part = np.floor(found), found % 1
    rng = np.random.default_rng(_SEED)
    # Many short chains from scattered starts, side by side, each with its own rates at large.
    at_large = _normal(rng.standard_gamma(np.repeat(known[None], _CHAINS, axis=0)))
    shift = np.zeros((_CHAINS, len(said)))
    rates, shares = at_large, rng.dirichlet(np.ones(len(open_)), size=_CHAINS)
    kept = []
    for step in range(-_BURN, -(-draws // _CHAINS)):
        weights = np.swapaxes(rates * shares[:, :, None], 1, 2)
        weights /= weights.sum(2, keepdims=True)
        units = (whole + (rng.random((_CHAINS, len(part))) < part)).astype(np.int64)
        labels = rng.multinomial(units, weights).sum(1)
        shares = _normal(rng.standard_gamma(1.0 + labels))
        fit = _log_likelihood(found, shares, rates)
        for _ in range(_MOVES):
            other = shift + _STEP * errors.spread * rng.normal(size=shift.shape)
            moved = _normal(at_large * np.exp(other)[:, None, :])
            better = _log_likelihood(found, shares, moved)
            gain = better - fit
            gain -= ((other**2).sum(1) - (shift**2).sum(1)) / (2 * errors.spread**2)
            taken = np.log(rng.random(_CHAINS)) < gain
            shift = np.where(taken[:, None], other, shift)
            rates = np.where(taken[:, None, None], moved, rates)
            fit = np.where(taken, better, fit)
        if step >= 0:
            kept.append(shares)
    out = np.zeros((draws, len(own)))
    out[:, open_] = np.concatenate(kept)[:draws]
    return out


def _log_likelihood(found: _Floats, shares: _Floats, rates: _Floats) -> _Floats:
    chances = np.einsum("ck,cks->cs", shares, rates)
    result: _Floats = (found * np.log(np.maximum(chances, 1e-300))).sum(1)
    return result


def _normal(values: _Floats) -> _Floats:
    positive = np.maximum(values, 1e-300)
    result: _Floats = positive / positive.sum(-1, keepdims=True)
    return result


def rate_draws(successes: float, trials: float, *, draws: int = DRAWS) -> _Floats:
    """Draws of a proportion: Beta posterior with Jeffreys prior (½, ½); counts may be fractions."""
    rng = np.random.default_rng(_SEED)
    return rng.beta(successes + 0.5, max(trials - successes, 0.0) + 0.5, size=draws)


def summary(
    draws: _Floats, interval: float, *, estimate: float | None = None
) -> tuple[float, float, float]:
    """Mean (or the estimate given) and equal-tailed interval, which holds it."""
    middle = float(draws.mean()) if estimate is None else estimate
    low, high = np.quantile(draws, [(1 - interval) / 2, (1 + interval) / 2])
    return middle, min(float(low), middle), max(float(high), middle)


def rate(successes: int, trials: int, *, interval: float = 0.90) -> Share:
    """A proportion with the equal-tailed interval of its Beta posterior (Jeffreys prior)."""
    if trials <= 0:
        return Share(reason="not measurable: no threads it applies to")
    drawn = rate_draws(successes, trials, draws=20_000)
    middle, low, high = summary(drawn, interval, estimate=successes / trials)
    return Share(estimate=middle, low=low, high=high)


# -- point estimates, for comparison


def point_estimates(
    cells: npt.ArrayLike, errors: Errors, prior: Sequence[float]
) -> dict[str, _Floats]:
    """Shares by the methods in use, without intervals.

    Args:
        cells: Score vectors of the threads, shape ``(n, labels)``, on the grid of `cell`.
        errors: What the development threads say of the model.
        prior: Shares of the labels that the scores assume.

    Returns: Method → shares: ``counted`` (classify and count), ``pcc`` (mean scores), ``acc`` and
        ``pacc`` (those two, undone by the confusion of labels or of scores on the development
        threads; Forman 2008, Bella et al. 2010; ``pacc`` where mean scores are known), ``emq``
        (expectation maximisation under a shift of the prior with a flat Dirichlet prior; Saerens,
        Latinne & Decaestecker 2002).
    """
    scores = np.asarray(cells, dtype=np.float64)
    scores = scores / scores.sum(1, keepdims=True)
    n_labels = scores.shape[1]
    counted = np.bincount(scores.argmax(1), minlength=n_labels) / len(scores)
    mean = scores.mean(0)
    confusion = np.asarray(errors.counts, dtype=np.float64)
    rates = confusion / confusion.sum(1, keepdims=True).clip(min=1e-12)
    out = {
        "counted": counted,
        "pcc": mean,
        "acc": _on_simplex(rates.T, counted),
        "emq": _emq(scores, np.asarray(prior, dtype=np.float64)),
    }
    if len(errors.means):
        out["pacc"] = _on_simplex(np.asarray(errors.means, dtype=np.float64).T, mean)
    return out


def _emq(scores: _Floats, prior: _Floats, *, tolerance: float = 1e-6) -> _Floats:
    ratio = scores / prior.clip(min=1e-9)
    shares = np.full(scores.shape[1], 1 / scores.shape[1])
    for _ in range(10_000):
        weights = ratio * shares
        weights /= weights.sum(1, keepdims=True)
        # The flat Dirichlet adds nothing to the mode: this is the maximum a posteriori as well.
        new: _Floats = weights.mean(0)
        if np.abs(new - shares).max() < tolerance:
            return new
        shares = new
    return shares


def _on_simplex(matrix: _Floats, target: _Floats) -> _Floats:
    """Shares x, ≥ 0 and summing to 1, with the least ‖matrix @ x - target‖.

    With a handful of labels every set of those that are not zero can be tried.
    """
    size = matrix.shape[1]
    best, least = np.full(size, 1 / size), np.inf
    for width in range(1, size + 1):
        for chosen in combinations(range(size), width):
            columns = matrix[:, chosen]
            # Stationary where the Lagrangian of the sum is: one linear system.
            system = np.block([[columns.T @ columns, np.ones((width, 1))], [np.ones(width), 0.0]])
            right = np.append(columns.T @ target, 1.0)
            found = np.linalg.lstsq(system, right, rcond=None)[0][:width]
            loss = float(np.linalg.norm(columns @ found - target))
            if found.min() >= -1e-12 and loss < least - 1e-12:
                least, best = loss, np.zeros(size)
                best[list(chosen)] = found.clip(min=0)
    result: _Floats = best / best.sum()
    return result

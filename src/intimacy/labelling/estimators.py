"""Draws of shares from some labels and all scores; the normal approximation beside them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from intimacy import prevalence
from intimacy.labelling.selection import OUTCOMES, left_to_know

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_K = len(OUTCOMES)
_TRUST = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
"""What the scores of a cell may be worth, in labels; equally likely before any."""
_TILT = 1.0
"""Standard deviation, before any label, of how far an outcome's odds are off for a creator."""
_FLOOR = 0.02
"""Part of a cell's scores that is even over all outcomes: no score is never wrong."""
_CELL = 15
"""Expected labels of a part of a cell; at most `_MOST_CELLS` parts."""
_MOST_CELLS = 3
_CHAINS = 100
_STARTS = 2_000
_BURN = 20
_MOVES = 3
_SEED = 2_407_001


@dataclass(frozen=True)
class Sample:
    """The threads of a creator, and which are labelled."""

    odds: Floats
    effect: float
    """Design effect of the scores: threads of a post, or of a follower, are alike."""
    rows: Ints
    """Positions of the labelled ones."""
    truth: Ints
    """Their outcomes."""
    weight: Floats
    """Threads without a label that each speaks for, in proportion."""
    n_unread: int
    """Labels of threads that the model did not read."""


# -- the posterior


def draws(sample: Sample) -> Floats:
    """Draws of the shares, shape ``(prevalence.DRAWS, 4)``.

    In each cell of what the model says, the outcomes of threads without a label are drawn from a
    Dirichlet posterior: the labels of the cell, and before them the scores of the cell, tilted by
    factors that are common to all cells and worth a number of labels that is learned. The total
    over cells is what these threads hold; the population is drawn about it, as far as so many
    threads that hang together tell of it.
    """
    rng = np.random.default_rng(_SEED)
    cell = _cells(sample)
    n_cells = int(cell.max()) + 1
    scores, found = np.zeros((2, n_cells, _K))
    sizes = np.bincount(cell, minlength=n_cells)
    np.add.at(scores, cell, sample.odds)
    scores /= sizes[:, None]
    open_: npt.NDArray[np.bool_] = np.asarray((sample.odds > 0).any(0))
    open_[sample.truth] = True
    scores = (1 - _FLOOR) * scores + _FLOOR * open_ / open_.sum()
    np.add.at(found, (cell[sample.rows], sample.truth), sample.weight)
    squares = np.bincount(cell[sample.rows], sample.weight**2, minlength=n_cells)
    # Labels that speak for unequally many count for fewer (Kish 1965).
    found *= (found.sum(1) / np.where(squares > 0, squares, 1.0))[:, None]
    before = _before(scores[:, open_], found[:, open_], rng)
    left = sizes - np.bincount(cell[sample.rows], minlength=n_cells)
    inside = _normal(rng.standard_gamma(before + found[:, open_]))
    total = np.zeros((len(before), _K))
    total[:, open_] = rng.multinomial(left, inside).sum(1)
    total += np.bincount(sample.truth, minlength=_K)
    population = rng.standard_gamma(total / sample.effect + 0.5 * open_)[:, :-1]
    return _normal(population)


def _normal(values: Floats) -> Floats:
    """Rows that sum to 1."""
    positive = np.maximum(values, 1e-300)
    result: Floats = positive / positive.sum(-1, keepdims=True)
    return result


def _cells(sample: Sample) -> Ints:
    """Threads by likeliest outcome.

    Where labels were drawn with unequal probabilities, in as many parts by doubt as there are
    labels for: those of a part then speak for about equally many.
    """
    odds, said = sample.odds, sample.odds.argmax(1)
    most = _MOST_CELLS if np.ptp(sample.weight) > 0 else 1
    doubt = np.sqrt(left_to_know(odds))
    cell, first = np.zeros(len(odds), dtype=np.int64), 0
    for outcome in np.unique(said):
        rows = np.flatnonzero(said == outcome)
        expected = len(sample.rows) * len(rows) / len(odds)
        parts = int(np.clip(expected // _CELL, 1, most))
        rows = rows[np.argsort(doubt[rows], kind="stable")]
        # Equal shares of a draw by `label_next(by="profile")`.
        ends = np.cumsum(doubt[rows] + doubt[rows].mean() + 1e-12)
        cell[rows] = first + np.minimum((ends / ends[-1] * parts).astype(np.int64), parts - 1)
        first += parts
    numbered: Ints = np.unique(cell, return_inverse=True)[1]
    return numbered


def _before(scores: Floats, found: Floats, rng: np.random.Generator) -> Floats:
    """Draws of the Dirichlet weights of each cell given the labels, shape (draws, cells, K).

    The tilt of each outcome (log-normal) and what scores are worth (`_TRUST`) are learned by
    Metropolis steps of many chains, started from draws of the prior that the labels favour.
    """

    held = found > 0  # the others add nothing to the likelihood
    whole = (_log_gamma(_TRUST)[:, None] - _log_gamma(_TRUST[:, None] + found.sum(1))).sum(1)

    def weights(tilt: Floats, trust: Ints) -> Floats:
        tilted = _normal(scores * np.exp(tilt)[:, None, :])
        return np.maximum(_TRUST[trust][:, None, None] * tilted, 1e-6)

    def fit(tilt: Floats, trust: Ints) -> Floats:
        seen = weights(tilt, trust)[:, held]
        each = (_log_gamma(seen + found[held]) - _log_gamma(seen)).sum(1)
        return np.asarray(each + whole[trust])

    tilt = _TILT * rng.normal(size=(_STARTS, scores.shape[1]))
    trust = rng.integers(0, len(_TRUST), _STARTS)
    start = fit(tilt, trust)
    chance = np.exp(start - start.max())
    picked = rng.choice(_STARTS, _CHAINS, p=chance / chance.sum())
    tilt, trust, now = tilt[picked], trust[picked], start[picked]
    kept = []
    for step in range(-_BURN, -(-prevalence.DRAWS // _CHAINS)):
        for _ in range(_MOVES):
            size = rng.choice([0.1, 0.3, 0.9], (_CHAINS, 1)) * _TILT
            other = tilt + size * rng.normal(size=tilt.shape)
            moved = trust + rng.integers(-1, 2, _CHAINS)
            inside = (moved >= 0) & (moved < len(_TRUST))
            moved = np.where(inside, moved, trust)
            then = fit(other, moved)
            gain = then - now - ((other**2).sum(1) - (tilt**2).sum(1)) / (2 * _TILT**2)
            taken = inside & (np.log(rng.random(_CHAINS)) < gain)
            tilt = np.where(taken[:, None], other, tilt)
            trust, now = np.where(taken, moved, trust), np.where(taken, then, now)
        if step >= 0:
            kept.append(weights(tilt, trust))
    return np.concatenate(kept)[: prevalence.DRAWS]


def _log_gamma(x: Floats) -> Floats:
    """Logarithm of the gamma function for x > 0, by Stirling's series after five steps up."""
    up = x + 5
    steps = np.log(x * (x + 1) * (x + 2) * (x + 3) * (x + 4))
    series = 1 / (12 * up) - 1 / (360 * up**3) + 1 / (1260 * up**5)
    result: Floats = (up - 0.5) * np.log(up) - up + 0.5 * np.log(2 * np.pi) + series - steps
    return result


# -- for comparison


def draws_of_labels(sample: Sample) -> Floats:
    """Jeffreys posterior of each share from the labels in scope; weighted, by Kish's number."""
    weight = sample.weight + 1  # itself, and those that it speaks for
    scope = sample.truth < _K - 1
    counts = np.bincount(sample.truth[scope], weight[scope], minlength=_K - 1)
    counts = counts * counts.sum() / (weight[scope] ** 2).sum()
    drawn = [prevalence.rate_draws(count, counts.sum()) for count in counts]
    return np.stack(drawn, axis=1)


def ppi_ratio(sample: Sample, interval: float) -> list[tuple[float, float, float]]:
    """Estimate, low and high end of each share: PPI++ for a ratio, normal approximation."""
    rest = np.ones(len(sample.odds), dtype=bool)
    rest[sample.rows] = False
    near, far = sample.odds[sample.rows, :-1], sample.odds[rest, :-1]
    truth = np.eye(_K)[sample.truth][:, :-1]
    scope = truth.sum(1)
    z, out = NormalDist().inv_cdf(0.5 + interval / 2), []
    for k in range(_K - 1):
        first = truth[:, k].sum() / scope.sum()
        # The ratio solves E[Y - θS] = 0; predictions stand in for both.
        power = ppi_mean(*(m[:, k] - first * m.sum(1) for m in (truth, near, far)))[2]
        top = ppi_mean(truth[:, k], near[:, k], far[:, k], power=power)[0]
        bottom = ppi_mean(scope, near.sum(1), far.sum(1), power=power)[0]
        share = top / bottom
        parts = (m[:, k] - share * m.sum(1) for m in (truth, near, far))
        error = ppi_mean(*parts, power=power)[1] / bottom
        ends = np.clip([share, share - z * error, share + z * error], 0, 1)
        out.append((float(ends[0]), float(ends[1]), float(ends[2])))
    return out


def ppi_mean(
    truth: Floats, near: Floats, far: Floats, *, power: float | None = None
) -> tuple[float, float, float]:
    """Prediction-powered mean, its standard error, and the power that was used (PPI++).

    Args:
        truth: Labels of a random sample, shape ``(n,)``.
        near: Predictions of the same.
        far: Predictions of the rest, shape ``(N,)``.
        power: Weight of the predictions in [0, 1]; None is the one of least variance.
    """
    n, size = len(truth), len(far)
    every = np.concatenate([near, far])
    if power is None:
        spread = float(np.var(every, ddof=1)) * (1 + n / size)
        both = float(((truth - truth.mean()) * (near - near.mean())).mean())
        power = float(np.clip(both / spread, 0, 1)) if spread > 1e-15 else 0.0
    mean = power * far.mean() + (truth - power * near).mean()
    error = np.sqrt(np.var(power * far) / size + np.var(truth - power * near) / n)
    return float(mean), float(error), power

"""Shares corrected for classifier error."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intimacy import prevalence
from intimacy.schema import Label

ORDER = tuple(str(label) for label in Label)
EVEN = dict.fromkeys(ORDER, 0.25)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda v: sum(v) > 0.01))
def test_cells_sum_to_the_grid_and_stay_close(values: list[float]) -> None:
    scores = {name: v / sum(values) for name, v in zip(ORDER, values, strict=True)}
    cell = prevalence.cell(scores, ORDER)
    assert sum(cell) == prevalence.GRID and min(cell) >= 0
    for name, count in zip(ORDER, cell, strict=True):
        assert abs(count / prevalence.GRID - scores[name]) <= 1 / prevalence.GRID + 1e-9


def draw_scores(mix: np.ndarray, n: int, rng: np.random.Generator) -> list[dict[str, float]]:
    """Calibrated posteriors under an even prior of a classifier that is often wrong."""
    labels = rng.choice(4, size=n, p=mix)
    logits = rng.normal(size=(n, 4)) + 1.6 * np.eye(4)[labels]
    # Exact posterior of the generating model: the density ratio is linear in the logits.
    posterior = np.exp(1.6 * logits)
    posterior /= posterior.sum(1, keepdims=True)
    return [dict(zip(ORDER, row, strict=True)) for row in posterior.tolist()]


def test_shares_recover_a_mix_that_counting_gets_wrong() -> None:
    rng = np.random.default_rng(1)
    mix = np.array([0.05, 0.80, 0.10, 0.05])
    scores = draw_scores(mix, 2_000, rng)
    cells = Counter(prevalence.cell(s, ORDER) for s in scores)
    found = prevalence.shares(cells, ORDER, prior=EVEN)
    counted = Counter(max(s, key=s.__getitem__) for s in scores)
    for name, true in zip(ORDER, mix, strict=True):
        share = found[name]
        assert share.estimate == pytest.approx(true, abs=0.05)
        assert share.low is not None and share.high is not None
        assert share.low <= share.estimate <= share.high
    assert abs(counted["interactive"] / 2_000 - 0.80) > 0.1, "counting is far off"


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200])
def test_nominal_intervals_cover(n: int) -> None:
    rng = np.random.default_rng(7)
    inside = total = 0
    for _ in range(120):
        mix = rng.dirichlet([1.0, 1.0, 1.0, 1.0])
        cells = Counter(prevalence.cell(s, ORDER) for s in draw_scores(mix, n, rng))
        seen = draw_confusion(rng, 25)
        found = prevalence.shares(cells, ORDER, prior=EVEN, confusion=seen)
        for name, true in zip(ORDER, mix, strict=True):
            share = found[name]
            inside += share.low <= true <= share.high  # type: ignore[operator]
            total += 1
    assert 0.86 <= inside / total <= 0.96, inside / total


FEW = [[16, 2, 0, 0], [1, 54, 0, 2], [0, 0, 12, 0], [1, 0, 0, 6]]


def test_a_corner_that_few_development_threads_cannot_vouch_for_has_width() -> None:
    """Four in a hundred look commercial, as often as the classifier may well be wrong."""
    cells = {(45, 5, 0, 0): 50, (0, 50, 0, 0): 1_150}
    blind = prevalence.shares(cells, ORDER, prior=EVEN)["commercial"]
    aware = prevalence.shares(cells, ORDER, prior=EVEN, confusion=FEW)["commercial"]
    assert aware.low is not None and aware.low < 0.01
    assert aware.high is not None and aware.high > 0.04
    assert aware.high - aware.low > 1.3 * (blind.high - blind.low)  # type: ignore[operator]


def test_a_label_that_no_thread_can_have_has_no_share() -> None:
    cells = {(20, 30, 0, 0): 60, (5, 45, 0, 0): 60}
    found = prevalence.shares(cells, ORDER, prior=EVEN, confusion=FEW)
    assert found["reciprocal"].estimate == found["disclosive"].high == 0


def draw_confusion(rng: np.random.Generator, n: int) -> list[list[int]]:
    table = [[0] * 4 for _ in range(4)]
    for k in range(4):
        mix = np.eye(4)[k]
        for scores in draw_scores(mix, n, rng):
            table[k][ORDER.index(max(scores, key=scores.__getitem__))] += 1
    return table


def test_the_order_of_the_cells_changes_nothing() -> None:
    cells = {(50, 0, 0, 0): 3, (10, 20, 10, 10): 5, (0, 0, 25, 25): 2}
    backwards = dict(reversed(cells.items()))
    assert prevalence.shares(cells, ORDER, prior=EVEN) == prevalence.shares(
        backwards, ORDER, prior=EVEN
    )


def test_rate_has_a_jeffreys_interval() -> None:
    share = prevalence.rate(3, 10)
    assert share.estimate == 0.3
    assert (share.low, share.high) == (
        pytest.approx(0.122, abs=0.005),
        pytest.approx(0.554, abs=0.005),
    )
    assert prevalence.rate(0, 5).low == 0
    assert prevalence.rate(0, 0).estimate is None

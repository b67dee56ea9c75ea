"""Shares corrected for classifier error."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import benchmark
from hypothesis import given
from hypothesis import strategies as st

from intimacy import prevalence
from intimacy.bundle import Errors
from intimacy.schema import Label

ORDER = tuple(str(label) for label in Label)
SEEN = [[97, 15, 11, 3], [5, 129, 1, 2], [3, 1, 100, 5], [1, 5, 3, 73]]
ERRORS = Errors(counts=SEEN, spread=0.4, means=np.eye(4).tolist())
ALL = np.ones(4, dtype=bool)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda v: sum(v) > 0.01))
def test_cells_sum_to_the_grid_and_stay_close(values: list[float]) -> None:
    scores = {name: v / sum(values) for name, v in zip(ORDER, values, strict=True)}
    cell = prevalence.cell(scores, ORDER)
    assert sum(cell) == prevalence.GRID and min(cell) >= 0
    for name, count in zip(ORDER, cell, strict=True):
        assert abs(count / prevalence.GRID - scores[name]) <= 1 / prevalence.GRID + 1e-9


def test_shares_recover_a_mix_that_counting_gets_wrong() -> None:
    mix = np.array([0.05, 0.80, 0.10, 0.05])
    of_goods, of_talk = [0.6, 0.3, 0.05, 0.05], [0.15, 0.8, 0.03, 0.02]
    rates = np.array([of_goods, of_talk, [0.1, 0.2, 0.65, 0.05], [0.05, 0.15, 0.1, 0.7]])
    said = 2_000 * mix @ rates
    errors = Errors(counts=(100 * rates).tolist(), spread=0.1)
    found = prevalence.posterior(said, errors, possible=ALL)
    assert found.shape == (prevalence.DRAWS, 4) and np.allclose(found.sum(1), 1)
    assert np.abs(found.mean(0) - mix).max() < 0.06
    assert abs(said[0] / 2_000 - mix[0]) > 0.1, "counting is far off"


def test_a_corner_that_development_threads_cannot_vouch_for_has_width() -> None:
    """Two in a hundred look commercial, fewer than the model errs on average."""
    found = prevalence.posterior([22, 1_176, 0, 0], ERRORS, possible=[True, True, False, True])
    low, high = np.quantile(found[:, 0], [0.05, 0.95])
    assert low < 0.01 and 0.012 < high < 0.06


def test_more_spread_between_creators_is_more_width() -> None:
    def width(spread: float) -> float:
        errors = Errors(counts=SEEN, spread=spread)
        drawn = prevalence.posterior([200, 100, 60, 40], errors, possible=ALL)
        low, high = np.quantile(drawn[:, 0], [0.05, 0.95])
        return float(high - low)

    assert width(0.8) > 1.3 * width(0.1)


def test_a_label_that_no_thread_can_have_has_no_share() -> None:
    found = prevalence.posterior([60, 60, 0, 0], ERRORS, possible=[True, True, False, False])
    assert not found[:, 2:].any()


def test_draws_are_the_same_every_time_and_fractions_count() -> None:
    twice = [prevalence.posterior([7.5, 12.25, 3, 1], ERRORS, possible=ALL) for _ in range(2)]
    assert (twice[0] == twice[1]).all()


def test_fifty_thousand_threads_say_what_two_thousand_say() -> None:
    """The interval is then that of the error rates; chains that freeze would tell another mix."""
    said = np.array([0.35, 0.4, 0.15, 0.1])
    for spread in (0.1, 0.4, 1.0):
        errors = Errors(counts=SEEN, spread=spread)
        few, many = (prevalence.posterior(said * n, errors, possible=ALL) for n in (2_000, 50_000))
        assert np.abs(few.mean(0) - many.mean(0)).max() < 0.02
        ends = [np.quantile(drawn, [0.05, 0.95], axis=0) for drawn in (few, many)]
        assert np.abs(ends[0] - ends[1]).max() < 0.03


def test_rate_has_a_jeffreys_interval() -> None:
    share = prevalence.rate(3, 10)
    assert share.estimate == 0.3
    assert (share.low, share.high) == (
        pytest.approx(0.122, abs=0.01),
        pytest.approx(0.554, abs=0.01),
    )
    assert prevalence.rate(0, 5).low == 0
    assert prevalence.rate(0, 0).estimate is None


def test_point_estimates_agree_with_quapy() -> None:
    """QuaPy's own aggregation on the same scores and validation threads."""
    qp = pytest.importorskip("quapy")
    from quapy.method.aggregative import ACC, EMQ, PACC

    rng = np.random.default_rng(3)

    def threads(mix: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.choice(4, n, p=mix)
        logits = rng.normal(size=(n, 4)) + 1.6 * np.eye(4)[labels]
        scores = np.exp(1.6 * logits)
        return scores / scores.sum(1, keepdims=True), labels

    known, truth = threads(np.full(4, 0.25), 2_000)
    scores, _ = threads(np.array([0.1, 0.6, 0.2, 0.1]), 1_000)
    counts = np.zeros((4, 4))
    np.add.at(counts, (truth, known.argmax(1)), 1)
    means = [known[truth == k].mean(0).tolist() for k in range(4)]
    errors = Errors(counts=counts.tolist(), spread=0.1, means=means)
    prior = np.bincount(truth, minlength=4) / len(truth)
    ours = prevalence.point_estimates(scores * prevalence.GRID, errors, prior.tolist())
    functions = qp.functional
    counted = functions.prevalence_from_labels(scores.argmax(1), np.arange(4))
    assert ours["counted"] == pytest.approx(counted, abs=1e-9)
    mean = functions.prevalence_from_probabilities(scores, binarize=False)
    assert ours["pcc"] == pytest.approx(mean, abs=1e-9)
    shares, _ = EMQ.EM(prior, scores, epsilon=1e-6)
    assert ours["emq"] == pytest.approx(shares, abs=2e-3)
    hard = ACC.getPteCondEstim(np.arange(4), truth, known.argmax(1))
    soft = PACC.getPteCondEstim(np.arange(4), truth, known)
    for name, rates, said in (("acc", hard, counted), ("pacc", soft, mean)):
        solved = ACC.solve_adjustment(rates, said, method="inversion", solver="minimize")
        assert ours[name] == pytest.approx(solved, abs=5e-3), name


@pytest.mark.slow
def test_nominal_intervals_cover_where_counting_fails() -> None:
    """Creators of any mix, threads alike within posts, errors that differ between creators."""
    module = benchmark("prevalence")
    found = module.coverage(module.simulated_threads, module.simulated_model, 60)
    for size, row in found.items():
        assert 0.83 <= row["covered"] <= 0.96, (size, row)
    assert found[400]["counted_covered"] < 0.6

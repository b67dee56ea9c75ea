"""Figures: metrics, agreement, the rules a model must beat."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import thread
from hypothesis import given
from hypothesis import strategies as st

from intimacy.errors import ConfigError
from intimacy.evaluation import (
    brier,
    calibration_error,
    cluster_interval,
    cluster_intervals,
    confusion,
    krippendorff_alpha,
    macro_f1,
    reliability,
    structure_rules,
)
from intimacy.schema import Label

ORDER = tuple(str(label) for label in Label)


def test_metrics_agree_with_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, said = (rng.choice(ORDER, 200).tolist() for _ in range(2))
    assert macro_f1(truth, said, ORDER) == pytest.approx(
        sklearn.f1_score(truth, said, average="macro")
    )
    assert (
        confusion(truth, said, ORDER)
        == sklearn.confusion_matrix(truth, said, labels=list(ORDER)).tolist()
    )


def test_calibration_and_brier_of_known_cases() -> None:
    sure = np.ones(30)
    assert calibration_error(sure, np.ones(30, dtype=bool)) == 0
    assert calibration_error(sure, np.zeros(30, dtype=bool)) == 1
    assert brier(np.eye(4), np.arange(4)) == 0
    assert brier(np.full((2, 4), 0.25), np.array([0, 3])) == pytest.approx(0.75)


@pytest.mark.parametrize("n", [1, 14, 15, 16, 44, 301])
def test_calibration_error_is_that_of_the_bins(n: int) -> None:
    rng = np.random.default_rng(n)
    confidences = rng.uniform(0.25, 1.0, n)
    right = rng.random(n) < 0.7
    bins = reliability(confidences, right)
    assert [b.n for b in bins] == [len(part) for part in np.array_split(np.arange(n), min(15, n))]
    error = sum(b.n * abs(b.confidence - b.accuracy) for b in bins) / n
    assert calibration_error(confidences, right) == pytest.approx(error)
    assert (
        calibration_error(confidences[:0], right[:0]) == 0
        and reliability(right[:0], right[:0]) == []
    )


def test_one_cluster_has_no_interval() -> None:
    found = cluster_interval(len, ["one"] * 5)
    assert (found.estimate, found.low, found.high) == (5, None, None)
    assert found.reason == "all of one creator: no interval"
    low, high = cluster_intervals(lambda rows: [rows.min(), rows.max()], [1, 1, 2])
    assert (low.estimate, low.low, low.high) == (0, 0, 2) and (high.low, high.high) == (1, 2)


def test_cluster_interval_is_wider_than_one_over_rows() -> None:
    values = np.repeat([0.0, 1.0, 0.0, 1.0], 25)

    def mean(rows: object) -> float:
        return float(values[list(rows)].mean())  # type: ignore[call-overload]

    by_cluster = cluster_interval(mean, np.repeat(range(4), 25).tolist())
    by_row = cluster_interval(mean, list(range(100)))
    assert by_cluster.high - by_cluster.low > 2 * (by_row.high - by_row.low)  # type: ignore[operator]


def test_structure_rules() -> None:
    assert structure_rules(thread(("follower", "Quanto costa?"))) is Label.COMMERCIAL
    assert structure_rules(thread(("follower", "ciao"), ("creator", "ciao"))) is Label.RECIPROCAL
    assert structure_rules(thread(("follower", "ciao"))) is Label.INTERACTIVE


# Four observers, twelve units; Krippendorff (2011), section C, gives 0.743 and 0.815.
_ = None
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3),
    (_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _),
)
UNITS = list(zip(*OBSERVERS, strict=True))


def test_alpha_of_the_published_example() -> None:
    nominal = krippendorff_alpha(UNITS)
    assert nominal.estimate == pytest.approx(0.743, abs=5e-4)
    ordinal = krippendorff_alpha(UNITS, level="ordinal", values=range(1, 6))
    assert ordinal.estimate == pytest.approx(0.815, abs=5e-4)
    assert nominal.low < nominal.estimate < nominal.high


def test_alpha_needs_two_answers_that_can_differ() -> None:
    assert "two answers" in krippendorff_alpha([(1, None), (2,)]).reason
    assert "not defined" in krippendorff_alpha([(1, 1), (1, 1)]).reason
    assert krippendorff_alpha([("a", "a"), ("b", "b")] * 5).estimate == 1
    assert krippendorff_alpha([("a", "b"), ("b", "a")] * 5).estimate < 0
    assert krippendorff_alpha([(1, 1), ("x", "x")]).estimate == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30))
def test_alpha_does_not_care_who_said_what_first(units: list[tuple[int, int]]) -> None:
    for level in ("nominal", "ordinal"):
        turned = [unit[::-1] for unit in reversed(units)]
        there, back = (
            krippendorff_alpha(rows, level=level, values=range(4), draws=2).estimate  # type: ignore[arg-type]
            for rows in (units, turned)
        )
        assert there == pytest.approx(back) if there is not None else back is None
        assert there is None or there <= 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"level": "interval"}, "level is 'interval'; expected 'nominal' or 'ordinal'"),
        ({"level": "ordinal"}, "needs values="),
        ({"values": ("a",)}, "an answer is 'b', which is not in values"),
        ({"clusters": ["p"]}, "1 clusters for 2 units"),
        ({"draws": 0}, "draws 0"),
        ({"interval": 2}, "interval is 2"),
    ],
)
def test_alpha_refuses_what_has_no_meaning(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        krippendorff_alpha([("a", "b"), ("a", "a")], **wrong)  # type: ignore[arg-type]


def test_alpha_of_one_cluster_has_no_interval() -> None:
    share = krippendorff_alpha([("a", "b"), ("a", "a")], clusters=["p", "p"])
    assert share.estimate is not None and share.low is None and "one cluster" in share.reason


def test_alpha_over_clusters_is_less_certain() -> None:
    units = [("a", "a")] * 40 + [("a", "b")] * 20 + [("b", "b")] * 40
    alone = krippendorff_alpha(units)
    clustered = krippendorff_alpha(units, clusters=[i // 20 for i in range(100)])
    assert clustered.high - clustered.low > alone.high - alone.low
    assert clustered == krippendorff_alpha(units, clusters=[i // 20 for i in range(100)])

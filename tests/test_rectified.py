"""Shares of a creator from some of their labels."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import benchmark, thread

import intimacy
from intimacy import store
from intimacy.annotation import AnnotatedThread, annotated_to_dict
from intimacy.errors import ConfigError, CorpusError, ThreadError
from intimacy.labelling import estimators
from intimacy.labelling.rectified import all_with_labels
from intimacy.prediction import Prediction, Signs, Structure
from intimacy.schema import Label, Reason, Role

LABELS = tuple(str(label) for label in Label)
MIX = np.array([0.45, 0.4, 0.13, 0.02])


def creator(
    mix: Any = MIX, size: int = 600, *, seed: int = 0, scope: bool = True
) -> tuple[list[Prediction], dict[str, Label | None]]:
    """One simulated creator, posts of alike threads, errors of their own; and the truth."""
    module = benchmark("labelled_shares")
    rng = np.random.default_rng(seed)
    predictions, truth = module.simulated_creator(np.asarray(mix), size, rng)
    if not scope:
        predictions = [replace(p, scope=1.0) for p in predictions if truth[p.thread_id]]
        truth = {name: label for name, label in truth.items() if label}
    return predictions, truth


def sampled(
    predictions: list[Prediction], truth: dict[str, Label | None], n: int, *, seed: int = 0
) -> dict[str, Label | None]:
    chosen = intimacy.label_next(predictions, n, by="random", seed=seed)
    return {c.thread_id: truth[c.thread_id] for c in chosen}


def shares_in_scope(truth: dict[str, Label | None]) -> np.ndarray:
    inside = [label for label in truth.values() if label]
    return np.array([inside.count(label) for label in Label]) / len(inside)


# -- what comes out


def test_four_shares_with_intervals_that_hold_them() -> None:
    predictions, truth = creator()
    found = intimacy.labelled_shares(predictions, sampled(predictions, truth, 80))
    assert tuple(found) == LABELS
    for share in found.values():
        assert 0 <= share.low <= share.estimate <= share.high <= 1
        assert share.n == 80 and share.reason is None
        assert list(share.quantiles) == sorted(share.quantiles)
    assert sum(share.estimate for share in found.values()) == pytest.approx(1)


def test_the_order_of_what_is_given_changes_nothing() -> None:
    predictions, truth = creator()
    labels = sampled(predictions, truth, 60)
    first = intimacy.labelled_shares(predictions, labels)
    assert first == intimacy.labelled_shares(predictions, labels), "the draws are seeded"
    mixed, pairs = list(predictions), list(labels.items())
    random.Random(1).shuffle(mixed)
    random.Random(2).shuffle(pairs)
    assert intimacy.labelled_shares(iter(mixed), dict(pairs)) == first


def test_more_labels_narrow_and_scores_narrow() -> None:
    predictions, truth = creator(size=2_000)

    def width(n: int, method: str = "posterior") -> float:
        found = intimacy.labelled_shares(predictions, sampled(predictions, truth, n), method=method)
        return sum(share.high - share.low for share in found.values())

    assert width(40) > 1.3 * width(160)
    assert width(100) < 0.85 * width(100, "labels"), "the classifier is worth something"


def test_labels_put_right_a_model_that_is_wrong_about_this_creator() -> None:
    rng = np.random.default_rng(0)
    truth = {
        f"{i:03d}": Label.COMMERCIAL if rng.random() < 0.2 else Label.INTERACTIVE
        for i in range(800)
    }
    scores = dict(zip(LABELS, (0.90, 0.06, 0.02, 0.02), strict=True))
    predictions = [Prediction(thread_id=name, label=None, scores=scores) for name in truth]
    found = intimacy.labelled_shares(predictions, sampled(predictions, truth, 80))
    assert found["commercial"].low < 0.2 < found["commercial"].high < 0.35


def test_where_everything_is_labelled_the_shares_are_theirs() -> None:
    predictions, truth = creator(size=200)
    for method in ("posterior", "ppi", "labels"):
        found = intimacy.labelled_shares(predictions, truth, method=method)
        middle = np.array([share.estimate for share in found.values()])
        assert middle == pytest.approx(shares_in_scope(truth), abs=0.01)
        assert all(share.high - share.low > 0.005 for share in found.values())


def test_a_label_that_nobody_can_have_has_next_to_no_share() -> None:
    predictions, truth = creator([0.5, 0.5, 0, 0])
    bare = [
        replace(p, scores={k: v if k in LABELS[:2] else 0.0 for k, v in p.scores.items()})
        for p in predictions
    ]
    labels = {k: v if v in LABELS[:2] else None for k, v in sampled(predictions, truth, 60).items()}
    assert intimacy.labelled_shares(bare, labels)["reciprocal"].high < 1e-6


# -- labels that were not drawn evenly


def hidden(n: int = 3_000) -> tuple[list[Prediction], dict[str, Label | None], np.ndarray]:
    """Scores that tell nothing, and chances to be labelled that go with the label."""
    rng = np.random.default_rng(5)
    labels = rng.choice(3, n, p=[0.3, 0.5, 0.2])
    truth = {
        f"{i:04d}": [Label.COMMERCIAL, Label.INTERACTIVE, None][k] for i, k in enumerate(labels)
    }
    scores = dict.fromkeys(LABELS, 0.25)
    predictions = [Prediction(thread_id=t, label=None, scores=scores, scope=0.8) for t in truth]
    return predictions, truth, np.where(labels == 0, 0.3, 0.1)


def test_probabilities_undo_a_draw_that_favours_a_label() -> None:
    predictions, truth, chance = hidden()
    right = shares_in_scope(truth)[0]
    plain, weighted, alone = [], [], []
    for seed in range(6):
        taken = np.random.default_rng(100 + seed).random(len(chance)) < chance
        labels = {
            p.thread_id: truth[p.thread_id] for p, t in zip(predictions, taken, strict=True) if t
        }
        told = {
            p.thread_id: float(c) for p, c, t in zip(predictions, chance, taken, strict=True) if t
        }
        plain.append(intimacy.labelled_shares(predictions, labels)["commercial"])
        found = intimacy.labelled_shares(predictions, labels, probabilities=told)
        weighted.append(found["commercial"])
        found = intimacy.labelled_shares(predictions, labels, probabilities=told, method="labels")
        alone.append(found["commercial"])
    assert np.mean([s.estimate for s in weighted]) == pytest.approx(right, abs=0.02)
    assert np.mean([s.estimate for s in alone]) == pytest.approx(right, abs=0.03)
    assert sum(s.low <= right <= s.high for s in weighted) >= 4
    assert np.mean([s.estimate for s in plain]) > right + 0.15


def test_labels_that_were_picked_count_as_known_and_no_more() -> None:
    """Every commercial thread that was found by hand, and a random sample of the rest."""
    predictions, truth, _ = hidden()
    picked = [name for name, label in truth.items() if label is Label.COMMERCIAL][:300]
    drawn = intimacy.label_next(predictions, 300, by="random", labelled=picked)
    told = dict.fromkeys(picked, 1.0) | {c.thread_id: c.probability for c in drawn}
    labels = {name: truth[name] for name in told}
    right = shares_in_scope(truth)[0]
    found = intimacy.labelled_shares(predictions, labels, probabilities=told)["commercial"]
    assert found.low < right < found.high and found.high - found.low < 0.12
    assert intimacy.labelled_shares(predictions, labels)["commercial"].low > right + 0.1
    with pytest.raises(ConfigError, match="probability of labelled thread '0000' is None"):
        intimacy.labelled_shares(predictions, {"0000": None}, probabilities=told | {"0000": None})
    nothing = intimacy.labelled_shares(
        predictions, {n: truth[n] for n in picked}, probabilities=dict.fromkeys(picked, 1.0)
    )
    assert nothing["commercial"].reason == "not shown: 0 labels drawn by chance, at least 20 needed"


# -- beside the field's own package


def ppi_py() -> Any:
    with warnings.catch_warnings():  # it silences all warnings when it is imported
        warnings.simplefilter("ignore")
        return pytest.importorskip("ppi_py")


@pytest.mark.slow
def test_the_mean_agrees_with_ppi_python() -> None:
    package = ppi_py()
    rng = np.random.default_rng(0)
    for n, size, signal in ((30, 400, 2.0), (100, 1_000, 0.5), (60, 200, 0.0)):
        truth = (rng.random(n + size) < 0.3).astype(float)
        said = 1 / (1 + np.exp(-(signal * (2 * truth - 1) + rng.normal(size=n + size))))
        given = (truth[:n], said[:n], said[n:])
        mean, error, power = estimators.ppi_mean(*given)
        low, high = package.ppi_mean_ci(*given, alpha=0.1)
        assert (mean - 1.6449 * error, mean + 1.6449 * error) == (
            pytest.approx(float(low[0]), abs=1e-4),
            pytest.approx(float(high[0]), abs=1e-4),
        )
        assert mean == pytest.approx(float(np.squeeze(package.ppi_mean_pointestimate(*given))))
        assert 0 <= power <= 1


@pytest.mark.slow
def test_shares_agree_with_ppi_python_where_everything_is_in_scope() -> None:
    package = ppi_py()
    predictions, truth = creator(size=500, scope=False)
    labels = sampled(predictions, truth, 100)
    found = intimacy.labelled_shares(predictions, labels, method="ppi")
    near = [p for p in predictions if p.thread_id in labels]
    far = [p for p in predictions if p.thread_id not in labels]
    for name in LABELS:
        hit = np.array([float(labels[p.thread_id] == name) for p in near])
        said, rest = (np.array([p.scores[name] for p in part]) for part in (near, far))
        low, high = package.ppi_mean_ci(hit, said, rest, alpha=0.1)
        assert found[name].low == pytest.approx(max(0, float(low[0])), abs=2e-4)
        assert found[name].high == pytest.approx(float(high[0]), abs=2e-4)
    # The default says about the same where labels are many and the share is not small.
    ours = intimacy.labelled_shares(predictions, labels)
    assert ours["commercial"].estimate == pytest.approx(found["commercial"].estimate, abs=0.05)


def test_log_gamma() -> None:
    from math import lgamma

    values = np.geomspace(1e-6, 1e5, 60)
    wanted = [lgamma(value) for value in values]
    assert estimators._log_gamma(values) == pytest.approx(wanted, abs=1e-6)


# -- what is left out, and what is said of it


def test_few_labels_have_a_reason_and_not_many_a_caveat() -> None:
    predictions, truth = creator()
    few = intimacy.labelled_shares(predictions, sampled(predictions, truth, 19))
    assert {s.reason for s in few.values()} == {
        "not shown: 19 labels drawn by chance, at least 20 needed"
    }
    some = intimacy.labelled_shares(predictions, sampled(predictions, truth, 30))
    assert some["commercial"].reason == "indicative: 30 labels" and some["commercial"].measurable
    nowhere = dict.fromkeys(sampled(predictions, truth, 40))
    found = intimacy.labelled_shares(predictions, nowhere)
    assert found["commercial"].reason == "not measurable: no labelled thread is in scope"


def test_unread_threads_and_minors_are_left_out() -> None:
    predictions, truth = creator()
    labels = sampled(predictions, truth, 60)
    plain = intimacy.labelled_shares(predictions, labels)
    unread = Prediction(thread_id="u", label=None, reason=Reason.EMPTY)
    young = replace(
        predictions[0],
        thread_id="m",
        structure=Structure(roles=(Role.FOLLOWER,), signs=Signs(cues={"minor": 1})),
    )
    more = intimacy.labelled_shares([unread, young, *predictions], labels)
    assert more == plain
    said = intimacy.labelled_shares([unread, *predictions], labels | {"u": None})
    assert said["commercial"].n == 60
    assert said["commercial"].reason == "1 labels of threads that the model did not read left out"


def test_labelled_threads_do_as_labels() -> None:
    predictions, truth = creator()
    labels = sampled(predictions, truth, 60)
    items = [
        AnnotatedThread(thread=thread(("follower", "ciao"), id=name), label=label)
        for name, label in labels.items()
    ]
    assert intimacy.labelled_shares(predictions, items) == intimacy.labelled_shares(
        predictions, labels
    )


def test_one_creator_at_a_time() -> None:
    predictions, truth = creator()
    labels = sampled(predictions, truth, 60)
    own = [replace(p, creator_id="@giulia") for p in predictions]
    others = [replace(p, thread_id=f"o{p.thread_id}", creator_id="@piero") for p in predictions]
    with pytest.raises(ConfigError, match=r"predictions of 2 creators; .* pass creator_id="):
        intimacy.labelled_shares(own + others, labels)
    theirs = {"o1": Label.COMMERCIAL}
    found = intimacy.labelled_shares(own + others, labels | theirs, creator_id="@giulia")
    assert found == intimacy.labelled_shares(own, labels)
    with pytest.raises(CorpusError, match="none of 1 labels is of a thread of this creator"):
        intimacy.labelled_shares(own + others, theirs, creator_id="@giulia")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": {}}, CorpusError, "no labels; expected some"),
        ({"labels": {"nowhere": None}}, CorpusError, "1 of 1 labels are of threads that are not"),
        ({"labels": {"0": "funny"}}, CorpusError, "label of thread '0' is 'funny'; expected one"),
        ({"labels": "interactive"}, CorpusError, "expected thread id → label"),
        ({"labels": 5}, CorpusError, "labels are 5"),
        ({"labels": ["interactive"]}, CorpusError, "a str among the labels"),
        ({"labels": {"0": None, 0: None}}, CorpusError, "two labels of thread 0"),
        ({"method": "magic"}, ConfigError, "method is 'magic'; expected one of: posterior, ppi"),
        ({"interval": 90}, ConfigError, "interval is 90; expected a fraction"),
        ({"creator_id": "@nobody"}, ConfigError, "no thread of creator '@nobody'"),
        ({"probabilities": 0.1}, ConfigError, "probabilities are 0.1; expected thread id"),
        ({"probabilities": {}}, ConfigError, "probability of labelled thread '0' is None"),
        ({"probabilities": {"0": 0.0}}, ConfigError, "is 0.0; expected the one it was drawn with"),
        ({"probabilities": {"0": 1.5}}, ConfigError, "above 0 and at most 1"),
        ({"method": "ppi", "probabilities": {"0": 0.1}}, ConfigError, "a simple random sample"),
        ({"predictions": "p"}, ThreadError, "one str received; expected a list of predictions"),
        ({"predictions": [3]}, ThreadError, "a int among the predictions"),
    ],
)
def test_what_cannot_be_is_refused(change: dict, error: type[Exception], message: str) -> None:
    scores = dict.fromkeys(LABELS, 0.25)
    items = [Prediction(thread_id=str(i), label=None, scores=scores) for i in range(30)]
    given: dict = {"predictions": items, "labels": {"0": None}} | change
    with pytest.raises(error, match=message):
        intimacy.labelled_shares(given.pop("predictions"), given.pop("labels"), **given)


def test_two_predictions_with_one_id_are_refused() -> None:
    predictions, truth = creator()
    with pytest.raises(ThreadError, match="ids stand at more than one thread"):
        intimacy.labelled_shares([*predictions, predictions[0]], sampled(predictions, truth, 30))


# -- in a profile


def test_a_profile_takes_its_shares_from_labels() -> None:
    predictions, truth = creator()
    labels = sampled(predictions, truth, 60)
    plain = intimacy.profile(predictions)
    found = intimacy.with_labels(plain, predictions, labels)
    assert found.shares == intimacy.labelled_shares(predictions, labels)
    assert found.notes[-1] == "the shares of the four rest on 60 labels of this creator's threads"
    assert found.indices == plain.indices and found.raw_shares == plain.raw_shares
    few = intimacy.with_labels(plain, predictions, sampled(predictions, truth, 10))
    assert few.shares == plain.shares
    assert few.notes[-1].startswith("labels of this creator are not used: not shown: 10 labels")


def test_of_several_creators_those_with_labels_take_them(tmp_path: Path) -> None:
    predictions, truth = creator(size=150)
    own = [replace(p, creator_id="@giulia") for p in predictions]
    others = [replace(p, thread_id=f"o{p.thread_id}", creator_id="@piero") for p in predictions]
    items = [
        AnnotatedThread(
            thread=thread(("follower", "ciao"), id=name),
            label=label,
            attributes={} if label else {"flags": ["out_of_scope"]},
        )
        for name, label in sampled(predictions, truth, 40).items()
    ]
    plain = [intimacy.profile(part) for part in (own, others)]
    first, second = all_with_labels(plain, [own, others], items)
    assert second == plain[1]
    assert first.shares == intimacy.labelled_shares(own, items)
    with pytest.raises(CorpusError, match="40 of 40 labels are of threads that are not among"):
        all_with_labels(plain[1:], [others], items)

    said, known = tmp_path / "p.jsonl", tmp_path / "labels.jsonl"
    store.write_jsonl(said, [p.to_dict() for p in own + others])
    store.write_jsonl(known, map(annotated_to_dict, items))
    command = [sys.executable, "-W", "error", "-m", "intimacy", "profile", str(said)]
    done = subprocess.run(
        [*command, "--labels", str(known), "--format", "json"], capture_output=True, check=True
    )
    told = json.loads(done.stdout)
    assert [any("rest on 40 labels" in note for note in p["notes"]) for p in told] == [True, False]
    assert told[0]["shares"]["commercial"]["n"] == 40


# -- do the intervals hold


@pytest.mark.slow
def test_intervals_cover_where_the_normal_ones_do_not() -> None:
    module = benchmark("labelled_shares")
    found = module.coverage(
        module.simulated_creator, module.simulation.simulated_model, 40, 500, (60,)
    )
    random_, drawn, normal, alone = (
        found[60, name] for name in ("random", "drawn for the profile", "PPI++", "labels alone")
    )
    assert 0.83 <= random_["covered"] <= 0.97 and 0.83 <= drawn["covered"] <= 0.97
    assert normal["rare_covered"] < 0.75 < random_["rare_covered"]
    assert random_["width"] < 0.85 * alone["width"]
    assert drawn["error"] < 1.05 * random_["error"]

"""What to label next."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from conftest import thread

import intimacy
from intimacy.errors import ConfigError, ThreadError
from intimacy.labelling.selection import (
    OUTCOMES,
    STRATEGIES,
    Choice,
    chances,
    left_to_know,
)
from intimacy.prediction import Prediction, Signs, Structure
from intimacy.schema import Reason, Role


def prediction(
    name: str, *scores: float, scope: float = 1.0, creator: str = "@giulia"
) -> Prediction:
    return Prediction(
        thread_id=name,
        label=None,
        scores=dict(zip(OUTCOMES, scores, strict=False)),
        scope=scope,
        creator_id=creator,
        structure=Structure(roles=(Role.FOLLOWER,)),
    )


def many(
    n: int, *, seed: int = 0, creator: str = "@giulia", sharp: float = 2.0
) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    scores = np.exp(sharp * rng.normal(size=(n, 4)))
    scores /= scores.sum(1, keepdims=True)
    scope = rng.beta(6, 1, n)
    return [
        prediction(f"{creator}-{i:04d}", *row, scope=float(s), creator=creator)
        for i, (row, s) in enumerate(zip(scores.tolist(), scope, strict=True))
    ]


def names(chosen: list[Choice]) -> list[str]:
    return [choice.thread_id for choice in chosen]


@pytest.mark.parametrize("by", STRATEGIES)
def test_the_same_choice_in_any_order_of_the_threads(by: str) -> None:
    items = many(120) + many(80, seed=1, creator="@piero")
    first = intimacy.label_next(items, 25, by=by, seed=3)
    assert len(set(names(first))) == 25
    assert all(items[c.position].thread_id == c.thread_id for c in first)
    assert all(c.creator_id == items[c.position].creator_id and c.by == by for c in first)
    random.Random(0).shuffle(items)
    again = intimacy.label_next(items, 25, by=by, seed=3)
    assert names(again) == names(first)
    assert [c.probability for c in again] == [c.probability for c in first]
    other = intimacy.label_next(items, 25, by=by, seed=4)
    assert (names(other) == names(first)) == (by == "uncertainty")


@pytest.mark.parametrize("by", STRATEGIES)
def test_only_a_draw_has_probabilities(by: str) -> None:
    chosen = intimacy.label_next(many(60), 12, by=by)
    for choice in chosen:
        assert (choice.probability is None) == (by in ("uncertainty", "diversity"))
        assert choice.probability is None or 0 < choice.probability <= 1


def test_uncertainty_takes_the_smallest_margins_scope_among_them() -> None:
    items = [
        prediction("sure", 0.97, 0.01, 0.01, 0.01),
        prediction("torn", 0.48, 0.47, 0.03, 0.02),
        prediction("spam", 0.97, 0.01, 0.01, 0.01, scope=0.5),
        prediction("fair", 0.70, 0.20, 0.05, 0.05),
    ]
    chosen = intimacy.label_next(items, 3)
    assert names(chosen) == ["torn", "spam", "fair"]
    assert chosen[0].score == pytest.approx(0.99)
    assert chosen[0].why == "commercial 0.48, interactive 0.47"
    assert "out_of_scope 0.50" in chosen[1].why


def test_diversity_does_not_take_the_same_doubt_again_and_again() -> None:
    same = [prediction(f"same{i:02d}", 0.41, 0.39, 0.1, 0.1) for i in range(60)]
    others = many(6, sharp=0.3)
    chosen = names(intimacy.label_next(same + others, 7, by="diversity"))
    assert sum(name.startswith("same") for name in chosen) <= 2
    plain = names(intimacy.label_next(same + others, 7))
    assert sum(name.startswith("same") for name in plain) >= 4
    # Where nothing differs any more there are still as many as were asked for.
    assert len(set(names(intimacy.label_next(same, 20, by="diversity")))) == 20


def test_diversity_reads_the_words_where_there_are_threads() -> None:
    texts = ["Quando esce il video nuovo?"] * 12 + ["Bella la borsa!", "Mio nonno è morto ieri"]
    threads = [thread(("follower", text), id=f"{i:02d}") for i, text in enumerate(texts)]
    found = [
        replace(prediction(t.id, 0.41, 0.39, 0.1, 0.1), structure=Structure.of(t, signs=True))
        for t in threads
    ]
    chosen = intimacy.label_next(threads, 3, by="diversity", predictions=found)
    assert {"12", "13"} <= set(names(chosen))


def test_threads_are_classified_and_what_the_model_did_not_read_is_never_chosen() -> None:
    threads = [
        thread(("follower", "Che bella ricetta, la provo domani!"), id="good"),
        thread(("follower", ""), id="empty"),
        thread(("follower", "..."), id="short"),
        thread(("follower", "Ho 14 anni e ti seguo sempre"), id="minor"),
        thread(("follower", "Quanto costa la crema?"), ("creator", "Dieci euro!"), id="goods"),
    ]
    for by in STRATEGIES:
        assert set(names(intimacy.label_next(threads, 2, by=by))) == {"good", "goods"}
    with pytest.raises(ConfigError, match="n is 3; of 5 threads 2 can be chosen"):
        intimacy.label_next(threads, 3)


def test_inclusion_probabilities_are_those_of_the_draws() -> None:
    items = many(40, sharp=3.0)
    draws = [intimacy.label_next(items, 10, by="profile", seed=s) for s in range(400)]
    seen = {name: 0 for name in (p.thread_id for p in items)}
    told: dict[str, float] = {}
    for chosen in draws:
        for choice in chosen:
            seen[choice.thread_id] += 1
            assert choice.probability is not None
            assert told.setdefault(choice.thread_id, choice.probability) == choice.probability
    assert len(told) == 40
    assert sum(told.values()) == pytest.approx(10)
    for name, probability in told.items():
        spread = np.sqrt(probability * (1 - probability) / len(draws))
        assert abs(seen[name] / len(draws) - probability) < 4.5 * spread + 1e-9, name


def test_threads_that_tell_more_of_the_shares_are_drawn_more_often() -> None:
    items = [replace(p, scope=1.0) for p in many(300, sharp=6.0)]
    chosen = intimacy.label_next(items, 60, by="profile")
    told = {c.thread_id: c.probability for c in chosen}
    spread = np.sqrt(left_to_know(chances(items)))
    drawn = [i for i, p in enumerate(items) if p.thread_id in told]
    assert spread[drawn].mean() > 1.2 * spread.mean()
    order = sorted(drawn, key=lambda i: spread[i])
    first, last = (told[str(items[i].thread_id)] for i in (order[0], order[-1]))
    assert first is not None and last is not None and last > 2 * first
    assert first >= 0.5 * 60 / 300 - 1e-9, "half of the draw is even"


def test_what_is_left_to_know_is_the_variance_of_the_linearised_share() -> None:
    odds = chances(many(5, sharp=1.0))
    rng = np.random.default_rng(0)
    share = odds[:, :4].sum(0) / odds[:, :4].sum()
    for row, found in zip(odds, left_to_know(odds), strict=True):
        outcome = rng.choice(5, 40_000, p=row)
        hit = np.eye(5)[outcome][:, :4]
        wanted = (hit - share * hit.sum(1, keepdims=True)).var(0).sum()
        assert found == pytest.approx(wanted, abs=0.02)


def test_labels_go_to_the_creator_whose_interval_is_widest() -> None:
    sure, open_ = many(200, sharp=6.0), many(200, seed=1, creator="@piero", sharp=0.5)
    few = many(5, seed=2, creator="@ugo", sharp=0.5)
    chosen = intimacy.label_next(sure + open_ + few, 60, by="profile")
    given = {who: sum(c.creator_id == who for c in chosen) for who in ("@giulia", "@piero", "@ugo")}
    assert given["@piero"] > 1.5 * given["@giulia"] > 0
    assert given["@ugo"] == 5, "no more than there are"
    assert sum(given.values()) == 60
    own = intimacy.label_next(sure + open_, 20, by="profile", creator_id="@giulia")
    assert {c.creator_id for c in own} == {"@giulia"}
    alone = intimacy.label_next(sure, 20, by="profile")
    assert names(own) == names(alone)


def test_labelled_threads_are_not_chosen_again() -> None:
    items = many(50)
    first = names(intimacy.label_next(items, 20, by="random"))
    second = intimacy.label_next(items, 30, by="random", labelled=first)
    assert not set(first) & set(names(second))
    assert {c.probability for c in second} == {1.0}


def test_every_thread_can_be_asked_for() -> None:
    items = many(30)
    for by in STRATEGIES:
        assert len(set(names(intimacy.label_next(items, 30, by=by)))) == 30


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"by": "margin"}, ConfigError, "by is 'margin'; expected one of: uncertainty, diversity"),
        ({"n": 0}, ConfigError, "n is 0; expected a whole number from 1"),
        ({"n": 2.5}, ConfigError, "n is 2.5"),
        ({"n": True}, ConfigError, "n is True"),
        ({"n": 11}, ConfigError, "n is 11; of 10 threads 10 can be chosen .* give n=10 or fewer"),
        ({"seed": -1}, ConfigError, "seed is -1"),
        ({"creator_id": "@nobody"}, ConfigError, "no thread of creator '@nobody' among 10"),
        ({"labelled": "t1"}, ConfigError, "one string; expected a collection"),
        ({"threads": []}, ConfigError, "none of 0 threads can be chosen"),
        ({"threads": "ciao"}, ThreadError, "expected a list of threads or of predictions"),
        ({"threads": many(1)[0]}, ThreadError, "expected a list of threads or of predictions"),
        ({"threads": many(3) + many(3)}, ThreadError, "3 ids stand at more than one thread"),
        ({"predictions": many(3)}, ThreadError, "10 threads and 3 predictions"),
    ],
)
def test_what_cannot_be_is_refused(change: dict, error: type[Exception], message: str) -> None:
    given = {"threads": many(10), "n": 5} | change
    with pytest.raises(error, match=message):
        intimacy.label_next(given.pop("threads"), given.pop("n"), **given)


def test_nothing_readable_says_so() -> None:
    empty = [Prediction(thread_id=str(i), label=None, reason=Reason.EMPTY) for i in range(3)]
    with pytest.raises(ConfigError, match="the model read none"):
        intimacy.label_next(empty, 1)


def test_minors_are_not_handed_out() -> None:
    young = replace(many(1)[0], structure=Structure(signs=Signs(cues={"minor": 1})))
    assert names(intimacy.label_next([young, *many(3, creator="@piero")], 3)) == [
        c.thread_id for c in intimacy.label_next(many(3, creator="@piero"), 3)
    ]

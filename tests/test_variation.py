"""Variations of training threads: said otherwise they keep their label, unanswered they do not."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from conftest import ROOT

from intimacy import store
from intimacy.annotation import AnnotatedThread, annotated_from_dict, contradictions, possible
from intimacy.behaviour import hangs_on_answer
from intimacy.evaluation import names_product
from intimacy.schema import Label, Role

pytest.importorskip("torch")
from intimacy.training.config import TrainConfig
from intimacy.training.variation import Variation


@pytest.fixture(scope="module")
def items() -> list[AnnotatedThread]:
    found = list(store.read_jsonl(ROOT / "data" / "threads" / "dev.jsonl", annotated_from_dict))
    return [item for item in found if item.label is not None]


def test_a_thread_without_its_answer_is_interactive(items: list[AnnotatedThread]) -> None:
    variation, rng = Variation(items, TrainConfig(unanswered=1.0)), random.Random(0)
    hanging = [item for item in items if hangs_on_answer(item)]
    assert len(hanging) > 20
    responses = Counter()
    for item in hanging:
        varied = variation.of(item, rng)
        response = varied.attributes["creator_response"]
        responses[response] += 1
        assert varied.label is Label.INTERACTIVE and varied.target == {"interactive": 1.0}
        assert varied.thread.has_creator_turn == (response == "token")
        assert "interactive" in possible(varied.thread)
        roles = [str(turn.role) for turn in varied.thread.turns]
        answer = {**varied.attributes, "label": "interactive"}
        assert not contradictions(answer, roles, caption=bool(varied.thread.post.text))
    assert responses["none"] and responses["token"]


def test_what_does_not_hang_on_the_answer_keeps_it(items: list[AnnotatedThread]) -> None:
    variation, rng = Variation(items, TrainConfig(unanswered=1.0)), random.Random(0)
    for item in (i for i in items if not hangs_on_answer(i)):
        varied = variation.of(item, rng)
        assert (varied.label, varied.target) == (item.label, item.target)
        assert [t.role for t in varied.thread.turns] == [t.role for t in item.thread.turns]


def test_a_caption_that_tells_stays(items: list[AnnotatedThread]) -> None:
    config = TrainConfig(drop_caption=1.0, boilerplate=0.0, informal=0.0, unanswered=0.0)
    variation, rng = Variation(items, config), random.Random(0)
    told = [i for i in items if i.label is Label.DISCLOSIVE and not i.thread.has_creator_turn]
    assert told
    assert all(variation.of(i, rng).thread == i.thread for i in told)
    goods = [i for i in items if i.label is Label.COMMERCIAL and i.thread.post.text]
    named = [any(names_product(t.text) for t in i.thread.turns) for i in goods]
    kept = [variation.of(i, rng).thread.post.text is not None for i in goods]
    assert [not k for k in kept] == named and any(named) and not all(named)


def test_the_shares_are_those_of_the_variations(items: list[AnnotatedThread]) -> None:
    variation, rng = Variation(items, TrainConfig(unanswered=0.5)), random.Random(0)
    said = variation.label_shares()
    assert sum(said.values()) == pytest.approx(1)
    found: Counter[str] = Counter()
    for _ in range(30):
        for item in items:
            found.update(variation.of(item, rng).target)
    whole = sum(found.values())
    assert {name: n / whole for name, n in found.items()} == pytest.approx(said, abs=0.01)


def test_no_share_of_anything_changes_nothing(items: list[AnnotatedThread]) -> None:
    still = TrainConfig(
        informal=0.0, drop_caption=0.0, swap_caption=0.0, boilerplate=0.0, unanswered=0.0
    )
    variation, rng = Variation(items, still), random.Random(0)
    assert [variation.of(item, rng) for item in items] == items
    assert any(t.role is Role.CREATOR for i in items for t in i.thread.turns)

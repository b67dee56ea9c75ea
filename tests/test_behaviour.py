"""Behaviour tests change what they say they change, and the bundled model passes most of them."""

from __future__ import annotations

import random

import pytest
from conftest import thread

from intimacy import behaviour, corpus
from intimacy.annotation import AnnotatedThread
from intimacy.classifier import load_model
from intimacy.schema import Label

TESTS = {test.name: test for test in behaviour.TESTS}


def changed(name: str, item: AnnotatedThread) -> list[str] | None:
    found = TESTS[name].change(item, random.Random(0))
    return None if found is None else [turn.text for turn in found.turns]


def item(*turns: tuple[str, str], label: Label = Label.RECIPROCAL, salience: int = 0):  # type: ignore[no-untyped-def]
    attributes = {"product_salience": salience}
    return AnnotatedThread(thread=thread(*turns), label=label, attributes=attributes)


ASKED = (("follower", "Sei bravissima! Luca dice che perché 👏🏼"), ("creator", "Uso farina 0"))


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("another gender", "Sei bravissimo! Luca dice che perché 👏🏼"),
        ("no accents", "Sei bravissima! Luca dice che perche 👏🏼"),
        ("capitals", "SEI BRAVISSIMA! LUCA DICE CHE PERCHÉ 👏🏼"),
        ("elongation", "Sei bravissimaaaaa! Luca dice che perché 👏🏼"),
    ],
)
def test_a_text_is_written_otherwise(name: str, first: str) -> None:
    said = changed(name, item(*ASKED))
    assert said is not None and said[0] == first


def test_names_emoji_and_handles_are_swapped() -> None:
    said = changed("another name", item(*ASKED))
    assert said is not None and "Luca" not in said[0] and said[0].startswith("Sei bravissima! ")
    said = changed("another emoji of its kind", item(*ASKED))
    assert said is not None and "👏🏼" not in said[0]
    assert changed("another handle", item(*ASKED)) is None
    said = changed("another handle", item(("follower", "grazie @utente"), ("creator", "figurati")))
    assert said is not None and said[0].startswith("grazie @")


def test_brands_are_swapped_where_a_product_is_spoken_of() -> None:
    turns = (("follower", "quanto costa la Lanaviva?"), ("creator", "12 euro"))
    assert changed("another brand", item(*turns, salience=1)) is None
    said = changed("another brand", item(*turns, salience=3, label=Label.COMMERCIAL))
    assert said is not None and "Lanaviva" not in said[0]


def test_a_reply_is_taken_away_only_where_the_label_hangs_on_it() -> None:
    name = "reply deleted: reciprocal becomes interactive"
    assert changed(name, item(*ASKED)) == [ASKED[0][1]]
    assert changed(name, item(*ASKED, salience=2)) is None
    assert changed(name, item(*ASKED, label=Label.DISCLOSIVE)) is None
    said = changed("token reply: reciprocal becomes interactive", item(*ASKED))
    assert said is not None and said[1] in behaviour.TOKEN_REPLIES


def test_the_bundled_model_behaves() -> None:
    items = [i for i in corpus.load_corpus() if i.split == "dev"][:160]
    outcomes = behaviour.run(load_model(), items)
    assert set(outcomes) == set(TESTS)
    for name, outcome in outcomes.items():
        assert outcome.n == outcome.passed + len(outcome.failed), name
        if outcome.n >= 20:
            assert outcome.rate is not None and outcome.rate > 0.8, (name, outcome)

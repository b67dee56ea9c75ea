"""Cues in the text of a thread: what each pattern finds, in whose words, and at what cost."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from datetime import date
from importlib import resources
from typing import Any

import msgspec
import pytest
from conftest import thread

from intimacy import cues
from intimacy.prediction import Signs

DATA = msgspec.json.decode((resources.files("intimacy") / "resources" / "cues.json").read_bytes())
CUES: dict[str, dict[str, Any]] = DATA["cues"]
FORMS: dict[str, Callable[[str], str]] = {
    "as written": str,
    "capitals": str.upper,
    "typographic apostrophes": lambda text: text.replace("'", "’"),
    "decomposed accents": lambda text: unicodedata.normalize("NFD", text),
    "line breaks": lambda text: text.replace(" ", " \u00a0\n") + "\n",
}
HOSTILE = [
    "a" * 1_000_000,
    "? " * 500_000,
    "da " * 300_000,
    " " * 999_999 + "?",
    "perché " * 150_000,
]
SIDES = ("follower", "creator", "staff", "caption")


def found(side: str, text: str) -> dict[str, int]:
    """Cues of a thread in which one side alone speaks."""
    return cues.of(thread(caption=text) if side == "caption" else thread((side, text)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CUES)
def test_every_yes_matches_and_no_no_does(name: str, form: str) -> None:
    cue, change = CUES[name], FORMS[form]
    shows = {text: name in found(cue["of"], change(text)) for text in cue["yes"] + cue["no"]}
    assert shows == {text: text in cue["yes"] for text in shows}
    assert len(cue["yes"]) >= 8 and len(cue["no"]) >= 8


def test_space_in_front_changes_nothing() -> None:
    for cue in CUES.values():
        for text in cue["yes"] + cue["no"]:
            assert found(cue["of"], f" {text}") == found(cue["of"], text), text


@pytest.mark.parametrize("name", CUES)
def test_only_its_own_side_counts(name: str) -> None:
    cue = CUES[name]
    others = [side for side in SIDES if side != cue["of"]]
    assert not [side for side in others for text in cue["yes"] if name in found(side, text)]


def test_staff_counts_for_nothing() -> None:
    said = [text for cue in CUES.values() for text in cue["yes"]]
    assert cues.of(thread(*(("staff", f"{text} 💛") for text in said))) == {}


def test_emoji_and_credit_are_found_without_an_example() -> None:
    assert found("creator", "grazie 💛") == {"emoji": 1}
    assert "emoji" not in found("follower", "grazie 💛")
    for text in CUES["credits"]["yes"]:
        assert "caption_credits" in found("caption", text)
        assert "caption_credits" not in found("creator", text)


def test_turns_are_counted_not_matches() -> None:
    ask, answer = ("follower", "quanto costa? e dove? e quando?"), ("creator", "costa poco")
    assert cues.of(thread(ask, answer))["question"] == 1
    assert cues.of(thread(ask, answer, ask, ("follower", "ok")))["question"] == 2


def test_what_says_nothing_shows_nothing() -> None:
    assert cues.of(thread(("follower", ""), ("creator", " \n "), caption="")) == {}
    assert cues.of(thread(("follower", "ok"), caption=None)) == {}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:4]))
def test_a_megabyte_takes_less_than_a_second(side: str, text: str) -> None:
    cues.lexicon()
    begin = time.perf_counter()
    found(side, text)
    assert time.perf_counter() - begin < 1


def test_names_are_unique_and_in_one_order() -> None:
    names = cues.lexicon().names
    assert len(set(names)) == len(names)
    assert set(names) == {*CUES, "emoji", "caption_credits"}
    cues.lexicon.cache_clear()
    assert cues.lexicon().names == names


def test_the_version_is_a_date() -> None:
    assert cues.lexicon().version == date.fromisoformat(DATA["version"]).isoformat()


def test_no_text_leaves() -> None:
    secret = "ma tu, Zibaldone, quanto costa? ti ringrazio tanto davvero"
    said = thread(("follower", secret), ("creator", secret), ("staff", secret), caption=secret)
    counts = cues.of(said)
    assert set(counts) <= set(cues.lexicon().names)
    assert counts and all(type(count) is int for count in counts.values())
    signs = Signs.of(said)
    assert "zibaldone" not in repr(signs).lower()
    assert signs.templates[0] is None, "followers have no templates"
    assert all(type(number) is int for number in signs.templates[1:])


# -- replies that come again

REPLY = "Ciao Giulia, ti abbiamo scritto in privato con tutte le informazioni"


@pytest.mark.parametrize(
    "same",
    [
        REPLY.replace("Giulia", "Marta"),
        REPLY.replace("Giulia", "MARTA").upper(),
        REPLY.replace("Giulia,", "Niccolò 💛!"),
        f"{REPLY} @giulia.rossi 2026",
        "ciao marta: in privato con tutte le informazioni, ti abbiamo scritto",
        unicodedata.normalize("NFD", REPLY.replace("Giulia", "Niccolò")),
    ],
)
def test_the_same_words_to_another_name_are_one_template(same: str) -> None:
    assert cues.template(same) == cues.template(REPLY)


def test_another_reply_is_another_number() -> None:
    other = "Ciao Giulia, ti abbiamo scritto in pubblico con tutte le informazioni"
    numbers = {cues.template(REPLY), cues.template(other), cues.template(REPLY + " utili")}
    assert len(numbers) == 3
    assert all(number is not None and 0 <= number < 2**63 for number in numbers)


@pytest.mark.parametrize(
    "short",
    ["", "💛💛💛", "Grazie!", "Grazie mille cara 😘", "@giulia @marta @anna @sara @chiara ok"],
)
def test_short_thanks_are_no_template(short: str) -> None:
    assert cues.template(short) is None


def test_a_handle_after_the_greeting_stands_for_the_name() -> None:
    assert cues.template(REPLY.replace("Giulia", "@giulia")) == cues.template(REPLY)


# -- readability


@pytest.mark.parametrize(
    ("caption", "counts"),
    [
        ("Ciao a tutti. Oggi piove! Davvero?", (26, 6, 3)),
        ("Due righe\nsenza punti", (18, 4, 2)),
        ("Aspetta... arriva l'estate?!", (20, 4, 2)),
        ("solo parole", (10, 2, 1)),
        ("3.5 kg 💛", (2, 1, 1)),
        ("", (0, 0, 0)),
        ("💛 ... 2026!", (0, 0, 0)),
    ],
)
def test_letters_words_and_sentences(caption: str, counts: tuple[int, int, int]) -> None:
    assert cues.readability(caption) == counts


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(
            lambda: cues.template("a" * 12_000 + " @"),
            id="template",
        ),
        pytest.param(
            lambda: cues.readability("." * 5_000 + "a"),
            id="readability",
        ),
    ],
)
def test_a_long_run_takes_no_time(count: Callable[[], object]) -> None:
    begin = time.perf_counter()
    count()
    assert time.perf_counter() - begin < 0.2

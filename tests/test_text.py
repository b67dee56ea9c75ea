"""Rules on strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intimacy import text as texts


@pytest.mark.parametrize(
    ("raw", "masked"),
    [
        ("ciao @marta.rossi come va", "ciao @utente come va"),
        ("scrivi a info@negozio.it!", "scrivi a [email]!"),
        ("vedi https://example.org/a?b=c e www.prova.it", "vedi [link] e [link]"),
        ("chiamami al 333 1234567", "chiamami al [telefono]"),
        ("+39 02.1234567", "[telefono]"),
        ("costa 1.299,00 € nel 2024", "costa 1.299,00 € nel 2024"),
        ("dal 2019 al 2024", "dal 2019 al 2024"),
        ("@giulia grazie", "@giulia grazie"),
    ],
)
def test_mask_pii(raw: str, masked: str) -> None:
    assert texts.mask_pii(raw, keep=frozenset({"giulia"})) == masked


@given(st.text())
def test_masking_and_cleaning_twice_changes_nothing_more(raw: str) -> None:
    once = texts.mask_pii(texts.clean(raw))
    assert texts.mask_pii(texts.clean(once)) == once


@given(st.text(alphabet=st.characters(codec=None)))
def test_clean_leaves_text_that_can_be_written(raw: str) -> None:
    texts.clean(raw).encode("utf-8")


@pytest.mark.parametrize("text", ["ciao", "7", "🔥", "❤️", "☺️", "ça", "好", "©"])
def test_content(text: str) -> None:
    assert texts.has_content(text)


@pytest.mark.parametrize("text", ["", "  ", "...", "!?", "\u200b", "—", "\ufe0f"])
def test_no_content(text: str) -> None:
    assert not texts.has_content(text)


def test_latin_share() -> None:
    assert texts.latin_share("perché no") == 1.0
    assert texts.latin_share("привет как дела") == 0.0
    assert texts.latin_share("𝓬𝓲𝓪𝓸") == 1.0
    assert texts.latin_share("🔥🔥 123") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I love this so much, thank you", "en"),
        ("gracias, me encanta el vídeo y los perros", "es"),
        ("vielen Dank, das ist sehr schön", "de"),
        ("love this video", "en"),
        ("slay queen", None),
        ("so che è dura, thank you for this", "it"),
        ("mo' basta guagliò", None),
        ("🔥🔥", None),
        ("Bella questa chiacchierata tra human safari e gli altri", "it"),
    ],
)
def test_language_is_proven_by_function_words_or_not_at_all(text: str, expected: str) -> None:
    assert texts.language(text) == expected


def test_handles_compare_without_case_and_at() -> None:
    assert texts.handle(" @GiuliaEsempio") == texts.handle("giuliaesempio")


def test_html_of_the_platforms() -> None:
    assert texts.from_html("Dove l&#39;hai presa?<br>Bella <3") == "Dove l'hai presa?\nBella <3"

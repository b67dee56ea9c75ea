"""How a caption says that it is advertising: wordings, tiers, position, brands."""

from __future__ import annotations

import time
import unicodedata
from datetime import date
from importlib import resources
from typing import Any

import msgspec
import pytest

from intimacy.disclosure import TIERS, Disclosure, disclosed, rules

RAW = (resources.files("intimacy") / "resources" / "disclosure.json").read_bytes()
DATA = msgspec.json.decode(RAW)
WORDINGS: dict[str, dict[str, Any]] = {wording["name"]: wording for wording in DATA["wordings"]}
LONG = "Una giornata tra i boschi con tutta la famiglia e il cane "


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", WORDINGS)
def test_every_yes_is_found_and_no_no_is(name: str, form: str) -> None:
    wording = WORDINGS[name]
    for caption in wording["yes"]:
        found = disclosed(unicodedata.normalize(form, caption))
        assert name in found.wordings, caption
        assert TIERS.index(found.tier) >= TIERS.index(wording["tier"]), caption
        assert not wording["needs_brand"] or found.brands, caption
    for caption in wording["no"]:
        assert name not in disclosed(unicodedata.normalize(form, caption)).wordings, caption


def test_wordings_have_one_name_and_a_known_tier() -> None:
    assert len(WORDINGS) == len(DATA["wordings"]) == len(rules().wordings)
    assert {wording["tier"] for wording in WORDINGS.values()} == set(TIERS[1:])
    assert all(w["tier"] == "sufficient" for w in WORDINGS.values() if w["needs"])


def test_the_version_is_a_date() -> None:
    assert rules().version == date.fromisoformat(DATA["version"]).isoformat()


# -- tiers


@pytest.mark.parametrize(
    ("caption", "tier"),
    [
        ("Oggi al mare", "none"),
        ("Trovate tutto al link in bio", "cue"),
        ("#gifted la teiera blu", "weak"),
        ("#adv la teiera blu", "weak"),
        ("#adv @lumea la teiera blu", "sufficient"),
        ("Pubblicità | la teiera blu", "sufficient"),
    ],
)
def test_tiers(caption: str, tier: str) -> None:
    assert disclosed(caption).tier == tier


def test_the_strongest_counts_wherever_it_stands() -> None:
    found = disclosed("Link in bio! #gifted la teiera. Sponsorizzato da @lumea")
    assert found.tier == "sufficient"
    assert found.wordings == ("sponsorizzato da <brand>", "#gifted", "link in bio")


@pytest.mark.parametrize(
    ("caption", "tier"),
    [
        ("Link affiliato di Vetrella", "cue"),
        ("La borraccia @vetrella #affiliatelink", "cue"),
        ("#gifted, link affiliato di Vetrella", "weak"),
        ("Prodotto inviato da @lumea · link affiliato di Vetrella", "sufficient"),
        ("Pubblicità · link affiliato di Vetrella", "sufficient"),
    ],
)
def test_an_affiliate_link_alone_is_a_cue(caption: str, tier: str) -> None:
    found = disclosed(caption)
    assert found.tier == tier and "vetrella" in found.brands


def test_only_what_is_paid_makes_an_affiliate_link_suffice() -> None:
    gifted = disclosed("Prodotto inviato da @lumea · link affiliato di Vetrella").wordings
    paid = disclosed("Pubblicità · affiliati tutti, link affiliato di Vetrella #gifted").wordings
    assert gifted.index("link affiliato <brand>") > 0
    assert paid.index("link affiliato <brand>") < paid.index("#gifted")


@pytest.mark.parametrize(
    "caption",
    [
        "",
        " \n ",
        "💛",
        "sponsorizzato da anni dalla nonna con le lasagne",
        "promosso da poco, e già stanco",
        "mio padre lavora in pubblicità da trent'anni",
        "La pubblicità in tv è cambiata, ne parliamo stasera",
        "Parliamo di sponsorizzazioni: come funzionano davvero",
        "Questa NON è pubblicità, la crema l'ho pagata io",
        "non è sponsorizzato da Lumea",
        "vado ad Ancona con la collaborazione dei vicini",
    ],
)
def test_a_sentence_about_it_is_nothing(caption: str) -> None:
    assert disclosed(caption) == Disclosure()
    assert disclosed(caption).in_position is None


@pytest.mark.parametrize("caption", ["Non è #adv", "questo non è #pubblicità", "non è #collab"])
def test_a_negated_hashtag_is_nothing(caption: str) -> None:
    assert disclosed(caption) == Disclosure()


# -- position


@pytest.mark.parametrize(
    ("caption", "placed"),
    [
        ("#gifted la teiera", True),
        ("✨ (gifted) la teiera", True),
        ("💛" * 60 + "\n#gifted la teiera", True),
        ("Buongiorno! Pubblicità: la teiera", True),
        (LONG + "#gifted", True),
        (LONG + "#uno #due #gifted", True),
        (LONG + "#uno #due #tre #gifted", False),
        (LONG + "(gifted)", False),
        (LONG + "sponsored by @lumea", False),
        (LONG + "#uno #due @lumea #adv", True),
        (LONG + "#uno #due #tre @lumea #adv", False),
        ("Il letto @casafelice (adv)", True),
        (LONG + "@casafelice (adv)", False),
        (LONG + "trovate tutto al link in bio", False),
    ],
)
def test_first_or_among_the_first_three_hashtags(caption: str, placed: bool) -> None:
    assert disclosed(caption).in_position is placed


def test_first_is_within_thirty_characters() -> None:
    placed = [disclosed("a" * before + " (gifted)").in_position for before in range(1, 60)]
    assert placed == sorted(placed, reverse=True)
    assert placed.count(True) == rules().first_characters - len(" (")


def test_a_weaker_wording_in_front_does_not_place_the_strongest() -> None:
    assert disclosed(f"#gifted {LONG} Sponsorizzato da @lumea").in_position is False
    assert disclosed(f"Sponsorizzato da @lumea {LONG} #gifted").in_position is True


@pytest.mark.parametrize(
    "caption",
    [
        pytest.param(LONG + "sponsorizzato da #lumea", id="the hashtag of the brand"),
        pytest.param(LONG + "＃uno ＃due ＃tre #gifted", id="full-width hashtags"),
    ],
)
def test_a_late_label_is_out_of_position(caption: str) -> None:
    assert disclosed(caption).in_position is False


# -- brands


@pytest.mark.parametrize(
    ("caption", "brands"),
    [
        ("Sponsorizzato da @Vetrella.Casa", ("vetrella.casa",)),
        ("Sponsorizzato da Casa Felice · ciao", ("casa felice",)),
        ("sponsorizzato da #lumea la merenda", ("lumea",)),
        ("#sponsorizzatodalumea la merenda", ("lumea",)),
        ("#adv_vetrella il cappotto", ("vetrella",)),
        ("Sponsorizzato dall’Hotel Casafelice", ("hotel casafelice",)),
        ("#adv per L’Orsa Blu", ("l’orsa blu",)),
        ("Sponsorizzato da @vetrella. Grazie a @lumea", ("vetrella", "lumea")),
        ("Sponsorizzato da @vetrella. Grazie a @vetrella", ("vetrella",)),
        ("#gifted la teiera", ()),
        pytest.param(
            "＃adv ＃lumea",
            ("lumea",),
        ),
    ],
)
def test_brands(caption: str, brands: tuple[str, ...]) -> None:
    assert disclosed(caption).brands == brands


# -- any text


def test_decomposed_accents_change_nothing() -> None:
    for wording in WORDINGS.values():
        for caption in wording["yes"] + wording["no"]:
            assert disclosed(unicodedata.normalize("NFD", caption)) == disclosed(caption)


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "a",
            "#",
            "@",
            "@a.",
            "#a ",
            "# ",
            "A ",
            "\n",
            "💛",
            "adv ",
            "(adv) ",
            "#adv @",
            "#ad #a ",
        ),
        *("pubblicità ", "presentato da ", "Vetrella ", "codice ", "1 euro ", "il più bello "),
    ],
)
def test_a_very_long_caption_takes_less_than_a_second(unit: str) -> None:
    rules()
    begin = time.perf_counter()
    disclosed(unit * (1_000_000 // len(unit)))
    assert time.perf_counter() - begin < 1


def test_a_label_at_the_head_of_a_very_long_caption_is_found() -> None:
    assert disclosed("#adv @lumea " + "parole " * 200_000) == disclosed("#adv @lumea parole")

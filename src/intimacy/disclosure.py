"""How a caption says that it is advertising: versioned wordings in three tiers, never a verdict.

``sufficient`` wordings are those of the Digital Chart of 2024, ``weak`` ones older or incomplete,
``cue`` ones signs of commerce without a label. What is lawful depends on facts that no caption
shows: this describes, it is no legal advice. See docs/measures.md, `resources/disclosure.json`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

import msgspec

TIERS = ("none", "cue", "weak", "sufficient")
"""From nothing to a wording that suffices."""
_LONGEST = 5_000
_HASHTAG = re.compile(r"#\s?\w+")
_PART = re.compile(r"\{\{(\w+)\}\}")
_LEADING = re.compile(r"^[^\w#@]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """What was found in one caption."""

    tier: str = "none"
    """The strongest of `TIERS` that stands there."""
    in_position: bool | None = None
    """Whether a wording of that tier comes first, or among the first three hashtags; None where
    there is no wording."""
    wordings: tuple[str, ...] = ()
    """Names of all that were found, strongest first."""
    brands: tuple[str, ...] = ()
    """Brands named in them, in lower case without ``@`` and ``#``."""


@dataclass(frozen=True)
class _Wording:
    name: str
    tier: str
    pattern: re.Pattern[str]
    kind: str
    needs_brand: bool
    needs: str | None
    """Kind of another sufficient wording without which this one is only a sign of commerce."""


@dataclass(frozen=True)
class _Rules:
    version: str
    first_hashtags: int
    first_characters: int
    wordings: tuple[_Wording, ...]


@lru_cache(maxsize=1)
def rules() -> _Rules:
    """The shipped wordings."""
    raw = (resources.files("intimacy") / "resources" / "disclosure.json").read_bytes()
    data = msgspec.json.decode(raw)
    parts = {name: part["pattern"] for name, part in data["parts"].items()}
    return _Rules(
        data["version"],
        data["position"]["first_hashtags"],
        data["position"]["first_characters"],
        tuple(
            _Wording(
                w["name"],
                w["tier"],
                re.compile(_whole(w["pattern"], parts), re.IGNORECASE),
                w["kind"],
                w["needs_brand"],
                w["needs"],
            )
            for w in data["wordings"]
        ),
    )


def _whole(pattern: str, parts: Mapping[str, str]) -> str:
    """A pattern with the parts that it names by ``{{name}}``, which may name others."""
    while _PART.search(pattern):
        pattern = _PART.sub(lambda match: parts[match.group(1)], pattern)
    return pattern


def disclosed(caption: str) -> Disclosure:
    """Wordings of disclosure in a caption, with the strongest tier and its position."""
    known = rules()
    body = unicodedata.normalize("NFKC", caption[:_LONGEST])
    found = list(_found(body, known))
    kinds = {w.kind for w, _ in found if w.tier == TIERS[-1] and w.needs is None}
    kept = [
        (w if w.needs is None or w.needs in kinds else replace(w, tier="cue"), match)
        for w, match in found
    ]
    if not kept:
        return Disclosure()
    kept.sort(key=lambda pair: (-TIERS.index(pair[0].tier), pair[1].start()))
    tier = kept[0][0].tier
    brands = [_brand(match) for _, match in kept]
    return Disclosure(
        tier=tier,
        in_position=any(_first(body, m, known) for w, m in kept if w.tier == tier),
        wordings=tuple(dict.fromkeys(w.name for w, _ in kept)),
        brands=tuple(dict.fromkeys(b for b in brands if b)),
    )


def _found(body: str, known: _Rules) -> Iterator[tuple[_Wording, re.Match[str]]]:
    for wording in known.wordings:
        for match in wording.pattern.finditer(body):
            if not wording.needs_brand or _brand(match):
                yield wording, match


def _brand(match: re.Match[str]) -> str | None:
    said = match.groupdict().get("brand")
    return said.strip().lstrip("@#").casefold() or None if said else None


def _first(body: str, match: re.Match[str], known: _Rules) -> bool:
    """Whether a wording is the first thing of a caption, or among its first hashtags."""
    opening = _LEADING.match(body)
    # "Vetrella adv": the label begins after the brand.
    begins = match.start("label") if match.groupdict().get("label") else match.start()
    if begins <= (opening.end() if opening else 0) + known.first_characters:
        return True
    tags = [tag.start() for tag in _HASHTAG.finditer(body)][: known.first_hashtags]
    # A wording may be matched with its # or right behind it.
    return any(abs(begins - tag) <= 1 for tag in tags)

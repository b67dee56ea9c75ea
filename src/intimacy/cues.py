"""Signs in the text of a thread that a profile counts: versioned patterns, by who speaks.

What they find are words, not what people mean: every measure that rests on them says so. Only
counts leave this module, never text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import msgspec

from intimacy import text as texts
from intimacy.schema import Role, Thread

_LONGEST = 2_000
"""Characters of a turn that are looked at."""
_SPACES = re.compile(r"\s+")
_NO_WORD = re.compile(r"[^\w\s]|\d|_")
_GREETINGS = frozenset({"ciao", "cara", "caro", "gentile", "salve", "buongiorno", "grazie"})
_NAME = "utente"
_MASKS = re.compile(r"@utente\b|\[(?:link|email|telefono)\]")
_MIN_TEMPLATE = 5
"""Words from which a reply that comes again is a template rather than thanks."""


@dataclass(frozen=True)
class Lexicon:
    """The patterns of one version."""

    version: str
    of_followers: Mapping[str, re.Pattern[str]]
    of_creators: Mapping[str, re.Pattern[str]]
    of_captions: Mapping[str, re.Pattern[str]]

    @property
    def names(self) -> tuple[str, ...]:
        """All cues, in a fixed order."""
        parts = (self.of_followers, self.of_creators, self.of_captions)
        return tuple(name for part in parts for name in part)


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The shipped lexicon, `resources/cues.json`, with the cue that needs no pattern: emoji."""
    raw = (resources.files("intimacy") / "resources" / "cues.json").read_bytes()
    data = msgspec.json.decode(raw)
    parts: dict[str, dict[str, re.Pattern[str]]] = {"follower": {}, "creator": {}, "caption": {}}
    for name, cue in data["cues"].items():
        parts[cue["of"]][name] = re.compile("|".join(f"(?:{p})" for p in cue["patterns"]), re.I)
    parts["creator"]["emoji"] = texts.EMOJI
    # Credit is given where it is due in captions as well.
    parts["caption"]["caption_credits"] = parts["creator"]["credits"]
    return Lexicon(data["version"], parts["follower"], parts["creator"], parts["caption"])


def normal(text: str) -> str:
    """Text in the form that the patterns are written for."""
    folded = unicodedata.normalize("NFC", text[:_LONGEST]).lower().replace("’", "'")
    return _SPACES.sub(" ", folded).strip()


def of(thread: Thread) -> dict[str, int]:
    """Cue → turns (or captions) that show it; cues that nothing shows are absent."""
    known = lexicon()
    found: dict[str, int] = {}

    def count(text: str, patterns: Mapping[str, re.Pattern[str]]) -> None:
        body = normal(text)
        for name, pattern in patterns.items():
            if pattern.search(body):
                found[name] = found.get(name, 0) + 1

    for turn in thread.turns:
        if not turn.text.strip():
            continue
        if turn.role is Role.FOLLOWER:
            count(turn.text, known.of_followers)
        elif turn.role is Role.CREATOR:
            count(turn.text, known.of_creators)
    if thread.post.text:
        count(thread.post.text, known.of_captions)
    return found


def template(text: str) -> int | None:
    """A number that two replies share when they have the same words; None for short ones.

    Handles, digits, emoji, case and order do not count, nor does the name after a greeting.
    """
    masked = texts.mask_pii(text[:_LONGEST]).replace(texts.MASKED_HANDLE, f" {_NAME} ")
    words = _NO_WORD.sub(" ", normal(masked)).split()
    greeted = next((i for i, word in enumerate(words) if word not in _GREETINGS), 0)
    if greeted:
        del words[greeted]
    words = [word for word in words if word != _NAME]
    kept = sorted(set(words))
    return key(" ".join(kept)) if len(kept) >= _MIN_TEMPLATE else None


def key(text: str) -> int:
    """63 bits that stand for a string in tables of numbers."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]+(?=\s|$)|\n+")
_WORD = re.compile(r"[^\W\d_]+")


def readability(text: str) -> tuple[int, int, int]:
    """Letters, words and sentences of a text, for Gulpease (Lucisano & Piemontese 1988)."""
    plain = _MASKS.sub(" ", texts.mask_pii(text[:_LONGEST]))
    words = _WORD.findall(plain)
    sentences = [part for part in _SENTENCE_END.split(plain) if _WORD.search(part)]
    return sum(map(len, words)), len(words), max(len(sentences), 1 if words else 0)

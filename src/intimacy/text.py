"""Rules on strings: what is masked, what counts as content, which script is written.

Pure functions; every other module asks here instead of writing a pattern of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from importlib import resources

MASKED_HANDLE = "@utente"
"""What a handle becomes; also what the model was trained on."""

_Put = str | Callable[[re.Match[str]], str]
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
# From the start of a run of letters alone: from each letter of it would be quadratic.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_HANDLE = re.compile(r"(?<![\w@/])@[\w.·-]*\w")
# Seven digits or more with phone punctuation between them; prices and years are shorter.
_PHONE = re.compile(r"(?<![\w.,-])\+?\d(?:[\s./-]?\d){7,13}(?!\w)")
_LEADING_HANDLE = re.compile(r"^\s*(@[\w.·-]*\w)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TAG = re.compile(r"<[^<>]{0,200}>")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
EMOJI = re.compile(
    "[\U0001f000-\U0001faff\U00002600-\U000027bf\U00002b00-\U00002bff\U00002300-\U000023ff"
    "\U0000203c\U00002049\U00003030\U0000303d\U00003297\U00003299\U000000a9\U000000ae]"
)


def clean(text: str) -> str:
    """Text of an export without control characters and lone surrogates; else as it stands."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub("", text)


def from_html(text: str) -> str:
    """Plain text of a comment that a platform delivers as HTML."""
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", text)))


def mask_pii(text: str, *, keep: frozenset[str] = frozenset()) -> str:
    """Replace handles, e-mail addresses, links and phone numbers. Idempotent.

    Args:
        text: Any text.
        keep: Handles that stay (the creator's), lower-case, without ``@``.
    """
    for pattern, put in _masks(text, keep):
        text = pattern.sub(put, text)
    return text


def _masks(text: str, keep: frozenset[str]) -> list[tuple[re.Pattern[str], _Put]]:
    def handle_or_kept(match: re.Match[str]) -> str:
        return match.group() if match.group()[1:].lower() in keep else MASKED_HANDLE

    with_at: list[tuple[re.Pattern[str], _Put]] = [(_EMAIL, "[email]"), (_HANDLE, handle_or_kept)]
    return [*(with_at if "@" in text else []), (_URL, "[link]"), (_PHONE, "[telefono]")]


def masked_offsets(text: str) -> list[tuple[int, int]]:
    """Where each character of ``mask_pii(clean(text))`` comes from: (start, end) in ``text``.

    Every character of a mask comes from all that it hides.
    """
    out = [(i, i + 1) for i, c in enumerate(text) if not _CONTROL.match(c)]
    text = clean(text)
    for pattern, put in _masks(text, frozenset()):
        moved: list[tuple[int, int]] = []
        at = 0
        for match in pattern.finditer(text):
            start, end = match.span()
            written = put(match) if callable(put) else put
            moved += out[at:start]
            moved += [(out[start][0], out[end - 1][1])] * len(written)
            at = end
        out = moved + out[at:]
        text = pattern.sub(put, text)
    return out


def addressee(text: str) -> str | None:
    """The handle a reply opens with, without ``@``; None when it opens otherwise."""
    match = _LEADING_HANDLE.match(text)
    return None if match is None else match.group(1)[1:]


def handle(name: str) -> str:
    """A handle in the form in which two of them are compared."""
    return unicodedata.normalize("NFC", name).strip().removeprefix("@").casefold()


def has_content(text: str) -> bool:
    """Whether a letter, a digit or an emoji is in it."""
    return any(c.isalnum() for c in text) or has_emoji(text)


def has_emoji(text: str) -> bool:
    """Whether an emoji or another pictograph is in it."""
    return EMOJI.search(text) is not None


def latin_share(text: str) -> float | None:
    """Share of the letters that are Latin; None when there are no letters."""
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return None
    return sum(map(_is_latin, letters)) / len(letters)


_LATIN_NAMES = ("LATIN", "MATHEMATICAL", "FULLWIDTH LATIN", "FEMININE", "MASCULINE")


def _is_latin(letter: str) -> bool:
    # Below U+0250 (Basic to Extended-B) every letter is Latin; fancy fonts live far above.
    return letter < "\u0250" or unicodedata.name(letter, "").startswith(_LATIN_NAMES)


_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_FOREIGN_WORDS = 2


@lru_cache(maxsize=1)
def _function_words() -> tuple[frozenset[str], dict[str, frozenset[str]]]:
    raw = (resources.files("intimacy") / "resources" / "function_words.json").read_bytes()
    lists = {k: frozenset(v) for k, v in json.loads(raw).items() if isinstance(v, list)}
    return lists.pop("it"), lists


def language(text: str) -> str | None:
    """Code of the language that small frequent words prove; None when they prove nothing.

    ``it`` where a single Italian one stands; another where there is none and two of that
    language do. Short texts, dialect, slang and emoji prove nothing.
    """
    words = {w.replace("’", "'") for w in _WORD.findall(text.lower())}
    italian, others = _function_words()
    if not italian.isdisjoint(words):
        return "it"
    found = {code: len(words & known) for code, known in others.items()}
    best = max(found, key=found.__getitem__)
    return best if found[best] >= _FOREIGN_WORDS else None


def pseudonym(key: bytes, domain: str, author: str) -> str:
    """A follower's name within one creator's community.

    HMAC-SHA256 over creator and author, 80 bits of it: without the key it cannot be undone by
    hashing a list of handles, and the same person has another name under another creator.

    Args:
        key: Secret of the project.
        domain: Creator id; the set within which one follower keeps one pseudonym.
        author: Platform id or handle.
    """
    message = f"{len(domain)}:{domain}{author}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:20]

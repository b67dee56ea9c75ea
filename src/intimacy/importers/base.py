"""What an importer is, and the small conversions that exports share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from intimacy.importers.document import Document
from intimacy.schema import Comment, Thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller said about a source, beside its path."""

    creator: str | None = None
    """Id or handle named by the caller."""
    nobody: bool = False
    """``creator=None`` was said outright."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Our field → column of the table."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Comment id → role, or word of the role column → role."""
    post_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Export:
    """Comments read from a source, and how its creator may be recognised."""

    comments: Sequence[Comment] = ()
    creators: Mapping[str, str] = field(default_factory=dict)
    """Ids and handles of the owner → the rule that names them."""
    has_flags: bool = False
    """Whether comments carry ``is_creator`` themselves."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Role by comment id, where the source states roles."""
    threads: Sequence[Thread] | None = None
    """Threads that the source already holds as such; then ``comments`` is empty."""
    n_skipped: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """One export format: how it is recognised, and how it is read."""

    name: str
    matches: Callable[[Document], bool]
    read: Callable[[Document, Options], Export]


def text_of(value: Any) -> str:
    """A text field; None is empty."""
    return "" if value is None else str(value)


def mapping_of(value: Any) -> Mapping[str, Any]:
    """An object field; whatever else stands there is an empty one."""
    return value if isinstance(value, Mapping) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    """The objects of a list field; whatever else stands there is no list."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def id_of(value: Any) -> str | None:
    """An id as a string; None, NaN and "" are None. Spreadsheets turn ids into floats."""
    if value is None or value == "":
        return None
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if value.is_integer():
            return str(int(value))
    return str(value).strip() or None


_COUNT = re.compile(r"^([\d.,]*\d)\s*([KkMm]|mila|mln)?$")


def count_of(value: Any) -> int | None:
    """A count as platforms write it: 12, "12", "1.2K", "1,2 mln", "1.234"; else None."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return None if value != value else int(value)
    match = _COUNT.match(str(value).strip().replace("\xa0", " "))
    if match is None:
        return None
    digits, unit = match.groups()
    if unit is None:
        return int(re.sub(r"[.,]", "", digits))
    factor = 1_000 if unit.lower() in {"k", "mila"} else 1_000_000
    return round(float(digits.replace(",", ".")) * factor)


def flag_of(value: Any) -> bool | None:
    """A yes or no as exports write it; None when it says neither."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if value is not None else ""
    if word in {"1", "true", "yes", "si", "sì"}:
        return True
    if word in {"0", "false", "no"}:
        return False
    return None


def time_of(value: Any) -> datetime | None:
    """A time as exports write it: seconds since 1970, or ISO 8601 with or without a zone.

    A time without a zone is taken as UTC. What cannot be read is None.
    """
    if value is None or value == "" or isinstance(value, bool):
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if isinstance(value, (int, float)) or re.fullmatch(r"\d{9,13}(\.\d+)?", str(value).strip()):
        seconds = float(value)
        if seconds > 1e11:  # milliseconds
            seconds /= 1_000
        try:
            return datetime.fromtimestamp(seconds, tz=timezone.utc)
        except (ValueError, OverflowError, OSError):
            return None
    word = str(value).strip()
    if re.fullmatch(r"\d{8}", word):
        word = f"{word[:4]}-{word[4:6]}-{word[6:]}"
    word = re.sub(r"Z$", "+00:00", word)
    word = re.sub(r"([+-]\d{2})(\d{2})$", r"\1:\2", word)
    try:
        time = datetime.fromisoformat(word)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def caption_of(*parts: Any) -> str | None:
    """Title and description as one caption; None when neither says anything."""
    words = [str(p).strip() for p in parts if p is not None and str(p).strip()]
    if len(words) == 2 and words[1].startswith(words[0]):
        words = words[1:]
    return "\n".join(words) or None


def named(pairs: Iterable[tuple[Any, str]]) -> dict[str, str]:
    """Creator hints out of (id or handle, rule) pairs, without the empty ones."""
    return {str(value): rule for value, rule in pairs if value}

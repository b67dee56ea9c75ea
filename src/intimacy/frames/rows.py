"""One row a thread: which columns of which type, and rows made of records and back.

A null in a row is a field that its record does not have. Records that answer any attribute of
the codebook state all of them, null where nothing can be said, as `intimacy.annotation.settle`
writes them; a record that differs from this, or holds what a column cannot (an annotator called
1, fields of others in a vote), says so in ``_more``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, TypeAlias

from intimacy import store
from intimacy.annotation import (
    ATTRIBUTES,
    VALUES,
    AnnotatedThread,
    annotated_to_dict,
    check_annotated,
)
from intimacy.errors import RecordError
from intimacy.schema import Label, plain

Kind: TypeAlias = "type | list[Any] | dict[str, Any]"
"""A type of Python, a list of one kind, or a struct of kinds by name."""

MORE = "_more"
"""The column with what the others cannot say: JSON with fields to ``set`` and to ``drop``."""

_INT64 = 2**63

_ANSWER: dict[str, Kind] = {
    "label": str,
    "secondary": str,
    **{name: type(values[0]) for name, values in VALUES.items()},
    "flags": [str],
}
_TURN: dict[str, Kind] = {
    "role": str,
    "text": str,
    "id": str,
    "author_id": str,
    "created_at": datetime,
    "created_at_is_estimate": bool,
    "parent_id": str,
    "likes": int,
    "creator_liked": bool,
}
COLUMNS: Mapping[str, Kind] = {
    "id": str,
    "platform": str,
    "creator_id": str,
    "post_id": str,
    "published_at": datetime,
    "caption": str,
    "complete": bool,
    "turns": [_TURN],
    **_ANSWER,
    "target": {str(label): float for label in Label},
    "votes": [{"annotator": str, **_ANSWER, "adjudicates": bool}],
    "persona": str,
    "split": str,
    "pair_id": str,
    "case": int,
    "source": str,
    "chosen_by": str,
    "draw_probability": float,
    MORE: str,
}
"""Name → kind of every column, in their order."""


def columns_for(items: Iterable[AnnotatedThread]) -> dict[str, Kind]:
    """`COLUMNS`, with the shares of other labels where targets name others than the four."""
    found = {str(name) for item in items for name in check_annotated(item).target}
    four = [str(label) for label in Label]
    names = four if found.issubset(four) else sorted(found)
    return {**COLUMNS, "target": {name: float for name in names}}


def pack(item: AnnotatedThread, columns: Mapping[str, Kind] = COLUMNS) -> dict[str, Any]:
    """The row of a thread: a value or None for every column."""
    record = annotated_to_dict(item)
    for turn, known in zip(record["turns"], item.thread.turns, strict=True):
        if known.created_at is not None:
            turn["created_at"] = store.time_from(known.created_at)
    if item.thread.post.published_at is not None:
        record["published_at"] = store.time_from(item.thread.post.published_at)
    row = {name: _fitted(record.get(name), kind) for name, kind in columns.items()}
    wanted, back = _without_nulls(record), _without_nulls(unpack(row))
    changed = {n: v for n, v in wanted.items() if n not in back or back[n] != v}
    dropped = [name for name in back if name not in wanted]
    if changed or dropped:
        row[MORE] = json.dumps({"set": plain(changed), "drop": dropped})
    return row


def _without_nulls(record: Mapping[str, Any]) -> dict[str, Any]:
    """Only attributes differ when they are null from when they are missing."""
    return {name: v for name, v in record.items() if v is not None or name in ATTRIBUTES}


def _fitted(value: Any, kind: Kind) -> Any:
    """The value as a column of this kind holds it; None where it cannot."""
    if isinstance(kind, list):
        listed = isinstance(value, (list, tuple))
        return [_fitted(v, kind[0]) for v in value] if listed else None
    if isinstance(kind, dict):
        # A struct of nulls is not the same as a null to every library.
        held = isinstance(value, Mapping) and bool(value)
        return {name: _fitted(value.get(name), k) for name, k in kind.items()} if held else None
    if kind is datetime and isinstance(value, datetime):
        try:
            return value.astimezone(timezone.utc)
        except OverflowError:
            return None
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        return None
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return None
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half a surrogate pair
            return None
    return value


def unpack(row: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a row; columns of others stay in it.

    Raises:
        RecordError: When ``_more`` is not what `pack` wrote.
    """
    record = stated(row)
    more = record.pop(MORE, None)
    for name in ("turns", "votes"):
        if isinstance(record.get(name), (list, tuple)):
            known = stated if name == "votes" else _known
            record[name] = [known(v) if isinstance(v, Mapping) else v for v in record[name]]
    if isinstance(record.get("target"), Mapping):
        record["target"] = _known(record["target"])
    for name in ("votes", "target"):
        if name in record and not record[name] and isinstance(record[name], (list, dict)):
            del record[name]
    if more is not None:
        try:
            read = json.loads(more)
            record |= read["set"]
            for name in read["drop"]:
                record.pop(name, None)
        except (TypeError, ValueError, KeyError) as exc:
            raise RecordError(
                f"{MORE!r} is not what to_frame wrote ({type(exc).__name__}); drop that column"
            ) from exc
    return record


def stated(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer without its nulls, unless it answers some attribute: then it states them all."""
    full = any(answer.get(name) is not None for name in ATTRIBUTES)
    kept = ("label", "secondary", *ATTRIBUTES) if full else ("label",)
    return {name: v for name, v in answer.items() if v is not None or name in kept}


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}

"""Which column holds what: usual names, names that the caller gives, tables of texts.

A table of texts has one row a comment or one row a turn, and becomes records here. Fields and
usual names are those that `intimacy.read_export` takes for tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from intimacy import store
from intimacy.annotation import FLAGS
from intimacy.errors import CorpusError, RecordError, shown
from intimacy.frames.rows import COLUMNS, MORE, unpack

Row: TypeAlias = "tuple[Path | str, int, Mapping[str, Any]]"
"""Where it is from, its number from 1, and the row."""
Made: TypeAlias = "tuple[Path | str, int, Mapping[str, Any] | RecordError]"
"""The same with the record that was made of it, or with what is wrong."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "testo", "comment", "commento", "message", "messaggio", "content", "body"),
    "id": ("id", "comment_id", "id_commento", "cid"),
    "parent_id": ("parent_id", "parent", "id_padre", "reply_to", "in_risposta_a", "risposta_a"),
    "post_id": ("post_id", "id_post", "post", "video_id", "media_id", "id_video"),
    "thread_id": ("thread_id", "id_thread", "thread", "conversation_id", "conversazione"),
    "role": ("role", "ruolo"),
    "author": ("author", "autore", "username", "user", "utente", "nome_utente", "author_id"),
    "created_at": ("created_at", "date", "data", "timestamp", "time", "data_ora", "published_at"),
    "likes": ("likes", "like", "like_count", "mi_piace"),
    "caption": ("caption", "didascalia", "titolo", "title", "post_text", "testo_post"),
    "post_published_at": ("post_published_at", "post_date", "data_post", "pubblicato_il"),
    "creator": ("creator", "creator_id", "owner", "account"),
    "platform": ("platform", "piattaforma"),
}
"""Field of a table of comments → what its column is usually called, Italian or English."""

_RECORD = {"thread_id": "id", "creator": "creator_id", "post_published_at": "published_at"}
"""Fields that the record of a thread calls otherwise."""
_OF_TURN = {
    "role": "role",
    "text": "text",
    "id": "id",
    "parent_id": "parent_id",
    "author": "author_id",
    "created_at": "created_at",
    "likes": "likes",
}
_OF_LABELS = tuple(
    name
    for name in COLUMNS
    if name not in ("turns", "published_at", MORE, "id", *NAMES, *_RECORD.values())
)
# Names in clear are a person's: a column of authors is read only when the caller maps it.
_USUAL: Mapping[str, tuple[str, ...]] = {
    **{field: usual for field, usual in NAMES.items() if field != "author"},
    **{field: (field,) for field in _OF_LABELS},
    "label": ("label", "etichetta"),
}
FIELDS = tuple(dict.fromkeys(name for name in (*NAMES, *COLUMNS) if name != MORE))


def columns_of(
    keys: Iterable[str],
    columns: Mapping[str, str] | None = None,
    names: Mapping[str, tuple[str, ...]] = NAMES,
) -> dict[str, str]:
    """Field → column, by the usual names and, before them, by those that are given."""
    present = {name.strip().casefold().replace(" ", "_"): name for name in keys}
    found = {
        field: present[name]
        for field, usual in names.items()
        for name in reversed(usual)
        if name in present
    }
    return found | dict(columns or {})


class Reader:
    """Makes records of the rows of one table or file.

    Args:
        columns: Field → column; `FIELDS` are the fields.
        labels: Word of the label column → label, or a flag of the codebook.
        roles: Word of the role column → role.
        table: Whether nulls say that a field is unknown, as in a frame.
    """

    def __init__(
        self,
        columns: Mapping[str, Any] | None = None,
        labels: Mapping[Any, str] | None = None,
        roles: Mapping[str, str] | None = None,
        *,
        table: bool = False,
    ) -> None:
        self._columns = {str(field): str(column) for field, column in (columns or {}).items()}
        self._labels, self._roles = dict(labels or {}), dict(roles or {})
        self._table = table
        for field in self._columns:
            if field not in FIELDS:
                raise CorpusError(
                    f"columns names the field {shown(field)}; expected some of: {', '.join(FIELDS)}"
                )

    def records(self, rows: Iterable[Row]) -> Iterator[Made]:
        """Records of the rows, in their order; the first row tells how the table is made.

        Where rows of one thread contradict each other, or a value is of the wrong kind, an error
        that names row and column stands in place of the record.

        Raises:
            CorpusError: When a column that ``columns`` names is not there, none holds texts, or
                none says whose the turns of a thread are.
        """
        rows = iter(rows)
        first = next(rows, None)
        if first is None:
            return
        name, _, row = first
        there = ", ".join(map(shown, row))
        for field, column in self._columns.items():
            if column not in row:
                raise CorpusError(
                    f"{name}: columns maps {field!r} to {shown(column)}, which is not there; "
                    f"found: {there}"
                )
        rows = chain([first], rows)
        fields = columns_of(row, self._columns, _USUAL)
        renamed = {*row, *self._columns} - set(self._columns.values()) | set(self._columns)
        # Who says which column holds the texts has no turns, whatever a column is called.
        nested = {"turns", "text_sha256"} & renamed and "text" not in self._columns
        if nested or ("text" not in fields and not (self._table or self._columns)):
            for n, at, each in rows:
                yield n, at, self._tried(self._nested, n, at, each)
        elif "text" not in fields:
            raise CorpusError(
                f"{name}: no column holds turns or texts; found: {there}. Say which does, e.g. "
                "columns={'text': 'Commento', 'label': 'Etichetta'}"
            )
        elif "thread_id" in fields:
            yield from self._long(rows, fields)
        else:
            for n, at, each in rows:
                yield n, at, self._tried(self._single, n, at, each, fields)

    def _tried(self, make: Callable[..., Mapping[str, Any]], *args: Any) -> Any:
        try:
            record = make(*args)
        except RecordError as exc:
            return exc
        return self._relabelled(record) if self._labels else record

    # -- one row a thread, its turns in it

    def _nested(self, name: Path | str, number: int, row: Mapping[str, Any]) -> Mapping[str, Any]:
        moved = {column: _RECORD.get(f, f) for f, column in self._columns.items()}
        if moved:
            own = {k: v for k, v in row.items() if k not in moved and k not in moved.values()}
            row = own | {moved[k]: v for k, v in row.items() if k in moved}
        if not (self._table or MORE in row):
            return row
        try:
            return unpack({k: _whole(v, COLUMNS.get(k)) for k, v in row.items()})
        except RecordError as exc:
            raise RecordError(str(exc), path=name, line=number) from exc

    # -- one row a comment, or one row a turn

    def _single(
        self, name: Path | str, number: int, row: Mapping[str, Any], fields: Mapping[str, str]
    ) -> Mapping[str, Any]:
        record = self._record([(name, number, row)], fields)
        named = "id" in fields
        return record | {"id": _id(row.get(fields["id"])) if named else f"row {number}"}

    def _long(self, rows: Iterable[Row], fields: Mapping[str, str]) -> Iterator[Made]:
        threads: dict[str, list[Row]] = {}
        column = fields["thread_id"]
        for name, number, row in rows:
            identity = _id(row.get(column))
            if identity is None:
                yield name, number, _wrong(None, column, "the id of a thread", name, number)
            else:
                threads.setdefault(identity, []).append((name, number, row))
        for identity, some in threads.items():
            name, number, _ = some[0]
            if len(some) > 1 and "role" not in fields:
                raise CorpusError(
                    f"{name}: rows {number} and {some[1][1]} are turns of one thread and no column "
                    "says whose; pass columns={'role': …}"
                )
            record = self._tried(self._record, some, fields)
            if not isinstance(record, RecordError):
                record = {**record, "id": identity}
            yield name, number, record

    def _record(self, rows: list[Row], fields: Mapping[str, str]) -> dict[str, Any]:
        alone = "thread_id" not in fields
        turns = [self._turn(row, fields, name, n, alone=alone) for name, n, row in rows]
        record: dict[str, Any] = {"turns": turns}
        for field, column in fields.items():
            if field in _OF_TURN or field == "thread_id":
                continue
            own = _RECORD.get(field, field)
            where, said = 0, None
            for name, number, row in rows:
                value = _whole(row.get(column), COLUMNS.get(own))
                if value is None:
                    continue
                if said is not None and said != value:
                    raise RecordError(
                        f"{column!r} is {shown(value)}, but {shown(said)} in row {where} of the "
                        "same thread; expected one value in all rows of a thread",
                        path=name,
                        line=number,
                    )
                where, said = number, value
            if said is not None and own == "published_at":
                said = _time(said, column, name, where)
            if said is not None:
                record[own] = _id(said) if own in _WORDS else said
        return record

    def _turn(
        self,
        row: Mapping[str, Any],
        fields: Mapping[str, str],
        name: Path | str,
        number: int,
        *,
        alone: bool,
    ) -> dict[str, Any]:
        turn: dict[str, Any] = {"role": "follower"}
        for field, own in _OF_TURN.items():
            # The id of a comment that stands alone is that of its thread.
            if field not in fields or (alone and field == "id"):
                continue
            column = fields[field]
            value = row.get(column)
            if field == "text":
                if not isinstance(value, str) and (alone or value is not None):
                    raise _wrong(value, column, "the text of a comment", name, number)
                turn[own] = value or ""
            elif field == "role":
                turn[own] = self._roles.get(str(value), value)
            elif field == "created_at":
                turn[own] = _time(value, column, name, number)
            elif field == "likes":
                turn[own] = _whole(value, int)
                if type(turn[own]) not in (int, type(None)):
                    raise _wrong(value, column, "a whole number", name, number)
            else:
                turn[own] = _id(value)
        return turn

    # -- other words for the labels

    def _relabelled(self, record: Mapping[str, Any]) -> dict[str, Any]:
        out = self._answer(record)
        if isinstance(out.get("votes"), list):
            out["votes"] = [self._answer(v) if isinstance(v, Mapping) else v for v in out["votes"]]
        if isinstance(out.get("target"), Mapping):
            out["target"] = {self._label(name): share for name, share in out["target"].items()}
        return out

    def _answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        out = dict(answer)
        for name in ("label", "secondary"):
            if out.get(name) is not None:
                out[name] = self._label(out[name])
        if out.get("label") in FLAGS and out["label"] in self._labels.values():
            out["label"], out["flags"] = None, [out["label"]]
        return out

    def _label(self, word: Any) -> Any:
        try:
            return self._labels.get(word, self._labels.get(str(word), word))
        except TypeError:  # a list or the like, which is refused later
            return word


_WORDS = ("creator_id", "post_id", "platform", "persona", "pair_id", "source", "split", "chosen_by")


def _whole(value: Any, kind: Any) -> Any:
    """Whole numbers, which pandas makes fractions of where one of the column is missing."""
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(kind, list) and isinstance(value, list):
        return [_whole(v, kind[0]) for v in value]
    if isinstance(kind, dict) and isinstance(value, Mapping):
        return {name: _whole(v, kind.get(name)) for name, v in value.items()}
    return value


def _id(value: Any) -> str | None:
    return None if value is None or value == "" else str(_whole(value, int))


def _time(value: Any, column: str, name: Path | str, number: int) -> datetime | None:
    time = store.time_from(value)
    if time is None and value not in (None, ""):
        raise _wrong(value, column, "a time in ISO 8601, or a column of times", name, number)
    return time


def _wrong(value: Any, column: str, expected: str, name: Path | str, number: int) -> RecordError:
    message = f"{column!r} is {shown(value)}; expected {expected}"
    return RecordError(message, path=name, line=number)

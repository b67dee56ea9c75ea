"""Any table of comments: CSV as people and Excel write it, JSONL, JSON lists, data frames.

Columns are found by their usual names, Italian or English; ``columns={field: name}`` says which
is which where they are called otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from intimacy.errors import RoleError, UnknownFormatError
from intimacy.frames.columns import NAMES, columns_of
from intimacy.importers.base import (
    Export,
    Importer,
    Options,
    caption_of,
    count_of,
    id_of,
    text_of,
    time_of,
)
from intimacy.importers.document import Document, Rows
from intimacy.schema import Comment, Post, Role

FIELDS = tuple(NAMES)
_ITALIAN = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ ,T]+(\d{1,2})[:.](\d{2}))?")


def _matches(document: Document) -> bool:
    if document.kind == "table":
        return True
    return document.kind in {"array", "lines"} and "text" in columns_of(document.keys)


def _read(document: Document, options: Options) -> Export:
    _check(document, options.columns)
    found = columns_of(document.keys, options.columns)
    shown = ", ".join(sorted(document.keys))
    if "text" not in found:
        raise UnknownFormatError(
            f"{document.name}: no column holds the comments; found: {shown}. Say which does, "
            "e.g. columns={'text': 'Commento', 'author': 'Utente'}"
        )

    def value(row: Mapping[str, Any], field: str) -> Any:
        return row.get(found[field]) if field in found else None

    rows = Rows(document.items)
    comments: list[Comment] = []
    roles: dict[str, str] = {}
    firsts: dict[str, str] = {}
    for number, row in rows:
        identity = id_of(value(row, "id")) or f"row {number}"
        parent = id_of(value(row, "parent_id"))
        group = id_of(value(row, "thread_id"))
        if parent is None and group is not None:
            first = firsts.setdefault(group, identity)
            parent = None if first == identity else first
        if (word := value(row, "role")) not in (None, ""):
            roles[identity] = _role(word, options, document, number)
        comments.append(
            Comment(
                id=identity,
                post=Post(
                    id=options.post_id or id_of(value(row, "post_id")),
                    creator_id=id_of(value(row, "creator")),
                    platform=id_of(value(row, "platform")),
                    text=caption_of(value(row, "caption")),
                    published_at=_time(value(row, "post_published_at")),
                ),
                parent_id=parent,
                author_name=id_of(value(row, "author")),
                text=text_of(value(row, "text")),
                created_at=_time(value(row, "created_at")),
                likes=count_of(value(row, "likes")),
                line=number,
            )
        )
    owners = {c.post.creator_id: "creator column" for c in comments if c.post.creator_id}
    mapped = ", ".join(f"{field} ← {column}" for field, column in found.items())
    return Export(
        comments=comments,
        creators={str(owner): rule for owner, rule in owners.items()},
        roles=roles,
        n_skipped=rows.n_skipped,
        notes=(f"columns: {mapped}",),
    )


def _check(document: Document, columns: Mapping[str, str]) -> None:
    for field, column in columns.items():
        if field not in FIELDS:
            raise UnknownFormatError(
                f"columns names the field {field!r}; expected some of: {', '.join(FIELDS)}"
            )
        if column not in document.keys:
            raise UnknownFormatError(
                f"{document.name}: columns maps {field!r} to {column!r}, which is not there; "
                f"found: {', '.join(sorted(document.keys))}"
            )


def _role(word: Any, options: Options, document: Document, number: int) -> str:
    role = options.roles.get(str(word), str(word).strip().casefold())
    if role not in {r.value for r in Role}:
        raise RoleError(
            f"{document.name}: row {number} has role {word!r}; expected one of: "
            f"{', '.join(Role)}. Pass roles={{{str(word)!r}: 'creator'}} or the like"
        )
    return role


def _time(value: Any) -> datetime | None:
    """A time in any form of `time_of`, or day/month/year as Italians write it."""
    found = _ITALIAN.fullmatch(str(value).strip()) if isinstance(value, str) else None
    if found is None:
        return time_of(value)
    day, month, year, hour, minute = (int(part or 0) for part in found.groups())
    try:
        return datetime(year, month, day, hour, minute, tzinfo=timezone.utc)
    except ValueError:
        return None


IMPORTER = Importer(name="table", matches=_matches, read=_read)

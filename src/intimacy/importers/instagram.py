"""Instagram Graph API: ``/{media}/comments`` with replies, one page or many, and webhooks.

``user`` is present only in comments that the analysed account wrote: the platform's own mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from intimacy.importers.base import (
    Export,
    Importer,
    Options,
    count_of,
    id_of,
    mapping_of,
    objects_of,
    text_of,
    time_of,
)
from intimacy.importers.document import Document, Rows
from intimacy.schema import Comment, Post

_MARKS = frozenset({"like_count", "hidden", "from", "username", "replies", "parent_id"})


def _matches(document: Document) -> bool:
    if document.kind == "object":
        if {"data", "paging"} <= document.keys:
            return True
        if {"object", "entry"} <= document.keys:
            return True
        first = objects_of(document.value("data"))[:1] if "data" in document.keys else []
        return bool(first) and _is_comment(frozenset(first[0]))
    if document.kind in {"array", "lines"}:
        return {"data", "paging"} <= document.keys or _is_comment(document.keys)
    return False


def _is_comment(keys: frozenset[str]) -> bool:
    return {"id", "text", "timestamp"} <= keys and len(keys & _MARKS) >= 2 and "parent" not in keys


def _read(document: Document, options: Options) -> Export:
    rows = None if document.kind == "object" else Rows(document.items)
    pages: Iterator[dict[str, Any]]
    if rows is None:
        pages = iter([{key: document.value(key) for key in document.fields}])
    else:
        pages = (value for _, value in rows)
    comments: list[Comment] = []
    for page in pages:
        for row in _rows(page):
            _add(row, None, options, comments)
    return Export(
        comments=comments,
        has_flags=any(c.is_creator for c in comments),
        n_skipped=0 if rows is None else rows.n_skipped,
        notes=()
        if any(c.is_creator for c in comments)
        else ("no comment carries 'user', the mark of the account's own comments",),
    )


def _rows(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "data" in page:
        yield from objects_of(page["data"])
    elif "entry" in page:
        for entry in objects_of(page["entry"]):
            for change in objects_of(entry.get("changes")):
                if change.get("field") == "comments":
                    yield dict(mapping_of(change.get("value"))) | {"_account": entry.get("id")}
    else:
        yield page


def _add(
    row: dict[str, Any], parent: str | None, options: Options, comments: list[Comment]
) -> None:
    sender = mapping_of(row.get("from"))
    media = mapping_of(row.get("media")).get("id")
    own = "user" in row or (row.get("_account") is not None and row["_account"] == sender.get("id"))
    identity = id_of(row.get("id")) or f"row {len(comments) + 1}"
    comments.append(
        Comment(
            id=identity,
            post=Post(id=options.post_id or id_of(media), platform="instagram"),
            parent_id=id_of(row.get("parent_id")) or parent,
            author_id=id_of(sender.get("id")),
            author_name=id_of(row.get("username") or sender.get("username")),
            text=text_of(row.get("text")),
            created_at=time_of(row.get("timestamp")),
            likes=count_of(row.get("like_count")),
            is_creator=own,
            line=len(comments) + 1,
        )
    )
    for reply in objects_of(mapping_of(row.get("replies")).get("data")):
        _add(reply, identity, options, comments)


IMPORTER = Importer(name="instagram_graph_api", matches=_matches, read=_read)

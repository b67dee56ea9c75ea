"""instaloader ``--comments``: ``<date>_UTC_comments.json``, newest first at both levels.

The owner of the post is not in the file: it is read from the sibling ``<date>_UTC.json`` (or
``.json.xz``) that instaloader writes beside it, else the folder's name is taken as a hint,
because instaloader names folders after the account.
"""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import Any

from intimacy.importers.base import (
    Export,
    Importer,
    Options,
    count_of,
    id_of,
    mapping_of,
    named,
    objects_of,
    text_of,
    time_of,
)
from intimacy.importers.document import Document, Rows, decode
from intimacy.schema import Comment, Post


def _matches(document: Document) -> bool:
    return document.kind == "array" and {"answers", "owner", "created_at"} <= document.keys


def _read(document: Document, options: Options) -> Export:
    node = _sibling(document.path)
    owner = mapping_of(node.get("owner"))
    creators = named([(owner.get("id"), "sibling_file"), (owner.get("username"), "sibling_file")])
    notes = []
    if not creators and document.path is not None:
        folder = document.path.resolve().parent.name
        creators = named([(folder, "folder_name")])
        notes.append(f"no sibling file names the owner; the folder's name {folder!r} is taken")
    post = Post(
        id=options.post_id or id_of(node.get("shortcode") or node.get("id")) or _stem(document),
        creator_id=id_of(owner.get("username") or owner.get("id")),
        platform="instagram",
        text=_caption(node),
        published_at=time_of(node.get("taken_at_timestamp") or node.get("date")),
    )
    rows = Rows(document.items)
    comments: list[Comment] = []
    for number, row in sorted(rows, key=lambda pair: _rank(pair[1])):
        comments.append(_comment(row, post, None, number))
        root = comments[-1].id
        answers = sorted(objects_of(row.get("answers")), key=_rank)
        comments += [_comment(answer, post, root, number) for answer in answers]
    notes.append("instaloader stops after about ten replies: longer threads are incomplete")
    return Export(
        comments=comments, creators=creators, n_skipped=rows.n_skipped, notes=tuple(notes)
    )


def _comment(row: dict[str, Any], post: Post, parent: str | None, number: int) -> Comment:
    owner = mapping_of(row.get("owner"))
    return Comment(
        id=id_of(row.get("id")) or f"row {number}",
        post=post,
        parent_id=parent,
        author_id=id_of(owner.get("id")),
        author_name=id_of(owner.get("username")),
        text=text_of(row.get("text")),
        created_at=time_of(row.get("created_at")),
        likes=count_of(row.get("likes_count")),
        line=number,
    )


def _rank(row: dict[str, Any]) -> tuple[int, int]:
    """Time, then id: both grow, and the file runs backwards."""
    return count_of(row.get("created_at")) or 0, count_of(row.get("id")) or 0


def _stem(document: Document) -> str | None:
    return None if document.path is None else document.path.name.removesuffix("_comments.json")


def _sibling(path: Path | None) -> dict[str, Any]:
    """The post that the comments belong to; empty when its file is not there or not readable."""
    if path is None or not path.name.endswith("_comments.json"):
        return {}
    stem = path.name.removesuffix("_comments.json")
    for name in (f"{stem}.json", f"{stem}.json.xz"):
        place = path.with_name(name)
        try:
            data = place.read_bytes()
            value = decode(lzma.decompress(data) if name.endswith(".xz") else data)
        except (OSError, ValueError, lzma.LZMAError):
            continue
        return dict(mapping_of(mapping_of(value).get("node")))
    return {}


def _caption(node: dict[str, Any]) -> str | None:
    edges = objects_of(mapping_of(node.get("edge_media_to_caption")).get("edges"))
    for edge in edges:
        return text_of(mapping_of(edge.get("node")).get("text")) or None
    caption = node.get("caption")
    return (
        text_of(mapping_of(caption).get("text") if isinstance(caption, dict) else caption) or None
    )


IMPORTER = Importer(name="instaloader", matches=_matches, read=_read)

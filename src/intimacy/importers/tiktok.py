"""TikTok: the Research API, which names no author, and the JSON of the web client."""

from __future__ import annotations

from typing import Any

from intimacy.errors import UnsupportedExportError
from intimacy.importers.base import (
    Export,
    Importer,
    Options,
    count_of,
    flag_of,
    id_of,
    mapping_of,
    named,
    objects_of,
    text_of,
    time_of,
)
from intimacy.importers.document import Document, Rows
from intimacy.schema import Comment, Post

_RESEARCH = frozenset({"id", "video_id", "parent_comment_id", "text", "create_time"})


# -- Research API


def _research_matches(document: Document) -> bool:
    if document.kind == "object":
        rows = objects_of(mapping_of(document.value("data")).get("comments"))
        return bool(rows) and frozenset(rows[0]) >= _RESEARCH
    return document.keys >= _RESEARCH


def _research_read(document: Document, options: Options) -> Export:
    if not (options.roles or options.nobody):
        raise UnsupportedExportError(
            f"{document.name} comes from the TikTok Research API, which has no author field: "
            "threads can be rebuilt, but creator turns cannot be recognised. Pass "
            "roles={comment_id: 'creator', …} for the comments you know, or creator=None to "
            "treat every turn as a follower's"
        )
    if document.kind == "object":
        items: list[Any] = objects_of(mapping_of(document.value("data")).get("comments"))
    else:
        items = list(document.items)
    rows = Rows(items)
    comments = [
        Comment(
            id=id_of(row.get("id")) or f"row {number}",
            post=Post(id=options.post_id or id_of(row.get("video_id")), platform="tiktok"),
            parent_id=id_of(row.get("parent_comment_id")),
            text=text_of(row.get("text")),
            created_at=time_of(row.get("create_time")),
            likes=count_of(row.get("like_count")),
            declared_replies=count_of(row.get("reply_count")),
            line=number,
        )
        for number, row in rows
    ]
    return Export(
        comments=comments,
        n_skipped=rows.n_skipped,
        notes=("no authors in this export: followers cannot be counted",),
    )


RESEARCH = Importer(name="tiktok_research_api", matches=_research_matches, read=_research_read)


# -- web client


def _web_matches(document: Document) -> bool:
    if document.kind == "object":
        rows = objects_of(document.value("comments"))
        return bool(rows) and {"cid", "digg_count"} <= frozenset(rows[0])
    return {"cid", "digg_count", "user"} <= document.keys


def _web_read(document: Document, options: Options) -> Export:
    if document.kind == "object":
        items: list[Any] = objects_of(document.value("comments"))
    else:
        items = list(document.items)
    rows = Rows(items)
    comments: list[Comment] = []
    for number, row in rows:
        _web_add(row, options, number, comments)
        for reply in objects_of(row.get("reply_comment")):
            _web_add(reply, options, number, comments)
    owners = {c.post.creator_id for c in comments if c.post.creator_id}
    return Export(
        comments=comments,
        creators=named((owner, "author_uid") for owner in sorted(owners)),
        n_skipped=rows.n_skipped,
        notes=() if owners else ("nothing in it names the author of the video",),
    )


def _web_add(row: dict[str, Any], options: Options, number: int, comments: list[Comment]) -> None:
    user = mapping_of(row.get("user"))
    author = row.get("video_author_uid") or mapping_of(row.get("aweme_author")).get("uid")
    comments.append(
        Comment(
            id=id_of(row.get("cid")) or f"row {number}",
            post=Post(
                id=options.post_id or id_of(row.get("aweme_id")),
                creator_id=id_of(author),
                platform="tiktok",
            ),
            parent_id=id_of(row.get("reply_id")),
            author_id=id_of(user.get("uid")),
            author_name=id_of(user.get("unique_id")),
            text=text_of(row.get("text")),
            created_at=time_of(row.get("create_time")),
            likes=count_of(row.get("digg_count")),
            creator_liked=flag_of(row.get("is_author_digged")),
            pinned=flag_of(row.get("author_pin")) is True,
            declared_replies=count_of(row.get("reply_comment_total")),
            line=number,
        )
    )


WEB = Importer(name="tiktok_web", matches=_web_matches, read=_web_read)

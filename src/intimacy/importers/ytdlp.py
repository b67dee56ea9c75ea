"""yt-dlp ``--write-comments``: ``<title> [<id>].info.json``, or its bare list of comments.

Before 2026.01.29 every ``parent`` is ``root`` or a top-level comment; since then replies nest.
Keys whose value is null are absent, times are estimates from relative text, and comments that
are switched off leave no ``comments`` key at all.
"""

from __future__ import annotations

from intimacy.errors import UnsupportedExportError
from intimacy.importers.base import (
    Export,
    Importer,
    Options,
    caption_of,
    count_of,
    flag_of,
    id_of,
    named,
    text_of,
    time_of,
)
from intimacy.importers.document import Document, Rows
from intimacy.schema import Comment, Post


def _matches(document: Document) -> bool:
    keys = document.keys
    if document.kind == "object":
        return "extractor" in keys or "extractor_key" in keys or {"_version", "_type"} <= keys
    return document.kind in {"array", "lines"} and (
        {"id", "parent", "text"} <= keys and bool(keys & {"author_is_uploader", "_time_text"})
    )


def _read(document: Document, options: Options) -> Export:
    notes: list[str] = []
    if document.kind == "object":
        kind = document.value("_type")
        if kind not in (None, "video"):
            raise UnsupportedExportError(
                f"{document.name} describes a {kind}, not a video; pass the .info.json of the "
                "single videos, which hold the comments"
            )
        platform = str(document.value("extractor_key") or document.value("extractor") or "")
        post = Post(
            id=options.post_id or id_of(document.value("id")),
            creator_id=id_of(document.value("channel_id") or document.value("uploader_id")),
            platform=platform.partition(":")[0].lower() or None,
            text=caption_of(document.value("title"), document.value("description")),
            published_at=time_of(document.value("timestamp") or document.value("upload_date")),
        )
        creators = named(
            [
                (document.value("channel_id"), "channel_id"),
                (document.value("uploader_id"), "handle"),
            ]
        )
        items = document.array("comments")
        if "comments" not in document.fields:
            notes.append("no comments in this file: they are switched off or were not downloaded")
        elif "comment_count" not in document.fields:
            notes.append("comments without comment_count: the download was interrupted")
        elif (declared := count_of(document.value("comment_count"))) and declared > len(items):
            notes.append(f"{len(items)} of {declared} comments are in the file")
    else:
        post = Post(id=options.post_id, platform="youtube")
        creators = {}
        items = list(document.items)
        notes.append("a bare comment list: no caption, no creator id")
    rows = Rows(items)
    comments = [
        Comment(
            id=id_of(row.get("id")) or f"row {number}",
            post=post,
            parent_id=id_of(row.get("parent")),
            author_id=id_of(row.get("author_id")),
            author_name=id_of(row.get("author")),
            text=text_of(row.get("text") or row.get("html")),
            created_at=time_of(row.get("timestamp")),
            # Only YouTube's times come from relative text ("2 days ago").
            created_at_is_estimate="_time_text" in row or "time_text" in row,
            likes=count_of(row.get("like_count")),
            creator_liked=flag_of(row.get("is_favorited")),
            pinned=flag_of(row.get("is_pinned")) is True,
            is_creator=flag_of(row.get("author_is_uploader")),
            line=number,
        )
        for number, row in rows
    ]
    if comments and all(c.parent_id is None for c in comments):
        notes.append("no reply links in this export: every comment is a thread of its own")
    return Export(
        comments=comments,
        creators=creators,
        has_flags=any(c.is_creator is not None for c in comments),
        n_skipped=rows.n_skipped,
        notes=tuple(notes),
    )


IMPORTER = Importer(name="ytdlp", matches=_matches, read=_read)

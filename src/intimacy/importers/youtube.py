"""YouTube comments, as the Data API, YouTube Data Tools and comment-downloader write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from intimacy import text as texts
from intimacy.importers.base import (
    Export,
    Importer,
    Options,
    count_of,
    flag_of,
    id_of,
    mapping_of,
    objects_of,
    text_of,
    time_of,
)
from intimacy.importers.document import Document, Rows
from intimacy.schema import Comment, Post

_REJECTED = frozenset({"rejected", "heldForReview", "likelySpam"})


# -- Data API v3: commentThreads and comments, as pages or bare items


def _api_matches(document: Document) -> bool:
    keys = document.keys
    if "kind" not in keys:
        return False
    if document.kind == "object":
        return "items" in keys and "youtube#comment" in text_of(document.value("kind"))
    return bool(keys & {"items", "snippet"}) and document.kind in {"array", "lines"}


def _api_items(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Resources of a page, or the resource itself."""
    if "items" in value:
        yield from objects_of(value["items"])
    else:
        yield value


def _api_read(document: Document, options: Options) -> Export:
    if document.kind == "object":
        rows: Iterable[dict[str, Any]] = objects_of(document.value("items"))
        counted = None
    else:
        counted = Rows(document.items)
        rows = (item for _, page in counted for item in _api_items(page))
    comments: list[Comment] = []
    creators: dict[str, str] = {}
    rejected = 0
    for item in rows:
        snippet = mapping_of(item.get("snippet"))
        top = mapping_of(snippet.get("topLevelComment"))
        members = [(top, count_of(snippet.get("totalReplyCount")))] if top else [(item, None)]
        replies = mapping_of(item.get("replies")).get("comments")
        members += [(reply, None) for reply in objects_of(replies)]
        for resource, declared in members:
            inner = mapping_of(resource.get("snippet"))
            if inner.get("moderationStatus") in _REJECTED:
                rejected += 1
                continue
            owner = id_of(snippet.get("channelId") or inner.get("channelId"))
            if owner is not None:
                creators[owner] = "channelId"
            post = Post(
                id=options.post_id or id_of(snippet.get("videoId") or inner.get("videoId")),
                creator_id=owner,
                platform="youtube",
            )
            comments.append(_api_comment(resource, inner, post, declared, len(comments) + 1))
    # A reply fetched by comments.list names neither video nor channel: its parent does.
    known = {c.id: c.post for c in comments if c.post.id is not None}
    comments = [_adopt(comment, known) for comment in comments]
    return Export(
        comments=comments,
        creators=creators,
        n_skipped=rejected + (counted.n_skipped if counted else 0),
        notes=(f"{rejected} comments that moderation holds back left out",) if rejected else (),
    )


def _api_comment(
    resource: Mapping[str, Any],
    inner: Mapping[str, Any],
    post: Post,
    declared: int | None,
    number: int,
) -> Comment:
    original = inner.get("textOriginal")
    shown = (
        text_of(original)
        if original is not None
        else texts.from_html(text_of(inner.get("textDisplay")))
    )
    return Comment(
        id=id_of(resource.get("id")) or f"row {number}",
        post=post,
        parent_id=id_of(inner.get("parentId")),
        author_id=id_of(mapping_of(inner.get("authorChannelId")).get("value")),
        author_name=id_of(inner.get("authorDisplayName")),
        text=shown,
        created_at=time_of(inner.get("publishedAt")),
        likes=count_of(inner.get("likeCount")),
        declared_replies=declared,
        line=number,
    )


def _adopt(comment: Comment, known: dict[str, Post]) -> Comment:
    if comment.post.id is not None or comment.parent_id not in known:
        return comment
    return replace(comment, post=known[comment.parent_id])


DATA_API = Importer(name="youtube_data_api", matches=_api_matches, read=_api_read)


# -- YouTube Data Tools: <video>_comments.tab, HTML in the text, times in the server's zone


def _tools_matches(document: Document) -> bool:
    return document.kind == "table" and {"isReply", "isReplyTo", "authorName"} <= document.keys


def _tools_read(document: Document, options: Options) -> Export:
    post = Post(id=options.post_id, platform="youtube")
    rows = Rows(document.items)
    comments = [
        Comment(
            id=id_of(row.get("id")) or f"row {number}",
            post=post,
            parent_id=id_of(row.get("isReplyTo")) if flag_of(row.get("isReply")) else None,
            author_id=id_of(row.get("authorChannelId")),
            author_name=id_of(row.get("authorName")),
            text=texts.from_html(text_of(row.get("text"))),
            created_at=time_of(row.get("publishedAt")),
            likes=count_of(row.get("likeCount")),
            declared_replies=count_of(row.get("replyCount")),
            line=number + 1,
        )
        for number, row in rows
    ]
    return Export(
        comments=comments,
        n_skipped=rows.n_skipped,
        notes=("times are in the zone of the server that fetched them; read as UTC",),
    )


DATA_TOOLS = Importer(name="youtube_data_tools", matches=_tools_matches, read=_tools_read)


# -- youtube-comment-downloader: JSONL, a reply's id starts with its parent's


def _downloader_matches(document: Document) -> bool:
    return {"cid", "text", "votes", "heart"} <= document.keys


def _downloader_read(document: Document, options: Options) -> Export:
    post = Post(id=options.post_id, platform="youtube")
    rows = Rows(document.items)
    comments = []
    for number, row in rows:
        identity = id_of(row.get("cid")) or f"row {number}"
        parent = identity.partition(".")[0] if "." in identity else None
        comments.append(
            Comment(
                id=identity,
                post=post,
                parent_id=parent,
                author_id=id_of(row.get("channel")),
                author_name=id_of(row.get("author")),
                text=text_of(row.get("text")),
                created_at=time_of(row.get("time_parsed")),
                created_at_is_estimate=True,
                likes=count_of(row.get("votes")),
                creator_liked=flag_of(row.get("heart")),
                declared_replies=count_of(row.get("replies")) if parent is None else None,
                line=number,
            )
        )
    return Export(comments=comments, n_skipped=rows.n_skipped)


COMMENT_DOWNLOADER = Importer(
    name="youtube_comment_downloader", matches=_downloader_matches, read=_downloader_read
)

"""Datasets of three Apify actors: Instagram, TikTok and YouTube comments."""

from __future__ import annotations

import re
from typing import Any

from intimacy.importers.base import (
    Export,
    Importer,
    Options,
    caption_of,
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

_JSON = frozenset({"array", "lines"})


# -- Instagram: the owner of the post is not in the rows


def _instagram_matches(document: Document) -> bool:
    keys = document.keys
    return (
        document.kind in _JSON
        and {"id", "text", "ownerUsername"} <= keys
        and bool(keys & {"postUrl", "postId", "commentUrl"})
    )


def _instagram_read(document: Document, options: Options) -> Export:
    rows = Rows(document.items)
    comments: list[Comment] = []
    for number, row in rows:
        address = id_of(row.get("postUrl") or row.get("postId"))
        post = Post(id=options.post_id or address, platform="instagram")
        _instagram_add(row, post, None, number, comments)
    return Export(
        comments=comments,
        n_skipped=rows.n_skipped,
        notes=("the rows of this actor do not say who owns the post",),
    )


def _instagram_add(
    row: dict[str, Any], post: Post, parent: str | None, number: int, comments: list[Comment]
) -> None:
    owner = mapping_of(row.get("owner"))
    identity = id_of(row.get("id")) or f"row {len(comments) + 1}"
    comments.append(
        Comment(
            id=identity,
            post=post,
            parent_id=parent,
            author_id=id_of(owner.get("id") or row.get("ownerId")),
            author_name=id_of(row.get("ownerUsername")),
            text=text_of(row.get("text")),
            created_at=time_of(row.get("timestamp")),
            likes=count_of(row.get("likesCount")),
            declared_replies=count_of(row.get("repliesCount")) if parent is None else None,
            line=number,
        )
    )
    for reply in objects_of(row.get("replies")):
        _instagram_add(reply, post, identity, number, comments)


INSTAGRAM = Importer(name="apify_instagram", matches=_instagram_matches, read=_instagram_read)


# -- TikTok: the creator's handle stands in the address of the video

_HANDLE = re.compile(r"tiktok\.com/@([\w.]+)", re.IGNORECASE)
_VIDEO = re.compile(r"/video/(\d+)")


def _tiktok_matches(document: Document) -> bool:
    return document.kind in _JSON and {"cid", "text", "uniqueId"} <= document.keys


def _tiktok_read(document: Document, options: Options) -> Export:
    rows = Rows(document.items)
    comments = []
    handles: dict[str, str] = {}
    for number, row in rows:
        address = text_of(row.get("videoWebUrl") or row.get("submittedVideoUrl"))
        owner = _HANDLE.search(address)
        video = _VIDEO.search(address)
        if owner is not None:
            handles[owner.group(1)] = "video_url"
        comments.append(
            Comment(
                id=id_of(row.get("cid")) or f"row {number}",
                post=Post(
                    id=options.post_id or (video.group(1) if video else id_of(address)),
                    creator_id=owner.group(1) if owner else None,
                    platform="tiktok",
                ),
                parent_id=id_of(row.get("repliesToId")),
                author_id=id_of(row.get("uid")),
                author_name=id_of(row.get("uniqueId")),
                text=text_of(row.get("text")),
                created_at=time_of(row.get("createTime") or row.get("createTimeISO")),
                likes=count_of(row.get("diggCount")),
                creator_liked=flag_of(row.get("likedByAuthor")),
                pinned=flag_of(row.get("pinnedByAuthor")) is True,
                declared_replies=count_of(row.get("replyCommentTotal")),
                line=number,
            )
        )
    note = "videoWebUrl is a short link or missing: it carries no @handle of the creator"
    return Export(
        comments=comments,
        creators=handles,
        n_skipped=rows.n_skipped,
        notes=() if handles or not comments else (note,),
    )


TIKTOK = Importer(name="apify_tiktok", matches=_tiktok_matches, read=_tiktok_read)


# -- YouTube: the actor marks the owner itself


def _youtube_matches(document: Document) -> bool:
    return document.kind in _JSON and {"comment", "cid", "authorIsChannelOwner"} <= document.keys


def _youtube_read(document: Document, options: Options) -> Export:
    rows = Rows(document.items)
    comments = [
        Comment(
            id=id_of(row.get("cid")) or f"row {number}",
            post=Post(
                id=options.post_id or id_of(row.get("videoId")),
                platform="youtube",
                text=caption_of(row.get("title")),
            ),
            parent_id=id_of(row.get("replyToCid")),
            author_name=id_of(row.get("author")),
            text=text_of(row.get("comment")),
            likes=count_of(row.get("voteCount")),
            creator_liked=flag_of(row.get("hasCreatorHeart")),
            is_creator=flag_of(row.get("authorIsChannelOwner")),
            declared_replies=None if row.get("replyToCid") else count_of(row.get("replyCount")),
            line=number,
        )
        for number, row in rows
    ]
    return Export(
        comments=comments,
        has_flags=any(c.is_creator is not None for c in comments),
        n_skipped=rows.n_skipped,
        notes=("times are relative ('2 weeks ago') and are not read",),
    )


YOUTUBE = Importer(name="apify_youtube", matches=_youtube_matches, read=_youtube_read)

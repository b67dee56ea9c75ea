"""ConvoKit: the ``utterances.jsonl`` of a corpus; the role stands in each utterance's meta."""

from __future__ import annotations

from intimacy.errors import RoleError
from intimacy.importers.base import (
    Export,
    Importer,
    Options,
    id_of,
    mapping_of,
    text_of,
    time_of,
)
from intimacy.importers.document import Document, Rows
from intimacy.schema import Comment, Post, Role


def _matches(document: Document) -> bool:
    keys = document.keys
    return {"id", "text"} <= keys and (
        {"speaker", "conversation_id"} <= keys or {"user", "root"} <= keys
    )


def _read(document: Document, options: Options) -> Export:
    rows = Rows(document.items)
    comments = []
    roles: dict[str, str] = {}
    for number, row in rows:
        meta = mapping_of(row.get("meta"))
        identity = id_of(row.get("id")) or f"row {number}"
        word = meta.get("role")
        role = options.roles.get(str(word), word)
        if role is not None:
            if role not in {r.value for r in Role}:
                raise RoleError(
                    f"{document.name}: utterance {number} has role {word!r}; expected one of: "
                    f"{', '.join(Role)}. Pass roles={{{str(word)!r}: 'follower'}} or the like"
                )
            roles[identity] = str(role)
        speaker = row.get("speaker", row.get("user"))
        if isinstance(speaker, dict):
            speaker = speaker.get("id")
        comments.append(
            Comment(
                id=identity,
                post=Post(
                    id=options.post_id or id_of(meta.get("post_id")),
                    creator_id=id_of(meta.get("creator_id")),
                    platform=id_of(meta.get("platform")),
                    text=id_of(meta.get("caption")),
                ),
                parent_id=id_of(row.get("reply_to", row.get("reply-to"))),
                author_id=id_of(speaker),
                text=text_of(row.get("text")),
                created_at=time_of(row.get("timestamp")),
                line=number,
            )
        )
    return Export(comments=comments, roles=roles, n_skipped=rows.n_skipped)


IMPORTER = Importer(name="convokit", matches=_matches, read=_read)

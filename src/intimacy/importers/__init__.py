"""Exports of comments, read into threads.

One file per export format. A format is recognised by the keys of its records, never by the
name of the file; `read_export` says which it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intimacy import threads as building
from intimacy.errors import IntimacyError, RoleError, SourceError, UnknownFormatError
from intimacy.importers import (
    apify,
    convokit,
    instagram,
    instaloader,
    record,
    table,
    takeout,
    tiktok,
    youtube,
    ytdlp,
)
from intimacy.importers.base import Importer, Options
from intimacy.importers.document import Document, from_frame, open_document
from intimacy.schema import ImportReport, Role, Thread

IMPORTERS: tuple[Importer, ...] = (
    record.IMPORTER,
    ytdlp.IMPORTER,
    youtube.DATA_API,
    youtube.DATA_TOOLS,
    youtube.COMMENT_DOWNLOADER,
    instaloader.IMPORTER,
    instagram.IMPORTER,
    apify.INSTAGRAM,
    apify.TIKTOK,
    apify.YOUTUBE,
    tiktok.RESEARCH,
    tiktok.WEB,
    takeout.IMPORTER,
    convokit.IMPORTER,
    table.IMPORTER,
)
"""Every format, most specific first; the table reads what no other recognises."""

FORMATS: tuple[str, ...] = tuple(importer.name for importer in IMPORTERS)


class _Find:
    """Default of ``creator``: find them in the export."""

    def __repr__(self) -> str:
        return "FIND"


FIND = _Find()


def read_export(
    path: str | Path | Any,
    *,
    format: str | None = None,
    creator: str | _Find | None = FIND,
    columns: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    post_id: str | None = None,
    key: bytes | str | None = None,
    mask_pii: bool = True,
) -> tuple[list[Thread], ImportReport]:
    """Read an export of comments into threads.

    Args:
        path: A file, or a pandas or polars frame, or a list of dicts.
        format: One of `FORMATS`; None recognises it by content.
        creator: Id or handle of the creator. Not given: found in the export, or an error.
            None said outright: every turn is a follower's.
        columns: For tables: our field → column, e.g. ``{"text": "Commento"}``. Fields:
            ``id, parent_id, post_id, thread_id, role, author, text, created_at, likes,
            caption, creator, platform``.
        roles: Role by comment id, or by word of the table's role column, e.g.
            ``{"influencer": "creator"}``.
        post_id: Id of the post, where the export does not carry it.
        key: Secret of at least 16 bytes under which followers keep their pseudonyms from one
            import to the next. None draws a random one, and the report says so.
        mask_pii: Replace handles, e-mails, links and phone numbers in the texts.

    Returns: The threads, in the order of the export, and what was found on the way.

    Raises:
        SourceError: When the source cannot be read; the message names file and line or byte.
        UnknownFormatError: When no format, or more than one, fits.
        CreatorUnknownError: When nothing says who the creator is.
    """
    document = from_frame(path) if _is_frame(path) else open_document(_file(Path(path)))
    importer = _choose(document, "table" if format is None and columns else format)
    options = Options(
        creator=creator if isinstance(creator, str) else None,
        nobody=creator is None,
        columns=dict(columns or {}),
        roles={str(k): str(v) for k, v in (roles or {}).items()},
        post_id=post_id,
    )
    for role in set(options.roles.values()) - {r.value for r in Role}:
        raise RoleError(f"roles has {role!r}; expected one of: {', '.join(Role)}")
    try:
        export = importer.read(document, options)
    except IntimacyError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as exc:
        raise SourceError(
            f"{document.name} looks like {importer.name}, but a record has another shape "
            f"({type(exc).__name__}: {exc}); pass format= if it is another export"
        ) from exc
    if export.threads is not None:
        return _ready(document, importer, list(export.threads), export.n_skipped, export.notes)
    owners = {c.post.creator_id for c in export.comments if c.post.creator_id}
    overridden = (
        f"the posts are of {len(owners)} creators, and creator= puts all threads down to one; "
        "leave it out to keep them apart",
    )
    rule = building.CreatorRule(
        explicit=options.creator,
        nobody=options.nobody,
        hints=export.creators,
        several=len(owners) > 1,
        has_flags=export.has_flags,
        roles=export.roles or options.roles,
    )
    return building.build(
        export.comments,
        format=importer.name,
        creator=rule,
        key=key,
        mask=mask_pii,
        n_skipped=export.n_skipped,
        notes=(
            *document.notes,
            *export.notes,
            *(overridden if rule.several and rule.explicit is not None else ()),
        ),
    )


def _file(path: Path) -> Path:
    """The file to open: of a ConvoKit corpus, which is a folder, its utterances."""
    utterances = path / "utterances.jsonl"
    return utterances if utterances.is_file() else path


def sniff(path: str | Path) -> str:
    """Name of the format of a file.

    Raises:
        SourceError: When the file cannot be read.
        UnknownFormatError: When no format fits.
    """
    return _choose(open_document(_file(Path(path))), None).name


def _is_frame(source: Any) -> bool:
    return not isinstance(source, (str, Path)) and not hasattr(source, "__fspath__")


def _choose(document: Document, format: str | None) -> Importer:
    if format is not None:
        for importer in IMPORTERS:
            if importer.name == format:
                return importer
        raise UnknownFormatError(f"format={format!r}; expected one of: {', '.join(FORMATS)}")
    for importer in IMPORTERS:
        if importer.matches(document):
            return importer
    seen = ", ".join(sorted(document.keys)[:12]) or "none"
    raise UnknownFormatError(
        f"{document.name}: no known export has these keys: {seen}. Expected one of: "
        f"{', '.join(FORMATS)}; for another table pass columns={{'text': …}}"
    )


def _ready(
    document: Document,
    importer: Importer,
    threads: list[Thread],
    n_skipped: int,
    notes: tuple[str, ...],
) -> tuple[list[Thread], ImportReport]:
    n_rows = sum(t.n_turns for t in threads)
    return threads, ImportReport(
        format=importer.name,
        n_rows=n_rows,
        n_threads=len(threads),
        n_skipped=n_skipped,
        n_incomplete=sum(t.complete is False for t in threads),
        n_threads_with_creator=sum(t.has_creator_turn for t in threads),
        role_source={"record": sum(t.has_creator_turn for t in threads)},
        notes=(*document.notes, *notes),
    )

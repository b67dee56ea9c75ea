"""Records on disk: the codebook's JSONL, read with line numbers and written whole or not at all.

One schema serves exports, corpora and tests. A thread is ``{"id", "platform", "caption",
"turns": [{"role", "text"}]}`` with optional fields; a corpus record adds the annotation; a
prediction line carries no text.
"""

from __future__ import annotations

import gzip
import lzma
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import msgspec

from intimacy.disclosure import Disclosure
from intimacy.errors import RecordError, RoleError, SourceError, ThreadError, shown
from intimacy.prediction import Evidence, Prediction, Signs, Structure
from intimacy.schema import Post, Reason, Role, Thread, Turn, label_of, plain

_T = TypeVar("_T")
OnError = Literal["stop", "skip"]

# -- threads


def thread_from_dict(
    record: Mapping[str, Any], *, path: Path | str | None = None, line: int | None = None
) -> Thread:
    """A thread out of the codebook's record.

    Raises:
        RecordError: When the record is malformed; names file, line and field.
    """
    if not isinstance(record, Mapping):
        raise RecordError(f"{_kind(record)} received; expected an object", path=path, line=line)
    turns = record.get("turns")
    if not isinstance(turns, (list, tuple)):
        raise RecordError(
            f"'turns' is {_kind(turns)}; expected a list of {{'role', 'text'}}",
            path=path,
            line=line,
        )
    try:
        parsed = tuple(turn_from_dict(turn, number) for number, turn in enumerate(turns))
        caption = _text(record.get("caption"), "caption")
    except ThreadError as exc:
        raise RecordError(str(exc), path=path, line=line) from exc
    identity = record.get("id")
    return Thread(
        id=str(identity) if identity not in (None, "") else f"line {line or 1}",
        turns=parsed,
        post=Post(
            id=word_or_none(record.get("post_id")),
            creator_id=word_or_none(record.get("creator_id")),
            platform=word_or_none(record.get("platform")),
            text=caption,
            published_at=time_from(record.get("published_at")),
        ),
        complete=_flag(record.get("complete")),
    )


def turn_from_dict(turn: Any, number: int) -> Turn:
    """A turn out of ``{"role", "text"}`` (or ``content``) with optional fields.

    Raises:
        RoleError: When the role does not exist.
        ThreadError: When it is not an object with a role and a text.
    """
    if not isinstance(turn, Mapping):
        raise ThreadError(f"turn {number} is {_kind(turn)}; expected {{'role', 'text'}}")
    key = "text" if "text" in turn else "content"
    if key not in turn:
        raise ThreadError(f"turn {number} has no 'text'; found: {', '.join(map(shown, turn))}")
    return Turn(
        role=role_from(turn.get("role"), number),
        text=_text(turn[key], f"text of turn {number}") or "",
        id=word_or_none(turn.get("id")),
        author_id=word_or_none(turn.get("author_id")),
        created_at=time_from(turn.get("created_at")),
        created_at_is_estimate=bool(turn.get("created_at_is_estimate", False)),
        parent_id=word_or_none(turn.get("parent_id")),
        likes=turn.get("likes") if isinstance(turn.get("likes"), int) else None,
        creator_liked=_flag(turn.get("creator_liked")),
    )


def role_from(word: Any, number: int) -> Role:
    """A role out of its word.

    Raises:
        RoleError: When there is no such role.
    """
    try:
        return Role(word.strip().lower() if isinstance(word, str) else word)
    except ValueError:
        raise RoleError(
            f"turn {number} has role {shown(word)}; expected one of: {', '.join(Role)}. "
            "For a table of other words pass roles={…} to read_export"
        ) from None


def thread_to_dict(thread: Thread) -> dict[str, Any]:
    """The codebook's record of a thread; what is unknown is left out."""
    post = thread.post
    record: dict[str, Any] = {
        "id": thread.id,
        "platform": post.platform,
        "caption": post.text,
        "turns": [_lean(plain(turn)) for turn in thread.turns],
    }
    extra = {
        "creator_id": post.creator_id,
        "post_id": post.id,
        "published_at": plain(post.published_at),
        "complete": thread.complete,
    }
    return record | {k: v for k, v in extra.items() if v is not None}


def _lean(turn: dict[str, Any]) -> dict[str, Any]:
    known = {k: v for k, v in turn.items() if v is not None}
    if not known["created_at_is_estimate"]:
        del known["created_at_is_estimate"]
    return known


# -- predictions


def prediction_from_dict(
    record: Mapping[str, Any], *, path: Path | str | None = None, line: int | None = None
) -> Prediction:
    """A prediction out of the line that `intimacy classify` wrote.

    Raises:
        RecordError: When it is not such a line.
    """
    try:
        shape = _structure_from(record.get("structure") or {})
        scores = {str(k): float(v) for k, v in record["scores"].items()}
        if any(not 0 <= score <= 1 for score in scores.values()):
            raise ValueError("scores are fractions")
        return Prediction(
            thread_id=record["thread_id"],
            label=None if record["label"] is None else _label(record["label"], scores),
            scores=scores,
            reason=None if record["reason"] is None else Reason(record["reason"]),
            scope=record.get("scope"),
            attributes=record.get("attributes") or {},
            structure=shape,
            creator_id=word_or_none(record.get("creator_id")),
            post_id=word_or_none(record.get("post_id")),
            platform=word_or_none(record.get("platform")),
            evidence=tuple(
                Evidence(
                    turn=int(e["turn"]),
                    start=int(e["start"]),
                    end=int(e["end"]),
                    weight=float(e["weight"]),
                )
                for e in record.get("evidence") or ()
            ),
            n_dropped_turns=int(record.get("n_dropped_turns", 0)),
            n_dropped_chars=int(record.get("n_dropped_chars", 0)),
            model_id=record.get("model_id"),
            error=record.get("error"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise RecordError(
            f"not a prediction ({type(exc).__name__}: {exc}); expected a line written by "
            "'intimacy classify'",
            path=path,
            line=line,
        ) from exc


def _label(name: Any, scores: Mapping[str, float]) -> str:
    if name not in scores:
        raise ValueError("the label has no score")
    return label_of(name)


def _structure_from(shape: Mapping[str, Any]) -> Structure:
    signs = shape.get("signs")
    n = len(shape.get("roles", ()))
    columns = {name: shape.get(name, ()) for name in ("author_ids", "created_at")}
    columns["templates"] = (signs or {}).get("templates", ())
    for name, values in columns.items():
        if len(values) not in (0, n):
            raise ValueError(f"{n} roles and {len(values)} {name}")
    return Structure(
        roles=tuple(Role(r) for r in shape.get("roles", ())),
        author_ids=tuple(shape.get("author_ids", ())),
        created_at=tuple(time_from(t) for t in shape.get("created_at", ())),
        created_at_is_estimate=bool(shape.get("created_at_is_estimate", False)),
        complete=shape.get("complete"),
        has_caption=bool(shape.get("has_caption", False)),
        published_at=time_from(shape.get("published_at")),
        signs=None if signs is None else _signs_from(signs),
    )


def _signs_from(signs: Mapping[str, Any]) -> Signs:
    read, said = signs.get("readability"), signs.get("disclosure")
    return Signs(
        cues={str(name): int(n) for name, n in signs["cues"].items()},
        templates=tuple(signs["templates"]),
        readability=None if read is None else (int(read[0]), int(read[1]), int(read[2])),
        disclosure=None
        if said is None
        else Disclosure(
            tier=str(said["tier"]),
            in_position=said["in_position"],
            wordings=tuple(said["wordings"]),
            brands=tuple(said["brands"]),
        ),
    )


# -- files


def read_jsonl(
    source: Path | IO[bytes],
    parse: Callable[..., _T],
    *,
    on_error: OnError = "stop",
    skipped: list[RecordError] | None = None,
) -> Iterator[_T]:
    """Parse one record a line, as the lines come; blank lines are passed over.

    Args:
        source: A file (``.xz`` and ``.gz`` are read as such) or an open binary stream.
        parse: Called as ``parse(record, path=…, line=…)``.
        on_error: ``stop`` raises at the first bad line, after the earlier ones were yielded;
            ``skip`` goes on.
        skipped: Receives the errors of the lines passed over.

    Raises:
        SourceError: When the file cannot be opened.
        RecordError: At a bad line, with its number.
    """
    name = source if isinstance(source, Path) else getattr(source, "name", "stdin")
    with _opened(source) as stream:
        for number, raw in enumerate(stream, 1):
            line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if not line.strip():
                continue
            try:
                yield parse(decode_line(line, name, number), path=name, line=number)
            except RecordError as exc:
                if on_error == "stop":
                    raise
                if skipped is not None:
                    skipped.append(exc)


def decode_line(line: bytes, name: Path | str, number: int) -> dict[str, Any]:
    """One JSON object.

    Raises:
        RecordError: When it is not one.
    """
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise RecordError(f"not JSON: {exc}", path=name, line=number) from exc
    if not isinstance(value, dict):
        raise RecordError(f"{_kind(value)} received; expected an object", path=name, line=number)
    return value


@contextmanager
def _opened(source: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    if not isinstance(source, Path):
        yield source
        return
    opener: Any = {".xz": lzma.open, ".gz": gzip.open}.get(source.suffix, Path.open)
    try:
        stream = opener(source, "rb")
    except OSError as exc:
        raise SourceError(f"{source}: cannot be read: {exc.strerror or exc}") from exc
    except ValueError as exc:  # a null byte in the name
        raise SourceError(f"{str(source)!r}: cannot be read: {exc}") from exc
    with stream:
        try:
            yield stream
        except (lzma.LZMAError, gzip.BadGzipFile, EOFError, zlib.error) as exc:
            raise SourceError(f"{source}: damaged compressed file: {exc}") from exc


def encode_line(record: Any) -> bytes:
    """One record as a line of UTF-8 JSON."""
    return msgspec.json.encode(record) + b"\n"


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write records to a file that appears only when it is whole; how many there are.

    Raises:
        SourceError: When the place cannot be written.
    """
    n = 0
    with atomic(path) as stream:
        for record in records:
            stream.write(encode_line(record))
            n += 1
    return n


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A binary stream whose content replaces ``path`` when the block ends without error.

    A link is followed; a device or a pipe is written to, never replaced.

    Raises:
        SourceError: When the place cannot be written.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        try:
            with path.open("wb") as stream:
                yield stream
        except IsADirectoryError as exc:
            raise SourceError(f"{path} is a folder; name a file") from exc
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as exc:
        raise SourceError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


# -- values


def time_from(value: Any) -> datetime | None:
    """An aware time out of ISO 8601; UTC where no zone is given; None when it is not one."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def _text(value: Any, field: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ThreadError(f"{field} is {_kind(value)}; expected a string or null")


def word_or_none(value: Any) -> str | None:
    """An id or name as a string; None and "" are None."""
    return None if value is None or value == "" else str(value)


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__

"""Where the commands read from and write to: files, folders, stdin and stdout."""

from __future__ import annotations

import io
import os
import secrets
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from intimacy.errors import IntimacyError, IntimacyWarning, SourceError

if TYPE_CHECKING:
    from intimacy.prediction import Prediction
    from intimacy.schema import Thread
    from intimacy.store import OnError


TYPED = "intimacy.typed"
"""Where a command finds all words that were typed after ``intimacy``, in its context's ``meta``."""


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that reads exports."""
    options = [
        click.option("--format", "format_", metavar="NAME", help="Export format; else recognised."),
        click.option("--creator", metavar="ID", help="Creator's @handle or account id."),
        click.option("--no-creator", is_flag=True, help="Every turn is a follower's."),
        click.option(
            "--column",
            "columns",
            multiple=True,
            metavar="FIELD=NAME",
            help="Column of a table, e.g. text=Commento. Repeatable.",
        ),
        click.option("--post-id", metavar="ID", help="Post, where the export does not say."),
        click.option(
            "--key-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Secret for pseudonyms; made on first use, readable by you only.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def options_of(
    *,
    format_: str | None,
    creator: str | None,
    no_creator: bool,
    columns: Sequence[str],
    post_id: str | None,
    key_file: Path | None,
) -> dict[str, Any]:
    """Arguments of `read_export` out of the command's options."""
    if creator is not None and no_creator:
        raise click.UsageError("--creator and --no-creator exclude each other")
    out: dict[str, Any] = {"format": format_, "post_id": post_id}
    if no_creator:
        out["creator"] = None
    elif creator is not None:
        out["creator"] = creator
    pairs = [column.partition("=") for column in columns]
    for field, sign, column in pairs:
        if not (field and sign and column):
            raise click.UsageError("--column expects FIELD=NAME, e.g. text=Commento")
    out["columns"] = {field: column for field, _, column in pairs} or None
    # One key for all files of a run, so that followers keep their names across them.
    out["key"] = secrets.token_bytes(32) if key_file is None else key_of(key_file)
    out["key_is_kept"] = key_file is not None
    return out


def key_of(path: Path) -> bytes:
    """The project's secret; made when the file does not exist yet.

    Raises:
        SourceError: When it can be neither read nor made.
    """
    try:
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as stream:
                stream.write(secrets.token_hex(32) + "\n")
            click.echo(f"intimacy: made a key in {path}; keep it apart from the data", err=True)
        return path.read_bytes().strip()
    except OSError as exc:
        raise SourceError(f"{path}: cannot be used as a key file: {exc.strerror or exc}") from exc


def read_threads(path: Path, options: dict[str, Any]) -> list[Thread]:
    """Threads of an export; what was found goes to stderr."""
    from intimacy.importers import read_export

    arguments = {k: v for k, v in options.items() if k != "key_is_kept"}
    if path != Path("-"):
        threads, report = read_export(path, **arguments)
    else:
        with _spooled(sys.stdin.buffer) as spooled:
            threads, report = read_export(spooled, **arguments)
    click.echo(f"intimacy: {path}: {report}", err=True)
    if not options["key_is_kept"] and report.format != "record":
        click.echo(
            "note: pseudonyms made with a random key: results cannot be merged by follower with "
            "another run; pass --key-file",
            err=True,
        )
    return threads


def stream_threads(
    path: Path, options: dict[str, Any], on_error: OnError, skipped: list[Any]
) -> Iterator[Thread]:
    """Threads of a file; JSONL of records is read line by line, everything else whole."""
    from intimacy import store

    if path == Path("-"):
        stream = cast(io.BufferedReader, sys.stdin.buffer)
        if not _is_record(stream.peek(1 << 16)):
            yield from read_threads(path, options)
            return
        source: Path | IO[bytes] = stream
    else:
        head = _head(path)
        if options["format"] not in (None, "record") or not _is_record(head):
            yield from read_threads(path, options)
            return
        source = path
    yield from store.read_jsonl(
        source,
        store.thread_from_dict,
        on_error=on_error,
        skipped=skipped,
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(1 << 16)
    except OSError:
        return b""  # the importer says what is wrong


def _is_record(head: bytes) -> bool:
    """Whether one of the first lines holds a thread; the others may be broken."""
    lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()[:50]
    return any(line.lstrip().startswith(b"{") and b'"turns"' in line for line in lines)


def as_they_come(
    classify: Callable[[Iterator[Thread]], Iterator[Prediction]], threads: Iterator[Thread]
) -> Iterator[Prediction]:
    """Predictions of the threads before a broken line come out before its error does."""
    failure: list[IntimacyError] = []

    def until_broken() -> Iterator[Thread]:
        try:
            yield from threads
        except IntimacyError as exc:
            failure.append(exc)

    yield from classify(until_broken())
    if failure:
        raise failure[0]


@contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as target:
            while block := stream.read(1 << 20):
                target.write(block)
        yield path


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file or stdout; a file is there when it is whole, and what a failed run wrote beside it."""
    if path == Path("-"):
        yield standard_output()
        standard_output().flush()
        return
    if path.exists() and not path.is_file():  # a device or a pipe is written to, never replaced
        place = path
    else:
        path = path.resolve()
        place = path.with_name(f"{path.name}.partial")
    try:
        stream = place.open("wb")
    except OSError as exc:
        raise SourceError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
    try:
        with stream:
            yield stream
    except BaseException:
        if place != path and place.stat().st_size:
            click.echo(f"intimacy: not whole; what was written is in {place}", err=True)
        elif place != path:
            place.unlink(missing_ok=True)
        raise
    if place != path:
        place.replace(path)


@contextmanager
def told() -> Iterator[None]:
    """Warnings of the library as lines on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", IntimacyWarning)
        try:
            yield
        finally:
            for warning in caught:
                if issubclass(warning.category, IntimacyWarning):
                    click.echo(f"intimacy: {warning.message}", err=True)


def standard_output() -> IO[bytes]:
    """The bytes of stdout.

    Raises:
        SourceError: When it is closed.
    """
    if sys.stdout is None:
        raise SourceError("stdout is closed; write to a file with -o FILE")
    return sys.stdout.buffer

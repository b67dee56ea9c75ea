"""The tools by name, and the files that are written for them and read from them."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from intimacy import store
from intimacy.errors import ConfigError, IntimacyError, SourceError, UnknownFormatError, shown
from intimacy.importers.document import Document, document_of, open_document, text_bytes
from intimacy.labelling import argilla, doccano, label_studio, prodigy, table
from intimacy.labelling.base import Answer, Tool

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (label_studio.TOOL, doccano.TOOL, argilla.TOOL, prodigy.TOOL, table.TOOL)
}
"""Every tool by its name, in the order in which their files are recognised."""

_ZIP = b"PK\x03\x04"
_MOST_BYTES = 1 << 30
# What doccano calls the file of a project whose annotators share their answers.
_NOBODY = ("all", "export", "result")


def tool_of(name: str) -> Tool:
    """The tool of a name.

    Raises:
        ConfigError: When there is none.
    """
    if name not in TOOLS:
        raise ConfigError(f"tool is {shown(name)}; expected one of: {', '.join(TOOLS)}")
    return TOOLS[name]


def label_config(tool: str, *, attributes: bool = False) -> str:
    """Settings of a project in a tool, with the codebook's labels.

    Label Studio gets its labelling configuration (XML), doccano labels to import (JSON), Argilla
    the settings of a dataset (JSON, for ``Settings.from_json``), Prodigy its ``prodigy.json``.

    Args:
        tool: One of `TOOLS`.
        attributes: Whether the attributes of the codebook's section 5 are asked for as well.

    Raises:
        ConfigError: When there is no such tool, when it takes no settings (``csv``), or when it
            cannot ask for attributes.
    """
    chosen = tool_of(tool)
    if chosen.config is None:
        raise ConfigError(f"{tool} takes no settings; the columns of the file are all there is")
    check_attributes(chosen, attributes)
    return chosen.config(attributes)


def check_attributes(tool: Tool, attributes: bool) -> None:
    """See that a tool can ask for attributes where they are wanted.

    Raises:
        ConfigError: When it cannot.
    """
    if attributes and not tool.asks_more:
        able = ", ".join(name for name, other in TOOLS.items() if other.asks_more)
        raise ConfigError(f"{tool.name} asks one question a thread; attributes need one of: {able}")


# -- out


def write_tasks(place: Path | IO[bytes], tool: str, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Write tasks of `intimacy.export_for` as the file that the tool imports.

    Args:
        place: A file, which is there when it is whole, or an open binary stream.
        tool: One of `TOOLS`.
        tasks: At least one.

    Raises:
        ConfigError: When there is no such tool.
        SourceError: When the place cannot be written.
    """
    blocks = _encoded(tool_of(tool), tasks)
    if isinstance(place, Path):
        with store.atomic(place) as stream:
            stream.writelines(blocks)
    else:
        place.writelines(blocks)


def _encoded(tool: Tool, tasks: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    if tool.shape == "lines":
        yield from map(store.encode_line, tasks)
    elif tool.shape == "array":
        for number, task in enumerate(tasks):
            yield (b",\n" if number else b"[\n") + json.dumps(task, ensure_ascii=False).encode()
        yield b"\n]\n" if tasks else b"[]\n"
    else:
        buffer = io.StringIO(newline="")
        # Semicolons and a byte order mark: a double click opens it in an Italian Excel.
        columns = list(dict.fromkeys(name for task in tasks for name in task))
        writer = csv.DictWriter(buffer, columns, restval="", delimiter=";")
        writer.writeheader()
        writer.writerows(tasks)
        yield b"\xef\xbb\xbf" + buffer.getvalue().encode()


# -- in


def read_answers(path: Path, tool: str | None) -> tuple[Tool, list[Answer], int]:
    """The answers in a file, with the tool that wrote it and the number of its records.

    Args:
        path: JSON, JSONL, CSV, or a ZIP of such, one file an annotator.
        tool: One of `TOOLS`; None recognises it by content.

    Raises:
        SourceError: When the file cannot be read, or a record of it is malformed.
        UnknownFormatError: When it is no tool's.
    """
    chosen: Tool | None = None if tool is None else tool_of(tool)
    answers: list[Answer] = []
    n_records = 0
    for document, named in _documents(path):
        if chosen is None:
            chosen = _recognised(document)
        answers += _answers(chosen, document, named)
        n_records += 1 if document.kind == "object" else len(document.items)
    if chosen is None:
        raise SourceError(f"{path} holds no file with answers; expected .jsonl, .json or .csv")
    return chosen, answers, n_records


def read_tasks(path: Path, tool: str) -> list[Answer]:
    """Tasks that `write_tasks` wrote, as answers that nobody has given.

    Raises:
        SourceError: When the file cannot be read, or holds no tasks of that tool.
    """
    found = [task for task in read_answers(path, tool)[1] if task.thread_id is not None]
    if not found:
        raise SourceError(
            f"{path} holds no tasks; expected what 'intimacy annotate --to {tool}' wrote"
        )
    return found


def _answers(tool: Tool, document: Document, named: str | None) -> Iterable[Answer]:
    try:
        return list(tool.read(document, named))
    except IntimacyError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as exc:
        # What a record holds may be a comment, so the cause is named and not quoted.
        raise SourceError(
            f"{document.name} was read as {tool.name}, but a record has another shape "
            f"({type(exc).__name__}); pass tool= (--tool) if another tool wrote it"
        ) from exc


def _documents(path: Path) -> Iterator[tuple[Document, str | None]]:
    """The documents of a file, each with the annotator that it is named after, if any."""
    try:
        with path.open("rb") as stream:
            zipped = stream.read(len(_ZIP)) == _ZIP
    except OSError:
        zipped = False  # the reader says what is wrong
    if not zipped:
        yield open_document(path), _named(path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            # doccano packs its files in no order; that of the votes must not depend on it.
            for member in sorted(archive.infolist(), key=lambda member: member.filename):
                inside = Path(member.filename)
                if member.is_dir() or inside.suffix not in (".jsonl", ".json", ".csv"):
                    continue
                if member.file_size > _MOST_BYTES:
                    raise SourceError(
                        f"{path}: {inside.name} unpacks to {member.file_size} bytes, more than "
                        f"{_MOST_BYTES}; unpack it and pass its parts"
                    )
                data = archive.read(member)
                if data.strip():  # whoever has annotated nothing yet has an empty file
                    place = path / inside.name
                    yield document_of(text_bytes(data, place), place), _named(inside)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as exc:
        raise SourceError(f"{path}: damaged or encrypted ZIP: {exc}") from exc


def _named(path: Path) -> str | None:
    return None if path.stem.lower() in _NOBODY else path.stem


def _recognised(document: Document) -> Tool:
    for tool in TOOLS.values():
        if tool.matches(document):
            return tool
    seen = ", ".join(map(shown, sorted(document.keys)[:12])) or "none"
    raise UnknownFormatError(
        f"{document.name}: no annotation tool exports these keys: {seen}. Expected one of: "
        f"{', '.join(TOOLS)}; docs/annotation.md says which export of each"
    )

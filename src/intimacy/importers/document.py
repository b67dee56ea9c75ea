"""A file opened just far enough to see which export it is.

Exports are JSON (one document or one a line) or tables. A `Document` knows its kind and the
keys of its first record, by which importers recognise their own; records are decoded one by
one, so that a valid export of hundreds of megabytes on a single line stays within memory and
one bad record does not spoil the rest.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from intimacy.errors import RecordError, SourceError, UnknownFormatError
from intimacy.frames.sources import rows_of

Kind = Literal["object", "array", "lines", "table"]
_BINARY = {
    b"PK\x03\x04": "a ZIP or Excel file; unpack it, or save the sheet as CSV",
    b"\x1f\x8b": "gzip-compressed; unpack it first",
    b"\xfd7zXZ": "xz-compressed; unpack it first",
    b"%PDF": "a PDF; expected the export itself",
    b"PAR1": "Parquet; read it into a data frame and pass that",
    b"SQLite format 3": "an SQLite database; expected JSON, JSONL or CSV",
}
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True)
class Document:
    """A parsed source, its records still undecoded."""

    path: Path | None
    kind: Kind
    keys: frozenset[str]
    """Keys of the object, of the first record of the array or lines, or the table's header."""
    fields: Mapping[str, msgspec.Raw] = field(default_factory=dict, repr=False)
    """Values of a single object."""
    items: Sequence[Any] = field(default=(), repr=False)
    """Records of an array or of lines, undecoded, or rows of a table."""
    notes: tuple[str, ...] = ()
    lines: Sequence[int] = field(default=(), repr=False)
    """Line of the file on which each item begins, where items have one."""

    @property
    def name(self) -> str:
        """What error messages call the source."""
        return "data frame" if self.path is None else str(self.path)

    def value(self, key: str, default: Any = None) -> Any:
        """One field of a single object, decoded."""
        raw = self.fields.get(key)
        return default if raw is None else decode(raw)

    def array(self, key: str) -> list[msgspec.Raw]:
        """A field of a single object that holds a list of records; empty when absent.

        Raises:
            RecordError: When the field is not a list.
        """
        raw = self.fields.get(key)
        if raw is None or bytes(raw) == b"null":
            return []
        try:
            return _ARRAY.decode(raw)
        except msgspec.DecodeError as exc:
            raise RecordError(f"{key!r} is not a list: {exc}", path=self.path) from exc


class Rows:
    """Iterates decoded records; counts what is not an object instead of failing."""

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items
        self.n_skipped = 0

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, item in enumerate(self._items, 1):
            value = item if isinstance(item, dict) else decode(item)
            if isinstance(value, dict):
                yield number, value
            else:
                self.n_skipped += 1


def decode(raw: msgspec.Raw | bytes) -> Any:
    """One JSON value. Escapes of half an emoji, which some exporters cut, are let through."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(bytes(raw))


def open_document(path: Path) -> Document:
    """Read a file and see what it is.

    Raises:
        SourceError: When it cannot be read, is empty, binary or not text.
        UnknownFormatError: When it is neither JSON nor a table.
    """
    return document_of(read_bytes(path), path)


def document_of(data: bytes, path: Path) -> Document:
    """The same, of bytes that `text_bytes` passed; ``path`` is what messages call them."""
    head = data[:4096].lstrip()
    if head[:1] in (b"{", b"["):
        _check_utf8(data, path)
        return _json(data, path)
    return _table(data, path)


def read_bytes(path: Path) -> bytes:
    """The bytes of a text file as UTF-8 where a byte order mark says how; else as they are.

    Raises:
        SourceError: When the file is missing, a folder, not readable, empty or binary.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise SourceError(f"{path}: no such file") from exc
    except IsADirectoryError as exc:
        raise SourceError(f"{path} is a folder; expected an export file") from exc
    except PermissionError as exc:
        raise SourceError(f"{path}: no permission to read it") from exc
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    return text_bytes(data, path)


def text_bytes(data: bytes, path: Path) -> bytes:
    """Bytes that were read from somewhere, as UTF-8 where a byte order mark says how.

    Raises:
        SourceError: When they are none, or binary.
    """
    for magic, what in _BINARY.items():
        if data.startswith(magic):
            raise SourceError(f"{path} is {what}")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16").encode("utf-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise SourceError(f"{path} is empty; expected an export with comments")
    if (at := data.find(b"\x00")) >= 0:
        raise SourceError(f"{path}: byte {at} is a null byte; expected a text file")
    return data


def _check_utf8(data: bytes, path: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    step = 1 << 20
    for start in range(0, len(data), step):
        try:
            decoder.decode(data[start : start + step], final=start + step >= len(data))
        except UnicodeDecodeError as exc:
            at = start + exc.start
            raise SourceError(
                f"{path}: byte {at} is not UTF-8 (0x{exc.object[exc.start]:02x}); "
                "save the file as UTF-8 and try again"
            ) from exc


def _json(data: bytes, path: Path) -> Document:
    first = data.lstrip()[:1]
    if first == b"{":
        newline = data.find(b"\n", data.find(b"{"))
        if newline >= 0 and data[newline:].strip() and _is_object(data[:newline]):
            numbered = [(n, line) for n, line in enumerate(data.split(b"\n"), 1) if line.strip()]
            numbers, lines = [n for n, _ in numbered], [line for _, line in numbered]
            _check_lines(numbered, path)
            return Document(path, "lines", _keys(lines[0]), items=lines, lines=numbers)
    try:
        if first == b"{":
            fields = _OBJECT.decode(data)
            return Document(path, "object", frozenset(fields), fields=fields)
        items = _ARRAY.decode(data)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise _json_error(exc, data, path) from exc
    keys = _keys(bytes(items[0])) if items else frozenset[str]()
    return Document(path, "array", keys, items=items)


def _json_error(exc: Exception, data: bytes, path: Path) -> SourceError:
    if isinstance(exc, RecursionError):
        return SourceError(f"{path}: lists within lists too deep for any export")
    said = str(exc)
    if "truncated" in said:
        return SourceError(
            f"{path}: the JSON breaks off at byte {len(data)}, the end of the file; "
            "the download was probably interrupted"
        )
    return SourceError(f"{path}: {said[:1].lower()}{said[1:]}")


def _is_object(line: bytes) -> bool:
    try:
        _OBJECT.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _check_lines(lines: list[tuple[int, bytes]], path: Path) -> None:
    for number, line in lines:
        try:
            msgspec.json.decode(line, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError) as exc:
            raise RecordError(f"not JSON: {exc}", path=path, line=number) from exc


def _keys(line: bytes) -> frozenset[str]:
    value = decode(line)
    return frozenset(value) if isinstance(value, dict) else frozenset()


def _table(data: bytes, path: Path) -> Document:
    notes: tuple[str, ...] = ()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        # What Excel on Windows writes; every byte but five has a meaning in it.
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            raise SourceError(
                f"{path}: byte {exc.start} is neither UTF-8 nor cp1252; save the file as UTF-8"
            ) from exc
        notes = (f"not UTF-8 from byte {exc.start} on; read as cp1252, as Excel writes it",)
    header = text[: text.find("\n")] if "\n" in text else text
    delimiter = max("\t;,", key=header.count)
    if delimiter not in header and "\n" not in text.strip():
        raise UnknownFormatError(
            f"{path} is neither JSON nor a table: it starts with neither {{ nor [ and its first "
            "line has no tab, semicolon or comma. See docs/formats.md for what can be read"
        )
    # A field may be as long as the whole file; the limit of csv is per process, so it is put back.
    limit = csv.field_size_limit(max(131_072, len(text)))
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header_names = [h.strip() for h in reader.fieldnames or ()]
        reader.fieldnames = header_names
        rows, numbers, begins = [], [], reader.line_num + 1
        for row in reader:
            if None in row:
                raise RecordError(
                    f"{len(header_names)} columns expected, more found; is the delimiter "
                    f"{delimiter!r} inside an unquoted text?",
                    path=path,
                    line=reader.line_num,
                )
            rows.append(row)
            numbers.append(begins)
            begins = reader.line_num + 1
    except csv.Error as exc:
        raise RecordError(f"not a valid table: {exc}", path=path, line=reader.line_num) from exc
    finally:
        csv.field_size_limit(limit)
    return Document(path, "table", frozenset(header_names), items=rows, notes=notes, lines=numbers)


def from_frame(frame: Any) -> Document:
    """A frame, or a list of dicts, as a table."""
    rows = []
    for number, row in enumerate(rows_of(frame), 1):
        if not isinstance(row, Mapping):
            raise RecordError(f"row {number} is {type(row).__name__}; expected a mapping")
        rows.append({str(k): v for k, v in row.items()})
    keys = frozenset(rows[0]) if rows else frozenset[str]()
    return Document(None, "table", keys, items=rows)

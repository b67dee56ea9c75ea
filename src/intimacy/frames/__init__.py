"""Corpora as tables: pandas, polars, Arrow, `datasets`, Parquet and JSONL, and back without loss.

    frame = intimacy.to_frame(items, kind="polars")
    intimacy.load_corpus(frame) == items

A table has one row a thread, `rows` says with which columns; `columns` reads tables of other
shapes and names. Nothing here is imported before it is asked for: pandas, polars, pyarrow and
`datasets` are optional.
"""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

from intimacy import store
from intimacy.annotation import AnnotatedThread, annotated_to_dict
from intimacy.errors import (
    ConfigError,
    CorpusError,
    MissingExtraError,
    require,
    require_many,
    shown,
)
from intimacy.frames.rows import Kind, columns_for, pack

_BATCH = 1_000
"""Threads that are turned into columns at a time."""
_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.xz", ".parquet")


def to_frame(
    items: Sequence[AnnotatedThread], kind: Literal["pandas", "polars", "arrow"] = "pandas"
) -> Any:
    """Labelled threads as a data frame, one row a thread; `intimacy.load_corpus` reads it back.

    Columns are those of the codebook's record (docs/formats.md), always the same and always of
    one type: ``turns`` and ``votes`` are lists of structs, ``target`` is a struct of shares. Times
    are instants in UTC. ``_more`` holds, as JSON, what a row states that no column can; it is
    null in nearly all.

    Args:
        items: The threads.
        kind: ``pandas`` (nested columns hold lists of dicts), ``polars`` or ``arrow``, a
            ``pyarrow.Table``.

    Raises:
        MissingExtraError: When that library is not installed.
        ConfigError: When there is no such kind.
        ThreadError: When these are not labelled threads.
    """
    require_many(items, "a list of labelled threads")
    if kind == "arrow":
        return _table(items)
    if kind not in ("pandas", "polars"):
        raise ConfigError(f"kind is {shown(kind)}; expected 'pandas', 'polars' or 'arrow'")
    try:
        library = require(kind, extra="train")
    except MissingExtraError as exc:
        raise MissingExtraError(f"{kind} is not installed; run: pip install {kind}") from exc
    kinds = columns_for(items)
    values: dict[str, list[Any]] = {name: [] for name in kinds}
    for item in items:
        for name, value in pack(item, kinds).items():
            values[name].append(value)
    if kind == "polars":
        return library.DataFrame(values, schema={n: _polars(library, k) for n, k in kinds.items()})
    return library.DataFrame(
        {name: library.Series(values[name], dtype=_pandas(of)) for name, of in kinds.items()}
    )


def to_dataset(items: Sequence[AnnotatedThread]) -> Any:
    """Labelled threads as a ``datasets.Dataset`` with the columns of `to_frame`.

    Raises:
        MissingExtraError: When ``datasets`` is not installed.
        ThreadError: When these are not labelled threads.
    """
    require_many(items, "a list of labelled threads")
    return require("datasets", extra="train").Dataset(_table(items))


def save_corpus(items: Sequence[AnnotatedThread], path: str | Path) -> int:
    """Write labelled threads to a file that appears only when it is whole.

    Args:
        items: The threads. Those that `intimacy.open_corpus` left on disk are read one by one.
        path: ``….parquet``, with the columns of `to_frame`, or ``….jsonl``, ``….jsonl.gz`` or
            ``….jsonl.xz``, one record of the codebook a line.

    Returns: How many there are.

    Raises:
        ConfigError: When the name ends otherwise.
        ThreadError: When these are not labelled threads.
        SourceError: When the place cannot be written.
        CorpusError: When a text is not valid Unicode and the file is to be JSONL.
        MissingExtraError: When the file is to be Parquet and pyarrow is not installed.
    """
    require_many(items, "a list of labelled threads")
    path = Path(path)
    if not path.name.endswith(_SUFFIXES):
        raise ConfigError(f"{path.name}: expected a name that ends in {', '.join(_SUFFIXES)}")
    with store.atomic(path) as stream:
        if path.suffix == ".parquet":
            parquet = require("pyarrow.parquet", extra="train")
            schema, batches = _batches(items)
            with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
                for batch in batches:
                    writer.write_batch(batch)
        else:
            _write_lines(items, stream, path.suffix)
    return len(items)


def _write_lines(items: Iterable[AnnotatedThread], stream: IO[bytes], suffix: str) -> None:
    with ExitStack() as stack:
        out: Any = stream
        if suffix == ".gz":
            out = stack.enter_context(gzip.GzipFile(fileobj=stream, mode="wb"))
        elif suffix == ".xz":
            out = stack.enter_context(lzma.LZMAFile(stream, mode="wb"))
        for item in items:
            try:
                out.write(store.encode_line(annotated_to_dict(item)))
            except UnicodeEncodeError as exc:
                raise CorpusError(
                    f"thread {shown(item.thread.id)} holds half a surrogate pair, which UTF-8 "
                    "cannot; mend the text, or save as .parquet"
                ) from exc


def _table(items: Sequence[AnnotatedThread]) -> Any:
    arrow = require("pyarrow", extra="train")
    schema, batches = _batches(items)
    return arrow.Table.from_batches(list(batches), schema)


def _batches(items: Sequence[AnnotatedThread]) -> tuple[Any, Iterator[Any]]:
    """The schema of the threads, and the threads as record batches."""
    arrow = require("pyarrow", extra="train")
    columns = columns_for(items)
    schema = arrow.schema([(name, _arrow(arrow, kind)) for name, kind in columns.items()])

    def batches() -> Iterator[Any]:
        left = iter(items)
        while some := list(islice(left, _BATCH)):
            rows = [pack(item, columns) for item in some]
            yield arrow.RecordBatch.from_pylist(rows, schema=schema)

    return schema, batches()


# -- types


def _arrow(arrow: Any, kind: Kind) -> Any:
    if isinstance(kind, list):
        return arrow.list_(_arrow(arrow, kind[0]))
    if isinstance(kind, dict):
        return arrow.struct([(name, _arrow(arrow, inner)) for name, inner in kind.items()])
    if kind is datetime:
        return arrow.timestamp("us", tz="UTC")
    plain = {str: arrow.string(), bool: arrow.bool_(), int: arrow.int64(), float: arrow.float64()}
    return plain[kind]


def _polars(polars: Any, kind: Kind) -> Any:
    if isinstance(kind, list):
        return polars.List(_polars(polars, kind[0]))
    if isinstance(kind, dict):
        return polars.Struct({name: _polars(polars, inner) for name, inner in kind.items()})
    if kind is datetime:
        return polars.Datetime("us", "UTC")
    plain = {str: polars.String, bool: polars.Boolean, int: polars.Int64, float: polars.Float64}
    return plain[kind]


def _pandas(kind: Kind) -> str:
    """A dtype that keeps its type where nothing is known."""
    if isinstance(kind, (list, dict)):
        return "object"
    return {
        str: "string",
        bool: "boolean",
        int: "Int64",
        float: "Float64",
        datetime: "datetime64[us, UTC]",
    }[kind]

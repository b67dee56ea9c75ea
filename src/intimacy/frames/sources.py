"""Rows of whatever holds some: frames, tables, data sets, Parquet files, lists of dicts.

Which it is is told by its methods, so that no library is imported that the caller has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from intimacy.annotation import SPLITS
from intimacy.errors import CorpusError, SourceError, require, shown

_BATCH = 1_000
_SPLIT_NAMES = {"validation": "dev", "valid": "dev", "val": "dev"}
"""What the splits of a ``DatasetDict`` are called elsewhere."""


def is_table(source: Any) -> bool:
    """Whether its rows share columns, with nulls where nothing is known."""
    # A lazy frame of polars is not asked for its columns, which may be long in coming.
    marks = ("collect_schema", "columns", "to_batches", "column_names")
    return isinstance(source, Mapping) or any(hasattr(source, mark) for mark in marks)


def rows_of(source: Any) -> Iterator[Any]:
    """Rows of a frame, table, data set or iterable, their values plain ones of Python.

    Args:
        source: A pandas or polars frame (also lazy), an Arrow table, a ``datasets.Dataset``,
            ``IterableDataset`` or a ``DatasetDict`` of them, whose names become ``split``; or
            anything that yields mappings.

    Raises:
        CorpusError: When it is none of these, has two columns of one name, or a split that does
            not exist.
    """
    if isinstance(source, Mapping):
        yield from _of_splits(source)
    elif hasattr(source, "collect_schema") and hasattr(source, "collect"):
        yield from rows_of(source.collect())
    elif hasattr(source, "iter_rows") and hasattr(source, "columns"):
        yield from map(_plain, source.iter_rows(named=True))
    elif hasattr(source, "to_batches"):
        for batch in source.to_batches(max_chunksize=_BATCH):
            yield from batch.to_pylist()
    elif hasattr(source, "column_names") and hasattr(source, "features"):
        yield from _of_dataset(source)
    elif hasattr(source, "iloc") and hasattr(source, "columns"):
        yield from _of_pandas(source)
    elif isinstance(source, Iterable) and not isinstance(source, (str, bytes)):
        for row in source:
            yield _plain(row) if isinstance(row, Mapping) else row
    else:
        raise CorpusError(
            f"{type(source).__name__} received; expected a path, a pandas or polars frame, an "
            "Arrow table, a datasets.Dataset or DatasetDict, or an iterable of records"
        )


def rows_of_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a Parquet file, a thousand in memory at a time.

    Raises:
        SourceError: When it cannot be read or is no Parquet file.
        MissingExtraError: When pyarrow is not installed.
    """
    arrow = require("pyarrow", extra="train")
    parquet = require("pyarrow.parquet", extra="train")
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                yield from batch.to_pylist()
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except arrow.ArrowException as exc:
        raise SourceError(f"{path}: not a whole Parquet file ({type(exc).__name__})") from exc


def _of_pandas(frame: Any) -> Iterator[dict[str, Any]]:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CorpusError(f"the frame has two columns called {shown(twice)}; rename one")
    for start in range(0, len(frame), _BATCH):
        # By column: a row of a frame would make whole numbers beside fractions fractions.
        some = frame.iloc[start : start + _BATCH]
        columns = [[_plain(v) for v in some.iloc[:, i].tolist()] for i in range(len(names))]
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))


def _of_dataset(data: Any) -> Iterator[dict[str, Any]]:
    words = {
        name: feature.int2str
        for name, feature in (data.features or {}).items()
        if hasattr(feature, "int2str")
    }
    rows: Iterable[Any] = data
    if hasattr(data, "with_format") and hasattr(data, "num_rows"):
        batches = data.with_format("arrow").iter(_BATCH)
        rows = (row for batch in batches for row in batch.to_pylist())
    for row in rows:
        for name, word in words.items():
            # -1 is how data sets of the hub say that there is no label.
            row[name] = None if row[name] in (None, -1) else word(row[name])
        yield row


def _of_splits(splits: Mapping[Any, Any]) -> Iterator[dict[str, Any]]:
    if not splits or not all(is_table(part) for part in splits.values()):
        raise CorpusError(
            f"{type(splits).__name__} received; expected data sets by split, e.g. a DatasetDict; "
            "one record goes into a list, columns into a frame"
        )
    for name, part in splits.items():
        split = _SPLIT_NAMES.get(str(name), str(name))
        if split not in SPLITS:
            raise CorpusError(
                f"split {shown(name)} received; expected some of: {', '.join(SPLITS)}"
            )
        for row in rows_of(part):
            if row.get("split") not in (None, split):
                raise CorpusError(
                    f"a row of split {shown(name)} has 'split' {shown(row['split'])}; drop that "
                    "column, or pass the rows as one data set"
                )
            yield {**row, "split": split}


def _plain(value: Any) -> Any:
    """A value as Python has it: no array, no scalar of numpy, None for what is missing."""
    if value is None or isinstance(value, (str, bool, int)):
        # Enumerations and numpy's strings are subclasses, and good as they are.
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    try:
        # NaN, NaT and pandas.NA are the values that differ from themselves or refuse to say.
        if value != value:
            return None
    except (TypeError, ValueError):
        return None
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value

"""Labelled corpora: the codebook's record with its annotation, splits by persona, targets.

A corpus is a file or folder of JSONL or Parquet, a data frame or a data set. Nobody who writes
under one persona is both trained on and tested on. Labels of texts that may not be passed on
stand in it without the text, see `intimacy.textless`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from intimacy import store
from intimacy.annotation import (
    SPLITS,
    AnnotatedThread,
    annotated_to_dict,
)
from intimacy.errors import CorpusError, IntimacyWarning, RecordError, shown
from intimacy.frames.columns import Reader, Row
from intimacy.frames.sources import is_table, rows_of, rows_of_parquet
from intimacy.shelf import Corpus, chosen
from intimacy.textless import SUFFIXES, joined_texts, parsed_record, readable
from intimacy.textless import TextlessLabel as TextlessLabel
from intimacy.textless import join_texts as join_texts
from intimacy.textless import text_hash as text_hash


def bundled_corpus() -> Path:
    """The authored corpus that comes with the library, in a wheel or in a checkout.

    Raises:
        CorpusError: When it is in neither place.
    """
    package = Path(__file__).resolve().parent
    places = (package / "data" / "threads", package.parents[1] / "data" / "threads")
    for place in places:
        if place.is_dir():
            return place
    raise CorpusError(
        f"the corpus is in neither {places[0]} nor {places[1]}; the installation is incomplete: "
        "reinstall intimacy, or pass the path of a corpus"
    )


def load_corpus(
    path: str | Path | Any | None = None,
    *,
    text_root: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    labels: Mapping[Any, str] | None = None,
    roles: Mapping[str, str] | None = None,
) -> list[AnnotatedThread]:
    """Labelled threads of a file or folder, a data frame, a data set, or of records.

    Rows are threads with their ``turns`` in them, as `intimacy.to_frame` makes them; comments
    with a text, one thread each; or, where a column tells the thread, turns: rows of one thread
    then repeat what holds for all of it. docs/formats.md has examples.

    Args:
        path: JSONL or Parquet file, or folder of such, read in order of name (``*.jsonl`` also
            as ``.gz`` and ``.xz``); a pandas or polars frame, an Arrow table, a
            ``datasets.Dataset``, a ``DatasetDict``, whose splits become ``split``; an iterable of
            records. None is the authored corpus that comes with the library.
        text_root: Folder with the texts that labels without text were given to, one
            ``<source>.jsonl`` (or ``.jsonl.xz``, ``.jsonl.gz``) a source, its lines with
            ``text`` or ``turns`` and maybe ``caption``. Without it such labels are left out.
        columns: Our field → column, e.g. ``{"text": "commento", "label": "etichetta"}``. Fields:
            those of the codebook's record, and those of `intimacy.read_export`. Usual names,
            Italian or English, are found without it. A column of authors is taken for
            pseudonyms, and only when it is named here.
        labels: Other words for labels, e.g. ``{"commerciale": "commercial"}``; a flag of the
            codebook may stand for a label too.
        roles: Other words for roles, e.g. ``{"influencer": "creator"}``.

    Warns:
        IntimacyWarning: When some texts are not in ``text_root``; says how many.

    Raises:
        SourceError: When nothing can be read there.
        RecordError: At a malformed record, with file, line (or row, from 1) and field.
        CorpusError: When there is no labelled thread, or no column holds the texts.
        MissingExtraError: When the file is Parquet and pyarrow is not installed.
    """
    source, without = _source(path), Counter[str]()
    found = read_corpus(source, reader=(columns, labels, roles))
    items = list(joined_texts(found, text_root, without))
    _complain(source, len(items), without, text_root)
    return items


def open_corpus(
    path: str | Path | Any | None = None,
    *,
    text_root: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    labels: Mapping[Any, str] | None = None,
    roles: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
) -> Corpus:
    """The threads of `load_corpus` as a sequence on disk, for corpora larger than memory.

    Takes, warns and raises what `load_corpus` does. What is read as it comes (JSONL, Parquet, data
    sets, records) is never whole in memory; rows of turns are, since those of one thread may stand
    anywhere.

    Args:
        path: As in `load_corpus`, and so are ``text_root``, ``columns``, ``labels``, ``roles``.
        text_root: See there.
        columns: See there.
        labels: See there.
        roles: See there.
        folder: Where the temporary file lies, see `intimacy.shelf.Corpus`.
    """
    source, without = _source(path), Counter[str]()
    found = read_corpus(source, reader=(columns, labels, roles))
    items = Corpus(joined_texts(found, text_root, without), Path(folder) if folder else None)
    _complain(source, len(items), without, text_root)
    return items


def _source(path: Any) -> Any:
    if path is None:
        return bundled_corpus()
    return Path(path) if isinstance(path, str) else path


def _name(source: Any) -> str:
    if isinstance(source, Path):
        return str(source)
    return "data frame" if is_table(source) else "records"


def _complain(source: Any, n: int, without: Counter[str], text_root: str | Path | None) -> None:
    whole = sum(without.values())
    found = ", ".join(f"{source}: {n}" for source, n in without.items())
    place = _name(source)
    if not n and not whole:
        raise CorpusError(
            f"{place} holds no records; expected JSONL or Parquet of labelled threads"
            if isinstance(source, Path)
            else f"{place}: no rows; expected labelled threads"
        )
    if not n:
        todo = (
            "pass text_root=, a folder that has them"
            if text_root is None
            else f"none of them is in {text_root}, which needs a <source>.jsonl for each"
        )
        raise CorpusError(f"{place} holds {whole} labels without their texts ({found}); {todo}")
    if whole and text_root is not None:
        warnings.warn(
            f"{whole} labelled texts are not in {text_root} ({found})",
            IntimacyWarning,
            stacklevel=3,
        )


def read_corpus(
    source: Any, *, reader: tuple[Any, ...] = (), errors: list[RecordError] | None = None
) -> Iterator[AnnotatedThread | TextlessLabel]:
    """Records of a corpus as they come, labels without text among them.

    Args:
        source: JSONL or Parquet file, folder of such, or anything else that `load_corpus` takes.
        reader: ``columns``, ``labels`` and ``roles`` of `load_corpus`.
        errors: Receives the malformed records; without it the first one is raised.

    Raises:
        SourceError: When nothing can be read there.
        RecordError: At a malformed record, with file, line and field.
        CorpusError: When no column holds the texts.
    """
    seen: dict[str, str] = {}
    for rows, table in _tables(source, errors):
        for place, line, record in Reader(*reader, table=table).records(rows):
            try:
                if isinstance(record, RecordError):
                    raise record
                parsed = parsed_record(record, path=place, line=line)
                name = str(record["id"])
                if name in seen:
                    raise RecordError(
                        f"'id' is {shown(name)}, as at {seen[name]}; ids must be unique",
                        path=place,
                        line=line,
                    )
            except RecordError as exc:
                if errors is None:
                    raise
                errors.append(exc)
                continue
            seen[name] = f"{getattr(place, 'name', place)}:{line}"
            yield parsed


def _tables(source: Any, errors: list[RecordError] | None) -> Iterator[tuple[Iterator[Row], bool]]:
    """Rows with where they are from, and whether nulls among them say that nothing is known."""
    if not isinstance(source, Path):
        yield _numbered(rows_of(source), _name(source)), is_table(source)
        return
    on_error: store.OnError = "stop" if errors is None else "skip"
    for file in corpus_files(source):
        if file.name.endswith(".parquet"):
            yield _numbered(rows_of_parquet(file), file), True
        else:
            yield store.read_jsonl(file, _line, on_error=on_error, skipped=errors), False


def _line(record: Mapping[str, Any], *, path: Path, line: int) -> Row:
    return path, line, record


def _numbered(rows: Iterable[Any], name: Path | str) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        if isinstance(row, AnnotatedThread):
            yield name, number, annotated_to_dict(row)
        elif isinstance(row, Mapping):
            yield name, number, row
        else:
            raise RecordError(
                f"{type(row).__name__} received; expected a record", path=name, line=number
            )


def corpus_files(place: Path) -> list[Path]:
    """The files a corpus is read from.

    Raises:
        SourceError: When the folder cannot be looked into.
    """
    with readable(place):
        if not place.is_dir():
            return [place]
        suffixes = (*SUFFIXES, ".parquet")
        return sorted(p for p in place.iterdir() if p.name.endswith(suffixes) and p.is_file())


# -- splits


def split(
    items: Sequence[AnnotatedThread], *, dev: float, test: float, seed: int
) -> dict[str, Sequence[AnnotatedThread]]:
    """The corpus' own splits, or a division of its personas where it states none.

    A persona falls into its part by a hash of its name and the seed, taking the persona with
    the lowest hash first until the part is full: adding records moves as few as possible.

    Args:
        items: The corpus.
        dev: Share of the threads for choosing and calibrating.
        test: Share of the threads for the final figures.
        seed: Changes which personas go where.

    Raises:
        CorpusError: When only some records state a split, or a part would stay empty.
    """
    # One pass, and places instead of threads: the corpus may be on disk.
    named = [(i.split, i.persona or i.thread.post.creator_id or "") for i in items]
    stated = sum(part is not None for part, _ in named)
    if 0 < stated < len(items):
        raise CorpusError(f"{stated} of {len(items)} records state a split; expected all or none")
    rows: dict[str, list[int]] = {name: [] for name in SPLITS}
    if stated:
        for row, (part, _) in enumerate(named):
            rows[str(part)].append(row)
    else:
        groups: dict[str, list[int]] = {}
        for row, (_, persona) in enumerate(named):
            groups.setdefault(persona, []).append(row)
        order = sorted(groups, key=lambda name: hashlib.sha256(f"{seed}{name}".encode()).digest())
        for name in order:
            if len(rows["test"]) < test * len(items):
                rows["test"] += groups[name]
            elif len(rows["dev"]) < dev * len(items):
                rows["dev"] += groups[name]
            else:
                rows["train"] += groups[name]
    parts = {name: chosen(items, members) for name, members in rows.items()}
    for name in ("train", "dev", "test"):
        if not parts[name]:
            raise CorpusError(
                f"the {name} part is empty: {len(items)} threads of too few personas; give "
                "'persona' (or creator_id) to the records, or 'split'"
            )
    return parts

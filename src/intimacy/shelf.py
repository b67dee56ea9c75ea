"""Labelled threads kept on disk: a sequence that may be larger than memory.

The threads lie in an unnamed temporary file, which nobody else can open and which is gone when
the last sequence on it is; only where each begins is in memory, sixteen bytes a thread.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from intimacy.annotation import AnnotatedThread
from intimacy.errors import SourceError

CHUNK = 8_192
"""Threads that are held in memory at a time where a corpus has more."""


class Corpus(Sequence[AnnotatedThread]):
    """Labelled threads on disk, each read when it is asked for.

    Args:
        items: The threads, read once and not kept in memory.
        folder: Where the temporary file is made; None is the system's place (``TMPDIR``), which
            must have room for about a kilobyte a thread.

    Raises:
        SourceError: When the file cannot be made or the disk is full.
    """

    def __init__(self, items: Iterable[AnnotatedThread], folder: Path | None = None) -> None:
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                self._file = _File(os.dup(file.fileno()))
                for item in items:
                    # Written and read here alone: nothing that a stranger could put there.
                    size = file.write(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
                    self._file.starts.append(self._file.starts[-1] + size)
        except OSError as exc:
            raise SourceError(
                f"the threads cannot be kept in {folder or tempfile.gettempdir()}: "
                f"{exc.strerror or exc}; TMPDIR names another place"
            ) from exc
        self._rows = array("Q", range(len(self._file.starts) - 1))

    def select(self, rows: Iterable[int]) -> Corpus:
        """Some of the threads, in the order given, on the same file."""
        out = object.__new__(Corpus)
        out._file = self._file
        out._rows = array("Q", (self._rows[row] for row in rows))
        return out

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> AnnotatedThread: ...
    @overload
    def __getitem__(self, index: slice) -> Corpus: ...
    def __getitem__(self, index: int | slice) -> AnnotatedThread | Corpus:
        if isinstance(index, slice):
            return self.select(range(*index.indices(len(self))))
        found: AnnotatedThread = pickle.loads(self._file.read(self._rows[index]))
        return found

    def __iter__(self) -> Iterator[AnnotatedThread]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Corpus({len(self)} threads on disk)"


class _File:
    """A file that all sequences on it share; the last one closes it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.starts = array("Q", [0])
        weakref.finalize(self, os.close, handle)

    def read(self, row: int) -> bytes:
        start, end = self.starts[row], self.starts[row + 1]
        return os.pread(self._handle, end - start, start)


def spread(items: Sequence[AnnotatedThread], most: int = CHUNK) -> Sequence[AnnotatedThread]:
    """The threads, or ``most`` of them from all over where there are more."""
    n = len(items)
    return items if n <= most else [items[i * n // most] for i in range(most)]


def chosen(items: Sequence[AnnotatedThread], rows: Sequence[int]) -> Sequence[AnnotatedThread]:
    """Those of some places, on disk where the others are."""
    return items.select(rows) if isinstance(items, Corpus) else [items[row] for row in rows]

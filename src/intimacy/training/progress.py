"""Progress of training runs: a bar on stderr, a line of JSON a measurement in a file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


class Progress:
    """A bar on stderr that also appends measurements to a JSONL file."""

    def __init__(
        self, name: str, *, total: int | None = None, unit: str = "step", log: Path | None = None
    ) -> None:
        self._bar = tqdm(total=total, desc=name, unit=unit, mininterval=1.0)
        self._log = None if log is None else log.open("a", encoding="utf-8")
        self._name = name
        self._started = time.monotonic()

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield ``items``, one tick each."""
        for item in items:
            self._bar.update()
            yield item

    def step(self, n: int = 1, **values: Any) -> None:
        """Advance the bar and show ``values`` beside it."""
        self._bar.update(n)
        if values:
            self._bar.set_postfix(values, refresh=False)

    def record(self, **values: Any) -> None:
        """Append one measurement to the log."""
        if self._log is not None:
            seconds = round(time.monotonic() - self._started, 1)
            line = {"phase": self._name, "seconds": seconds, **values}
            self._log.write(json.dumps(line) + "\n")
            self._log.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._log is not None:
            self._log.close()

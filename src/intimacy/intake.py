"""What may be given for a thread: records, pairs, dicts, a string. One rule for every caller."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from intimacy import store
from intimacy.annotation import AnnotatedThread
from intimacy.errors import IntimacyWarning, RecordError, ThreadError
from intimacy.schema import Role, Thread, Turn


def as_thread(item: Any, number: int = 0) -> Thread:
    """A thread out of any of the shapes that `classify_thread` takes.

    ``number`` becomes the id of those that have none.

    Raises:
        ThreadError: When it is none of them.
    """
    if isinstance(item, Thread):
        return item
    if isinstance(item, AnnotatedThread):
        return item.thread
    if isinstance(item, str):
        _warn_string()
        return Thread(id=str(number), turns=(Turn(role=Role.FOLLOWER, text=item),))
    if isinstance(item, Mapping):
        try:
            thread = store.thread_from_dict(item)
            return thread if item.get("id") not in (None, "") else replace(thread, id=str(number))
        except RecordError as exc:
            raise ThreadError(str(exc)) from exc
    if isinstance(item, (list, tuple)):
        return Thread(id=str(number), turns=tuple(_turn(turn, n) for n, turn in enumerate(item)))
    raise ThreadError(
        f"{type(item).__name__} received; expected a Thread, a list of (role, text), a list of "
        "{'role', 'text'}, or a record with 'turns'"
    )


def _turn(turn: Any, number: int) -> Turn:
    if isinstance(turn, Turn):
        return turn
    if isinstance(turn, (list, tuple)) and len(turn) == 2:
        return store.turn_from_dict({"role": turn[0], "text": turn[1]}, number)
    return store.turn_from_dict(turn, number)


def thread_or_error(item: Any, number: int) -> Thread | ThreadError:
    """The same, with the error in place of what is no thread."""
    try:
        return as_thread(item, number)
    except ThreadError as exc:
        return exc


_warned = False


def _warn_string() -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "a string is read as one follower's comment; pass [('follower', …), ('creator', …)] "
            "for a thread",
            IntimacyWarning,
            stacklevel=5,
        )

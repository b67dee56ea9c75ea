"""What a classifier is taught by: threads, their labels and weights, and who is held out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from intimacy.annotation import FLAGS, AnnotatedThread
from intimacy.errors import ConfigError, CorpusError, shown
from intimacy.intake import as_thread
from intimacy.schema import label_of


def as_list(X: Iterable[Any]) -> list[Any]:
    """The threads as a list; a frame or a text is no such thing."""
    if isinstance(X, (str, bytes, Mapping)) or hasattr(X, "columns"):
        raise ConfigError(
            f"X is a {type(X).__name__}; expected a list of threads. A frame of comments is read "
            "with intimacy.read_export"
        )
    return list(X)


def labelled(
    X: Iterable[Any], y: Iterable[Any] | None
) -> tuple[list[AnnotatedThread], list[Hashable]]:
    """Threads with their labels as targets, and the classes that were named."""
    given = as_list(X)
    if not given:
        raise CorpusError("X is empty; expected labelled threads")
    known = [item if isinstance(item, AnnotatedThread) else None for item in given]
    if y is None:
        if missing := sum(item is None for item in known):
            raise CorpusError(f"y is None, and {missing} threads bring no label; pass y")
        answers: list[Any] = [
            next(iter(i.flags), None) if i.label is None else dict(i.target) or str(i.label)
            for i in known
            if i is not None
        ]
    else:
        answers = list(y.tolist() if isinstance(y, np.ndarray) else y)
    if len(answers) != len(given):
        raise ConfigError(f"{len(given)} threads and {len(answers)} labels; expected one each")
    items, values = [], []
    for number, (thing, answer) in enumerate(zip(given, answers, strict=True)):
        target = _distribution(answer, number)
        values += [] if target is None else list(target)
        base = known[number] or AnnotatedThread(thread=as_thread(thing, number), label=None)
        kept = {k: v for k, v in base.attributes.items() if k != "flags"}
        if target is None:
            flagged = kept | {"flags": [answer]}
            items.append(replace(base, label=None, target={}, attributes=flagged))
            continue
        label = label_of(str(max(target, key=target.__getitem__)))
        shares = {str(k): v for k, v in target.items() if v}
        items.append(replace(base, label=label, target=shares, attributes=kept))
    return items, values


def _distribution(answer: Any, number: int) -> dict[Hashable, float] | None:
    """Shares of the classes that an answer gives; None for what is flagged."""
    if isinstance(answer, Mapping):
        numbers = all(isinstance(v, (int, float)) and v >= 0 for v in answer.values())
        whole = sum(answer.values()) if numbers else 0
        if not 0.99 <= whole <= 1.01:
            raise ConfigError(f"y[{number}] is no distribution; expected shares that sum to 1")
        return {k: v / whole for k, v in answer.items()}
    if answer is None or answer != answer:
        raise CorpusError(
            f"y[{number}] is {shown(answer)}; expected a label, or one of: {', '.join(FLAGS)}"
        )
    return None if answer in FLAGS else {answer: 1.0}


def classes_of(values: Sequence[Hashable]) -> npt.NDArray[Any]:
    """The classes named, sorted."""
    try:
        return np.array(sorted(set(values)))  # type: ignore[type-var]
    except TypeError as exc:
        raise ConfigError("y mixes numbers and words; expected labels of one kind") from exc


def weights_of(values: Iterable[float] | None, n: int) -> list[float] | None:
    """What each of ``n`` threads counts."""
    if values is None:
        return None
    found = [float(v) for v in values]
    if len(found) != n or not all(np.isfinite(v) and v >= 0 for v in found) or not sum(found):
        raise ConfigError(
            f"sample_weight has {len(found)} values for {n} threads; expected one each, finite, "
            "0 or more, not all 0"
        )
    return found


def groups_of(
    groups: Iterable[Hashable] | None, items: Sequence[AnnotatedThread]
) -> list[Hashable]:
    """Who is never split: as given, else the creators, else every thread by itself."""
    if groups is None:
        return [i.persona or i.thread.post.creator_id or f"#{n}" for n, i in enumerate(items)]
    found = list(groups)
    if len(found) != len(items):
        raise ConfigError(f"{len(items)} threads and {len(found)} groups; expected one each")
    return found


def held_out(
    items: Sequence[AnnotatedThread], groups: Sequence[Hashable], *, share: float, seed: int
) -> list[bool]:
    """Whether each thread is held out: groups in the order of a hash, until there are enough.

    A group is passed over where one of its labels would be left without a thread to learn from.
    """
    if not 0 < share < 1:
        raise ConfigError(f"calibration_share is {share}; expected a fraction between 0 and 1")
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    left = Counter(str(item.label) for item in items)
    held = [False] * len(items)
    order = sorted(members, key=lambda g: hashlib.sha256(f"{seed}{g}".encode()).digest())
    for group in order:
        if sum(held) >= share * len(items):
            break
        rows = members[group]
        taken = Counter(str(items[row].label) for row in rows)
        if all(left[name] > n for name, n in taken.items()):
            left -= taken
            for row in rows:
                held[row] = True
    if not any(out and items[row].label is not None for row, out in enumerate(held)):
        raise CorpusError(
            f"{len(items)} threads of {len(members)} creators leave nothing to calibrate on; "
            "expected labelled threads of at least 2 creators (groups=), each label with 2 of them"
        )
    return held

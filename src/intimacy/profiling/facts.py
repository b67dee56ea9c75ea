"""What each thread brings to a profile, as rows of numbers: tables that add up exactly.

A tally holds one row a thread and one row a turn, without any text. Merging puts rows together;
they are brought into one order before anything is computed, so that a profile over shards, months
or machines is the profile over all, to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from intimacy import cues, disclosure, prevalence
from intimacy.annotation import VALUES
from intimacy.errors import ThreadError
from intimacy.prediction import Prediction, Signs
from intimacy.schema import Label, Reason, Role

UNKNOWN = -(2**62)
"""Stands for a time that is not known."""
MATURE = 72 * 3600
"""Seconds after which a comment that has no answer is unlikely to get one."""

_LABELS = tuple(str(label) for label in Label)
_REASONS = tuple(str(reason) for reason in Reason)
_ROLES = (Role.FOLLOWER, Role.CREATOR, Role.STAFF)
_OUT = frozenset({Reason.OUT_OF_SCOPE, Reason.NOT_ITALIAN})
_FLUSH = 4_096

Bools = npt.NDArray[np.bool_]
Table = npt.NDArray[np.void]


def _thread_type() -> np.dtype[np.void]:
    return np.dtype(
        [
            *((name, "i8") for name in ("id", "post", "author", "root", "published", "reply")),
            *((name, "i1") for name in ("label", "reason", "opened_by", "tier", "placed")),
            *((head, "i1") for head in VALUES),
            *((name, "u2") for name in ("n_turns", "n_creator", "n_staff", "n_follower")),
            *((name, "?") for name in ("in_scope", "incomplete", "truncated", "estimated")),
            *((name, "?") for name in ("signed", "captioned")),
            *((name, "u4") for name in ("letters", "words", "sentences")),
            ("scores", "u1", (len(_LABELS),)),
            ("cues", "u1", (len(cues.lexicon().names),)),
        ]
    )


_TURN = np.dtype(
    [*((name, "i8") for name in ("thread", "post", "author", "time", "template")), ("role", "i1")]
)
_BRAND = np.dtype([("post", "i8"), ("brand", "i8")])


@dataclass(slots=True)
class Tally:
    """Rows of predictions. `add` and `merge` commute and associate."""

    creators: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    _threads: list[Table] = field(default_factory=list)
    _turns: list[Table] = field(default_factory=list)
    _brands: list[Table] = field(default_factory=list)
    _pending: tuple[list[Any], list[Any], list[Any]] = field(
        default_factory=lambda: ([], [], []), repr=False
    )

    def add(self, prediction: Prediction) -> None:
        """Count one prediction."""
        if prediction.creator_id is not None:
            self.creators.add(prediction.creator_id)
        if prediction.model_id is not None:
            self.models.add(prediction.model_id)
        threads, turns, brands = self._pending
        row = _thread_row(prediction)
        threads.append(row)
        turns.extend(_turn_rows(prediction, row[0], row[1]))
        signs = prediction.structure.signs
        if signs is not None and signs.disclosure is not None and row[1]:
            brands.extend((row[1], cues.key(brand)) for brand in signs.disclosure.brands)
        if len(threads) >= _FLUSH:
            self._flush()

    def merge(self, other: Tally) -> Tally:
        """The tally of both; neither is changed but for how it keeps its rows."""
        self._flush()
        other._flush()
        return Tally(
            creators=self.creators | other.creators,
            models=self.models | other.models,
            _threads=self._threads + other._threads,
            _turns=self._turns + other._turns,
            _brands=self._brands + other._brands,
        )

    def _flush(self) -> None:
        kinds = (_thread_type(), _TURN, _BRAND)
        kept = (self._threads, self._turns, self._brands)
        for rows, kind, tables in zip(self._pending, kinds, kept, strict=True):
            if rows:
                tables.append(np.array(rows, dtype=kind))
                rows.clear()

    def facts(self) -> Facts:
        """All rows, in an order that does not depend on how they came."""
        self._flush()
        threads = _ordered(self._threads, _thread_type(), ("root", "author", "post", "id"))
        turns = _ordered(self._turns, _TURN, ("role", "author", "time", "thread"))
        brands = _ordered(self._brands, _BRAND, ("brand", "post"))
        return Facts(threads, turns, np.unique(brands))


def tally(predictions: Iterable[Prediction]) -> Tally:
    """The tally of predictions."""
    out = Tally()
    for prediction in predictions:
        out.add(prediction)
    return out


@dataclass(frozen=True)
class Facts:
    """The rows of a tally, with the questions that measures ask of them."""

    threads: Table
    turns: Table
    brands: Table
    audience: tuple[tuple[int, float], ...] = ()
    """Seconds since 1970 and the creator's followers then, in order of time."""
    collected: int = UNKNOWN
    """The last time in the export that these rows are of; `UNKNOWN`: in these rows."""

    def where(self, chosen: Bools) -> Facts:
        """The facts of some of the threads."""
        threads, left = self.threads[chosen], self.threads[~chosen]
        # Of threads that share an id the turns cannot be told apart: they leave with any of them.
        of_both = np.isin(self.turns["thread"], left["id"])
        return Facts(
            threads,
            self.turns[np.isin(self.turns["thread"], threads["id"]) & ~of_both],
            self.brands[np.isin(self.brands["post"], threads["post"])],
            self.audience,
            self.collected,
        )

    @property
    def n(self) -> int:
        """Number of threads."""
        return len(self.threads)

    @cached_property
    def signed(self) -> bool:
        """Whether the signs in the text are known of every thread."""
        return bool(self.threads["signed"].all())

    @cached_property
    def in_scope(self) -> Bools:
        """Threads that the model took to be in scope."""
        return np.asarray(self.threads["in_scope"], dtype=bool)

    @cached_property
    def last(self) -> int:
        """The latest time that is known; `UNKNOWN` without any."""
        if self.collected != UNKNOWN:
            return self.collected
        times = self.turns["time"][self.turns["time"] != UNKNOWN]
        return int(times.max()) if len(times) else UNKNOWN

    @cached_property
    def eligible(self) -> Bools:
        """Threads that a follower opened, in scope."""
        return np.asarray(self.in_scope & (self.threads["opened_by"] == 0), dtype=bool)

    @cached_property
    def mature(self) -> Bools:
        """Eligible threads old enough to have been answered, by the last time that is known.

        All eligible ones where times are unknown, or where most are that young.
        """
        root = self.threads["root"]
        old = self.eligible & ((root == UNKNOWN) | (self.last - root >= MATURE))
        return old if old.sum() >= 0.5 * self.eligible.sum() else self.eligible

    @cached_property
    def n_young(self) -> int:
        """Eligible threads that are too young to tell whether they will be answered."""
        root = self.threads["root"]
        young = self.eligible & (root != UNKNOWN) & (self.last - root < MATURE)
        return int(young.sum())

    @cached_property
    def answered(self) -> Bools:
        """Threads in which the creator speaks."""
        return np.asarray(self.threads["n_creator"] > 0)

    def said(self, head: str, *values: Any) -> Bools:
        """Threads in scope of which the model says one of these values."""
        wanted = [VALUES[head].index(value) for value in values]
        return np.asarray(self.in_scope & np.isin(self.threads[head], wanted), dtype=bool)

    def labelled(self, label: Label) -> Bools:
        """Threads that the model gave this label."""
        return np.asarray(self.threads["label"] == _LABELS.index(str(label)))

    def abstained(self, reason: Reason) -> Bools:
        """Threads without a label for this reason."""
        return np.asarray(self.threads["reason"] == _REASONS.index(str(reason)))

    def cue(self, *names: str) -> Bools:
        """Threads that show one of these cues."""
        columns = [cues.lexicon().names.index(name) for name in names]
        return np.asarray(self.threads["cues"][:, columns].any(1))

    @cached_property
    def posts(self) -> Table:
        """One row a post that is known, with a caption: the first of its threads."""
        captioned = self.threads[(self.threads["words"] > 0) & (self.threads["post"] != 0)]
        _, first = np.unique(captioned["post"], return_index=True)
        posts: Table = captioned[np.sort(first)]
        return posts


def _ordered(tables: list[Table], kind: np.dtype[np.void], keys: tuple[str, ...]) -> Table:
    whole = np.concatenate(tables) if tables else np.empty(0, dtype=kind)
    return whole[np.lexsort([whole[key] for key in keys])]


def _thread_row(prediction: Prediction) -> tuple[Any, ...]:
    shape = prediction.structure
    roles, times = shape.roles, [seconds(t) for t in shape.created_at]
    in_scope = bool(prediction.scores) and prediction.reason not in _OUT
    post = 0
    if prediction.post_id is not None:
        post = cues.key(f"{prediction.creator_id}\n{prediction.post_id}")
    if prediction.scores and set(prediction.scores) != set(_LABELS):
        raise ThreadError(
            f"a prediction has scores of {', '.join(prediction.scores)}; profiles are defined for "
            f"the codebook's {', '.join(_LABELS)}"
        )
    author = shape.author_ids[0] if shape.author_ids else None
    signs = shape.signs or Signs()
    said, found = signs.disclosure, signs.cues
    letters, words, sentences = signs.readability or (0, 0, 0)
    return (
        cues.key(f"{prediction.creator_id}\n{prediction.post_id}\n{prediction.thread_id}"),
        post,
        0 if author is None else cues.key(author),
        times[0] if times else UNKNOWN,
        seconds(shape.published_at),
        _latency(roles, times),
        -1 if prediction.label is None else _LABELS.index(str(prediction.label)),
        -1 if prediction.reason is None else _REASONS.index(str(prediction.reason)),
        _ROLES.index(roles[0]) if roles else -1,
        -1 if said is None else disclosure.TIERS.index(said.tier),
        -1 if said is None or said.in_position is None else int(said.in_position),
        *(
            values.index(value) if (value := prediction.attributes.get(head)) in values else -1
            for head, values in VALUES.items()
        ),
        len(roles),
        *(
            sum(role is which for role in roles)
            for which in (Role.CREATOR, Role.STAFF, Role.FOLLOWER)
        ),
        in_scope,
        shape.complete is False,
        prediction.truncated,
        shape.created_at_is_estimate,
        shape.signs is not None or not roles,  # what is no thread has no text
        shape.has_caption,
        letters,
        max(words, int(said is not None)),  # a caption without words still is one
        sentences,
        prevalence.cell(prediction.scores, _LABELS) if in_scope else (0,) * len(_LABELS),
        tuple(min(found.get(name, 0), 255) for name in cues.lexicon().names),
    )


def _latency(roles: tuple[Role, ...], times: list[int]) -> int:
    """Seconds from the first turn to the creator's first after it; `UNKNOWN` without one."""
    later = [
        time - times[0]
        for role, time in zip(roles[1:], times[1:], strict=False)
        if role is Role.CREATOR and UNKNOWN not in (time, times[0])
    ]
    return max(0, min(later)) if later else UNKNOWN


def _turn_rows(prediction: Prediction, thread: int, post: int) -> Iterable[tuple[Any, ...]]:
    shape = prediction.structure
    n = len(shape.roles)
    authors = shape.author_ids or (None,) * n
    times = shape.created_at or (None,) * n
    templates = (shape.signs.templates if shape.signs else ()) or (None,) * n
    for role, author, time, same in zip(shape.roles, authors, times, templates, strict=True):
        yield (
            thread,
            post,
            0 if author is None else cues.key(author),
            seconds(time),
            -1 if same is None else same,
            _ROLES.index(role),
        )


_PLAUSIBLE = (631_152_000, 4_102_444_800)
"""1990 to 2100: a date beyond stands for none, and would stretch every window."""


def seconds(time: datetime | None) -> int:
    """Seconds since 1970, without a zone in UTC; `UNKNOWN` for None and for what cannot be."""
    if time is None:
        return UNKNOWN
    try:
        found = int((time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp())
    except (OverflowError, ValueError):
        return UNKNOWN
    return found if _PLAUSIBLE[0] <= found <= _PLAUSIBLE[1] else UNKNOWN


def moment(time: int) -> datetime | None:
    """The time of so many seconds since 1970."""
    return None if time == UNKNOWN else datetime.fromtimestamp(time, tz=timezone.utc)

"""What every annotation tool shares: a task, an answer, the words an annotator chooses from.

A task carries its thread as the codebook's record, so that what a tool gives back is the same
thread to the last line break. Where a tool shows only text, a thread is written as lines that
begin with a role; that text is for reading and never read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from intimacy import store
from intimacy.annotation import FLAGS, VALUES
from intimacy.errors import RecordError, ThreadError, shown
from intimacy.importers.document import Document, decode
from intimacy.prediction import Prediction
from intimacy.schema import Label, Reason, Role, Thread

UNSURE = "unsure"
"""What an annotator answers who cannot decide; no vote."""

CHOICES: Mapping[str, str] = {
    **{str(label): label.italian for label in Label},
    "out_of_scope": "fuori ambito",
    "not_italian": "non in italiano",
    UNSURE: "non so",
}
"""What an annotator chooses from → how it is called in Italian."""

QUESTION = "intimacy"
"""Name of the one question that every tool asks."""
SECONDARY = "secondary"
EVIDENCE = "evidence"
CAPTION_NAME = "CAPTION"
"""Who speaks the caption, where it stands before the turns."""

_TRUE, _FALSE = ("true", "vero", "yes", "sì", "si", "1"), ("false", "falso", "no", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """How a thread came to be labelled."""

    by: str
    """One of `intimacy.labelling.selection.STRATEGIES`."""
    probability: float | None = None
    """That the draw took the thread; None where chance did not decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A thread to be annotated, and what the annotator is shown beside it."""

    thread: Thread
    prediction: Prediction | None = None
    """The model's, shown as a suggestion; None leaves the annotator alone with the thread."""
    attributes: bool = False
    """Whether the attributes of the codebook's section 5 are asked for as well."""
    adjudicates: bool = False
    """Whether others have differed about the thread, so that this answer decides."""
    chosen: Chosen | None = None
    """None where it was not chosen among others."""

    @property
    def suggestion(self) -> str | None:
        """The choice that the model makes; None where it makes none."""
        if self.prediction is None:
            return None
        if self.prediction.label is not None:
            return str(self.prediction.label)
        reason = self.prediction.reason
        return str(reason) if reason in (Reason.OUT_OF_SCOPE, Reason.NOT_ITALIAN) else None

    @property
    def score(self) -> float | None:
        """How sure the model is of its label; None beside a flag."""
        label = None if self.prediction is None else self.prediction.label
        if self.prediction is None or label is None:
            return None
        found = self.prediction.scores.get(str(label))
        return None if found is None else round(found, 4)

    @property
    def agent(self) -> str:
        """Which model it is."""
        return (self.prediction and self.prediction.model_id) or "intimacy"

    def suggested_attributes(self) -> dict[str, str]:
        """The model's attributes as words; empty where they are not asked for."""
        if not self.attributes or self.prediction is None or self.suggestion in FLAGS:
            return {}
        found = self.prediction.attributes
        return {name: word_of(found[name]) for name in VALUES if found.get(name) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one annotator said of one thread, whichever tool it was said in."""

    thread_id: str | None
    annotator: str | None = None
    """As the tool names them; None when it does not."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """``label``, ``secondary``, ``flags``, attributes and ``evidence``; empty when excluded."""
    excluded: str | None = None
    """Why this is no vote, e.g. ``draft``; None for one that counts."""
    dropped: tuple[str, ...] = ()
    """Parts of a vote that counts which were left out, and why."""
    adjudicates: bool = False
    given_at: datetime | None = None
    chosen: Chosen | None = None
    bare: bool = False
    """Whether nothing that the task carried came back, so that nobody knows how it was chosen."""
    thread: Thread | None = field(default=None, repr=False)
    """The thread, where the tool gave it back."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands, for messages."""

    path: Path | str | None
    line: int | None = None
    number: int | None = None
    """Of the record, where several stand on one line."""

    def refuse(self, message: str) -> RecordError:
        """The error of a record that is malformed."""
        where = "" if self.line or self.number is None else f"record {self.number}: "
        return RecordError(f"{where}{message}", path=self.path, line=self.line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One annotation tool: how tasks are written for it, and how its answers are read."""

    name: str
    shape: str
    """``array`` (one JSON document), ``lines`` (JSONL) or ``table`` (CSV)."""
    task: Callable[[Task], dict[str, Any]]
    matches: Callable[[Document], bool]
    read: Callable[[Document, str | None], Iterator[Answer]]
    """Answers of a document; with it comes the annotator that its file is named after, if any."""
    config: Callable[[bool], str] | None = None
    """Settings of a project in the tool, with or without the attributes."""
    asks_more: bool = True
    """Whether it can ask for a secondary label and the attributes."""


# -- answers


def answer(
    chosen: Sequence[Any],
    place: Place,
    *,
    field_name: str = QUESTION,
    secondary: Any = None,
    attributes: Mapping[str, Any] | None = None,
    evidence: Sequence[Mapping[str, int]] = (),
) -> dict[str, Any]:
    """An annotator's choices as the fields ``given``, ``excluded`` and ``dropped`` of an `Answer`.

    Args:
        chosen: Words of `CHOICES`; none of them is no answer.
        place: Of the record, for messages.
        field_name: What the tool calls the question, for messages.
        secondary: A label, or nothing.
        attributes: Words or values by attribute; empty ones were not answered.
        evidence: Spans, each with ``turn``, ``start`` and ``end``.

    Raises:
        RecordError: At a word that the codebook does not know.
    """
    words = [_choice(word, field_name, CHOICES, place) for word in chosen if not _empty(word)]
    labels = [word for word in words if word in tuple(Label)]
    flags = [word for word in words if word in FLAGS]
    if not words:
        return {"excluded": "empty"}
    if UNSURE in words:
        return {"excluded": UNSURE}
    if len(labels) > 1 or (labels and flags):
        return {"excluded": "several labels"}
    label = labels[0] if labels else None
    second = None if _empty(secondary) else _choice(secondary, SECONDARY, tuple(Label), place)
    dropped = []
    if second is not None and (label is None or second == label):
        dropped.append("secondary beside a flag" if label is None else "secondary that repeats")
        second = None
    given: dict[str, Any] = {"label": label, "secondary": second}
    for name, value in (attributes or {}).items():
        if not _empty(value):
            given[name] = _value(name, value, place)
    given["flags"] = flags
    if evidence:
        given["evidence"] = [dict(span) for span in evidence]
    return {"given": given, "dropped": tuple(dropped)}


def _empty(value: Any) -> bool:
    return not value.strip() if isinstance(value, str) else value is None or value == []


def _choice(word: Any, name: str, known: Any, place: Place) -> str:
    said = word.strip().lower() if isinstance(word, str) else word
    if not isinstance(said, str) or said not in known:
        raise place.refuse(f"{name!r} has {shown(word)}; expected one of: {', '.join(known)}")
    return said


def _value(name: str, word: Any, place: Place) -> Any:
    """A value of the codebook out of a tool's word for it."""
    values = VALUES[name]
    said = str(word).strip().lower()
    if isinstance(values[0], bool):
        if said in _TRUE + _FALSE:
            return said in _TRUE
    elif said in (known := {str(value): value for value in values}):
        return known[said]
    raise place.refuse(
        f"{name!r} has {shown(word)}; expected one of: {', '.join(map(word_of, values))}"
    )


def word_of(value: Any) -> str:
    """A value of the codebook as tools show it."""
    return str(value).lower()


# -- threads


def lines_of(thread: Thread) -> list[tuple[str, str]]:
    """Who speaks and what they say, the caption first."""
    said = [(str(turn.role).upper(), turn.text) for turn in thread.turns]
    return [(CAPTION_NAME, thread.post.text), *said] if thread.post.text else said


def text_of(thread: Thread) -> str:
    """A thread as lines to read, each turn behind its role.

    Further lines of a turn are moved in: a comment that writes ``[CREATOR]`` at the beginning
    of a line would else look like an answer of the creator.
    """
    return "\n".join(
        f"[{name}] " + "\n    ".join(text.splitlines()) for name, text in lines_of(thread)
    )


def from_dialogue(identity: str, lines: Any, names: tuple[str, str], place: Place) -> Thread | None:
    """A thread out of a tool's own dialogue; None where it has none.

    Args:
        identity: Id of the thread.
        lines: What the tool holds, a list of objects.
        names: Keys of who speaks and of what is said.
        place: For messages.

    Raises:
        RecordError: When a line is no such object, or names a role that does not exist.
    """
    if isinstance(lines, str) and lines.startswith("["):  # in a table it is a text
        lines = decoded(lines, "dialogue", place)
    if not isinstance(lines, list) or not lines:
        return None
    who, what = names
    turns, caption = [], None
    for number, line in enumerate(lines):
        if not isinstance(line, Mapping) or not {who, what} <= set(line):
            raise place.refuse(f"line {number} of the dialogue has not {who!r} and {what!r}")
        name, text = str(line[who]), line[what]
        if name.upper() == CAPTION_NAME and number == 0:
            caption = text
        else:
            turns.append({"role": ROLES.get(name.lower(), name), "text": text})
    try:
        return store.thread_from_dict({"id": identity, "caption": caption, "turns": turns})
    except (RecordError, ThreadError) as exc:
        raise place.refuse(f"in the dialogue, {exc}") from exc


ROLES = {"user": str(Role.FOLLOWER), "assistant": str(Role.CREATOR)}
"""Roles by the names that chat formats have for them."""


# -- documents


def decoded(text: str, name: str, place: Place) -> Any:
    """The JSON that a field of text holds.

    Raises:
        RecordError: When it is none, e.g. because a spreadsheet cut it.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as exc:
        raise place.refuse(
            f"{name!r} is not JSON ({exc}); spreadsheets cut long cells: leave it out and pass "
            "threads= (--threads), where the threads are"
        ) from exc


def records(document: Document) -> Iterator[tuple[dict[str, Any], Place]]:
    """Records of a document, each with its place.

    Raises:
        RecordError: At one that is not an object.
    """
    if document.kind == "object":
        yield {key: document.value(key) for key in document.fields}, Place(document.path, 1)
        return
    for number, item in enumerate(document.items):
        line = document.lines[number] if document.lines else None
        place = Place(document.path, line, number + 1)
        value = item if isinstance(item, dict) else decode(item)
        if not isinstance(value, dict):
            raise place.refuse(f"{type(value).__name__} received; expected an object")
        yield value, place


def mapping_of(record: Mapping[str, Any], name: str, place: Place) -> Mapping[str, Any]:
    """An object field of a record; an empty one where it is missing or null.

    Raises:
        RecordError: When something else stands there.
    """
    value = record.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise place.refuse(f"{name!r} is {shown(value)}; expected an object")
    return value


def list_of(record: Mapping[str, Any], name: str, place: Place) -> list[Any]:
    """A list field of a record; an empty one where it is missing or null.

    Raises:
        RecordError: When something else stands there.
    """
    value = record.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise place.refuse(f"{name!r} is {shown(value)}; expected a list")
    return value

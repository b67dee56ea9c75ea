"""Argilla 2: records to log, settings of a dataset, and what ``to_list(flatten=True)`` gives."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from intimacy import store
from intimacy.annotation import VALUES
from intimacy.errors import IntimacyWarning, shown
from intimacy.importers.document import Document
from intimacy.labelling.base import (
    CHOICES,
    QUESTION,
    SECONDARY,
    Answer,
    Place,
    Task,
    Tool,
    answer,
    from_dialogue,
    list_of,
    mapping_of,
    records,
    word_of,
)
from intimacy.labelling.carried import came_back, carried
from intimacy.schema import Label, Role, Thread

_SAYS = {Role.FOLLOWER: "user", Role.CREATOR: "assistant", Role.STAFF: "assistant"}
_PREFIXES = {f"[{str(role).upper()}] ": str(role) for role in Role}
_DIALOGUE = "thread"
_FEW = 2


def config(attributes: bool) -> str:
    """Settings of a dataset, for ``argilla.Settings.from_json``."""
    questions = [
        _question(QUESTION, "Su che cosa si regge la relazione in questo thread?", CHOICES, True),
        _question(
            SECONDARY,
            "Un'altra etichetta che si potrebbe difendere (facoltativa)",
            {str(label): label.italian for label in Label},
            False,
        ),
    ]
    if attributes:
        questions += [
            _question(name, name, {word_of(v): word_of(v) for v in values}, False)
            for name, values in VALUES.items()
        ]
    settings = {
        "guidelines": None,
        "allow_extra_metadata": True,
        "fields": [
            _field("caption", "Didascalia del post", "text", required=False),
            _field(_DIALOGUE, "Thread", "chat", required=True),
        ],
        "questions": questions,
        "metadata": [],
        "vectors": [],
    }
    return json.dumps(settings, ensure_ascii=False, indent=2) + "\n"


def _field(name: str, title: str, kind: str, *, required: bool) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "required": required,
        "settings": {"type": kind, "use_markdown": False},
    }


def _question(name: str, title: str, choices: Mapping[str, str], required: bool) -> dict[str, Any]:
    options = [
        {"value": word, "text": shown, "description": None} for word, shown in choices.items()
    ]
    return {
        "name": name,
        "title": title,
        "description": None,
        "required": required,
        "settings": {
            "type": "label_selection",
            "options": options,
            # Argilla refuses fewer than three.
            "visible_options": len(options) if len(options) > _FEW else None,
        },
    }


def _task(task: Task) -> dict[str, Any]:
    thread = task.thread
    fields: dict[str, Any] = {
        _DIALOGUE: [
            {"role": _SAYS[turn.role], "content": f"[{str(turn.role).upper()}] {turn.text}"}
            for turn in thread.turns
        ]
    }
    if thread.post.text:
        fields["caption"] = thread.post.text
    metadata = {"thread_id": thread.id, **carried(task)}
    suggestions: dict[str, Any] = {}
    if task.suggestion is not None:
        for name, word in {QUESTION: task.suggestion, **task.suggested_attributes()}.items():
            score = task.score if name == QUESTION else None
            suggestions[name] = {"value": word, "score": score, "agent": task.agent}
    return {
        "id": thread.id,
        "fields": fields,
        "metadata": metadata,
        "suggestions": suggestions,
        "responses": {},
        "vectors": {},
    }


# -- in


def _matches(document: Document) -> bool:
    keys = document.keys
    if document.kind == "table":
        return False
    flat = any(key.endswith((".responses", ".suggestion")) for key in keys)
    return flat or {"fields", "responses"} <= keys or "_server_id" in keys


def _read(document: Document, named: str | None) -> Iterator[Answer]:
    nested = {"fields", "responses"} <= document.keys
    warned = False
    for record, place in records(document):
        if nested and not warned and record.get("responses"):
            warned = True
            warnings.warn(
                f"{document.name}: Argilla's nested form does not say which answers are drafts or "
                "discarded, so that all are read as votes; export with "
                "records.to_list(flatten=True)",
                IntimacyWarning,
                stacklevel=5,  # whoever called read_annotations
            )
        yield from _answers(record, nested, place)


def _answers(record: Mapping[str, Any], nested: bool, place: Place) -> Iterator[Answer]:
    if nested:
        known = {**mapping_of(record, "fields", place), **mapping_of(record, "metadata", place)}
        columns = {
            question: _nested(list_of(mapping_of(record, "responses", place), question, place))
            for question in mapping_of(record, "responses", place)
        }
    else:
        known = dict(record)
        names = [key.removesuffix(".responses") for key in record if key.endswith(".responses")]
        columns = {name: _flat(record, f"{name}.responses", place) for name in names}
    common = came_back(known, known.get("thread_id") or record.get("id"), place)
    if common["thread"] is None and common["thread_id"] is not None:
        common["thread"] = _rebuilt(common["thread_id"], known, place)
    by_user: dict[str | None, dict[str, tuple[Any, Any]]] = {}
    for question, rows in columns.items():
        for user, value, status in rows:
            by_user.setdefault(user, {})[question] = (value, status)
    if not by_user:
        yield Answer(**common, excluded="not annotated")
    for user, given in by_user.items():
        statuses = {str(status) for _, status in given.values() if status is not None}
        # One response of Argilla holds all questions, so one status is that of all.
        if not nested and statuses != {"submitted"}:
            said = min(statuses - {"submitted"}, default="draft")
            yield Answer(**common, annotator=user, excluded=said)
            continue
        words = {question: value for question, (value, _) in given.items()}
        yield Answer(
            **common,
            annotator=user,
            **answer(
                [words.get(QUESTION)],
                place,
                secondary=words.get(SECONDARY),
                attributes={name: words.get(name) for name in VALUES},
            ),
        )


_Row = tuple[str | None, Any, Any]


def _nested(rows: Sequence[Any]) -> list[_Row]:
    return [
        (store.word_or_none(row.get("user_id")), row.get("value"), None)
        for row in rows
        if isinstance(row, Mapping)
    ]


def _flat(record: Mapping[str, Any], name: str, place: Place) -> list[_Row]:
    values = list_of(record, name, place)
    users, statuses = (list_of(record, f"{name}.{part}", place) for part in ("users", "status"))
    if not len(values) == len(users) == len(statuses):
        raise place.refuse(
            f"{name!r} has {len(values)} values, {len(users)} users and {len(statuses)} statuses; "
            "expected as many of each"
        )
    return [
        (store.word_or_none(user), value, status)
        for user, value, status in zip(users, values, statuses, strict=True)
    ]


def _rebuilt(identity: str, known: Mapping[str, Any], place: Place) -> Thread | None:
    """The thread out of the chat that was shown, without what a chat does not hold."""
    chat = known.get(_DIALOGUE)
    if not isinstance(chat, list):
        return None
    lines: list[Any] = []
    if known.get("caption"):
        lines.append({"role": "caption", "content": known["caption"]})
    for message in chat:
        if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
            raise place.refuse(f"{_DIALOGUE!r} holds {shown(message)}; expected role and content")
        text, role = message["content"], message.get("role")
        for prefix, named in _PREFIXES.items():
            if text.startswith(prefix):
                text, role = text.removeprefix(prefix), named
                break
        lines.append({"role": role, "content": text})
    return from_dialogue(identity, lines, ("role", "content"), place)


TOOL = Tool(name="argilla", shape="array", task=_task, matches=_matches, read=_read, config=config)

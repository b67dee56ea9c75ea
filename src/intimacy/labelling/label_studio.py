"""Label Studio: tasks with a dialogue, and its exports JSON, JSON-MIN and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from intimacy import store
from intimacy.annotation import VALUES
from intimacy.errors import shown
from intimacy.importers.document import Document
from intimacy.labelling import spans
from intimacy.labelling.base import (
    CAPTION_NAME,
    EVIDENCE,
    QUESTION,
    SECONDARY,
    Answer,
    Place,
    Task,
    Tool,
    answer,
    decoded,
    from_dialogue,
    lines_of,
    list_of,
    mapping_of,
    records,
    word_of,
)
from intimacy.labelling.carried import came_back, carried
from intimacy.prediction import CAPTION
from intimacy.schema import Thread

_SHOWN = "thread"
"""Name of the dialogue in the labelling configuration."""
_FLAT = {"annotation_id", "annotator", "lead_time"}


def config(attributes: bool) -> str:
    """The labelling configuration, XML; with a choice for each attribute where they are asked."""
    place = resources.files("intimacy") / "resources" / "label_studio.xml"
    base = place.read_text("utf-8")
    if not attributes:
        return base
    lines = []
    for name, values in VALUES.items():
        lines.append(f'  <Header value="{escape(name)}" size="6"/>')
        lines.append(f'  <Choices name="{name}" toName="{_SHOWN}" choice="single-radio">')
        lines += [f'    <Choice value="{escape(word_of(value))}"/>' for value in values]
        lines.append("  </Choices>")
    return base.replace("</View>", "\n".join([*lines, "</View>"]))


# -- out


def _task(task: Task) -> dict[str, Any]:
    data: dict[str, Any] = {
        "thread_id": task.thread.id,
        "dialogue": [{"author": name, "text": text} for name, text in lines_of(task.thread)],
        **carried(task),
    }
    out: dict[str, Any] = {"data": data}
    if task.suggestion is not None:
        chosen = {QUESTION: task.suggestion, **task.suggested_attributes()}
        result = [
            _result(name, "choices", {"choices": [word]}, name) for name, word in chosen.items()
        ]
        result += _evidence(task)
        guess: dict[str, Any] = {"model_version": task.agent, "result": result}
        if task.score is not None:
            guess["score"] = task.score
        out["predictions"] = [guess]
    return out


def _result(name: str, kind: str, value: dict[str, Any], identity: str) -> dict[str, Any]:
    return {"id": identity, "from_name": name, "to_name": _SHOWN, "type": kind, "value": value}


def _evidence(task: Task) -> list[dict[str, Any]]:
    lines = lines_of(task.thread)
    captioned = lines[:1] and lines[0][0] == CAPTION_NAME
    out = []
    for number, span in enumerate(task.prediction.evidence if task.prediction else ()):
        line = span.turn + 1 if captioned else span.turn
        if not 0 <= line < len(lines):  # of the thread before it was edited
            continue
        text = lines[line][1]
        value = {
            "start": str(line),
            "end": str(line),
            "startOffset": spans.to_utf16(text, span.start),
            "endOffset": spans.to_utf16(text, span.end),
            "text": text[span.start : span.end],
            "paragraphlabels": [EVIDENCE],
        }
        out.append(_result(EVIDENCE, "paragraphlabels", value, f"{EVIDENCE}-{number}"))
    return out


# -- in


def _matches(document: Document) -> bool:
    keys = document.keys
    if keys >= _FLAT:
        return True
    return "data" in keys and not keys.isdisjoint({"annotations", "completions", "predictions"})


def _read(document: Document, named: str | None) -> Iterator[Answer]:
    flat = document.keys >= _FLAT
    for record, place in records(document):
        yield from (_flat if flat else _whole)(record, place)


def _whole(record: Mapping[str, Any], place: Place) -> Iterator[Answer]:
    data = mapping_of(record, "data", place)
    known = _known(data, place)
    # Older versions call annotations completions.
    given = list_of(record, "annotations" if "annotations" in record else "completions", place)
    drafts = list_of(record, "drafts", place)
    if not given and not drafts:
        yield Answer(**known, excluded="not annotated")
    for draft in drafts:
        user = draft.get("user") if isinstance(draft, Mapping) else None
        yield Answer(**known, annotator=_user(user), excluded="draft")
    for annotation in given:
        if not isinstance(annotation, Mapping):
            raise place.refuse(f"'annotations' holds {shown(annotation)}; expected objects")
        who = _user(annotation.get("completed_by"))
        common = {**known, "annotator": who, "given_at": _time(annotation)}
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            yield Answer(**common, excluded="cancelled")
            continue
        values: dict[str, list[Mapping[str, Any]]] = {}
        for result in list_of(annotation, "result", place):
            if isinstance(result, Mapping) and isinstance(result.get("value"), Mapping):
                values.setdefault(str(result.get("from_name")), []).append(result["value"])
        yield _answer(values, common, data, place)


def _flat(record: Mapping[str, Any], place: Place) -> Iterator[Answer]:
    known = _known(record, place)
    if record.get("annotation_id") in (None, ""):
        yield Answer(**known, excluded="not annotated")
        return
    common = {**known, "annotator": _user(record["annotator"]), "given_at": _time(record)}
    values: dict[str, list[Mapping[str, Any]]] = {
        name: [{"choices": _words(record, name, place)}] for name in (QUESTION, SECONDARY, *VALUES)
    }
    marked = record.get(EVIDENCE)
    if isinstance(marked, str):
        marked = decoded(marked, EVIDENCE, place) if marked.startswith("[") else []
    values[EVIDENCE] = [span for span in marked or () if isinstance(span, Mapping)]
    yield _answer(values, common, record, place)


def _known(data: Mapping[str, Any], place: Place) -> dict[str, Any]:
    identity = data.get("thread_id")
    out = came_back(data, identity, place)
    if out["thread"] is None and identity not in (None, ""):
        names = ("author", "text")
        out["thread"] = from_dialogue(str(identity), data.get("dialogue"), names, place)
    return out


def _user(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("email") or value.get("username") or value.get("id")
    return store.word_or_none(value)


def _time(record: Mapping[str, Any]) -> Any:
    return store.time_from(record.get("created_at"))


def _words(record: Mapping[str, Any], name: str, place: Place) -> list[Any]:
    """The choices of a cell: one as it stands, several in an object or as the text of one."""
    value = record.get(name)
    if isinstance(value, str) and value.startswith(("{", "[")):
        value = decoded(value, name, place)
    if isinstance(value, Mapping):
        value = value.get("choices")
    return value if isinstance(value, list) else [] if value is None else [value]


def _answer(
    values: Mapping[str, Sequence[Mapping[str, Any]]],
    common: Mapping[str, Any],
    data: Mapping[str, Any],
    place: Place,
) -> Answer:
    def chosen(name: str) -> list[Any]:
        return [word for value in values.get(name, ()) for word in value.get("choices") or ()]

    evidence, lost = _spans(values.get(EVIDENCE, ()), common["thread"])
    one = {name: (chosen(name) or [None])[-1] for name in (SECONDARY, *VALUES)}
    found = answer(
        chosen(QUESTION),
        place,
        secondary=one.pop(SECONDARY),
        attributes=one,
        evidence=evidence,
    )
    if lost and "given" in found:
        found["dropped"] = (*found["dropped"], *["evidence not found in the text"] * lost)
    return Answer(**common, **found)


def _spans(
    marked: Sequence[Mapping[str, Any]], thread: Thread | None
) -> tuple[list[dict[str, int]], int]:
    """What was marked as spans of turns, and how many of them could not be found."""
    if thread is None:
        return [], len(marked)
    lines = lines_of(thread)
    shift = 1 if lines[:1] and lines[0][0] == CAPTION_NAME else 0
    out, lost = [], 0
    for value in marked:
        try:
            first, last, start, end = (
                int(value[name]) for name in ("start", "end", "startOffset", "endOffset")
            )
        except (KeyError, TypeError, ValueError):
            lost += 1
            continue
        quoted = value.get("text") if isinstance(value.get("text"), str) else None
        found = spans.across([text for _, text in lines], first, last, start, end, quoted)
        lost += not found
        for line, begin, stop in found:
            turn = CAPTION if shift and line == 0 else line - shift
            out.append({"turn": turn, "start": begin, "end": stop})
    return out, lost


TOOL = Tool(
    name="label-studio", shape="array", task=_task, matches=_matches, read=_read, config=config
)

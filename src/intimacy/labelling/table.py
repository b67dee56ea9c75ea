"""Spreadsheets: one row a thread, for annotators who want no tool at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from intimacy.annotation import VALUES
from intimacy.importers.document import Document
from intimacy.labelling.base import (
    SECONDARY,
    Answer,
    Task,
    Tool,
    answer,
    records,
    text_of,
)
from intimacy.labelling.carried import came_back, carried

_WIDE = re.compile(r"label:(.+)")
_FORMULA = ("=", "+", "-", "@")


def _task(task: Task) -> dict[str, Any]:
    identity = task.thread.id
    # Spreadsheets compute what begins like a formula, and ids of platforms may.
    shown = f"'{identity}" if identity.startswith(_FORMULA) else identity
    out: dict[str, Any] = {"thread_id": shown, "text": text_of(task.thread)}
    if task.prediction is not None:
        out |= {
            "suggestion": task.suggestion or "",
            "score": "" if task.score is None else task.score,
        }
        found = task.suggested_attributes()
        out |= {f"suggested_{n}": found.get(n, "") for n in VALUES if task.attributes}
    out |= {"label": "", SECONDARY: ""}
    out |= dict.fromkeys(VALUES, "") if task.attributes else {}
    # What is carried is last: it is long, and nobody reads it.
    return out | {"annotator": "", **carried(task)}


def _matches(document: Document) -> bool:
    keys = document.keys
    labelled = "label" in keys or any(map(_WIDE.fullmatch, keys))
    return document.kind == "table" and labelled and not keys.isdisjoint({"thread_id", "record"})


def _read(document: Document, named: str | None) -> Iterator[Answer]:
    wide = sorted(m.group(1).strip() for m in map(_WIDE.fullmatch, document.keys) if m)
    for record, place in records(document):
        identity = (record.get("thread_id") or "").strip().removeprefix("'")
        common = came_back(record, identity, place)
        for who in wide:
            columns = {n: record.get(f"{n}:{who}") for n in ("label", SECONDARY, *VALUES)}
            yield Answer(**common, annotator=who, **_given(columns, f"label:{who}", place))
        if not wide:
            own = (record.get("annotator") or "").strip() or named
            yield Answer(**common, annotator=own, **_given(record, "label", place))


def _given(columns: Mapping[str, Any], name: str, place: Any) -> dict[str, Any]:
    # Two flags may both hold; everything else that stands beside a comma is no single answer.
    chosen = re.split(r"[,;|]", columns.get("label") or "")
    return answer(
        chosen,
        place,
        field_name=name,
        secondary=columns.get(SECONDARY),
        attributes={n: columns.get(n) for n in VALUES},
    )


TOOL = Tool(name="csv", shape="table", task=_task, matches=_matches, read=_read)

"""doccano, document classification: JSONL in and out, and the ZIP with one file a user."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from intimacy import store
from intimacy.errors import shown
from intimacy.importers.document import Document
from intimacy.labelling.base import (
    CHOICES,
    Answer,
    Place,
    Task,
    Tool,
    answer,
    mapping_of,
    records,
    text_of,
)
from intimacy.labelling.carried import came_back, carried

_COLORS = ("#c2185b", "#1565c0", "#2e7d32", "#6a1b9a", "#616161", "#795548", "#9e9e9e")


def config(attributes: bool) -> str:
    """Labels to import into a project; doccano asks one question, so no attributes."""
    del attributes
    labels = [
        {
            "text": word,
            "suffix_key": str(number),
            "background_color": color,
            "text_color": "#ffffff",
        }
        for number, (word, color) in enumerate(zip(CHOICES, _COLORS, strict=True), 1)
    ]
    return json.dumps(labels, indent=2) + "\n"


def _task(task: Task) -> dict[str, Any]:
    out: dict[str, Any] = {
        "text": text_of(task.thread),
        # Labels that are imported count as answers of whoever imports them, so a suggestion is
        # shown beside the text instead.
        "label": [],
        "thread_id": task.thread.id,
        **carried(task),
    }
    if task.suggestion is not None:
        out["suggestion"] = task.suggestion
    return out


def _matches(document: Document) -> bool:
    keys = document.keys
    labelled = not keys.isdisjoint({"label", "labels"})
    numbered = not keys.isdisjoint({"id", "doc_id", "Comments"})
    return document.kind != "table" and labelled and numbered and not keys & {"answer", "turns"}


def _read(document: Document, named: str | None) -> Iterator[Answer]:
    for record, place in records(document):
        # Columns beside the text stand at the top, in older versions under meta.
        known = {**mapping_of(record, "meta", place), **record}
        user = record.get("username") or named
        found = answer(_labels(record, place), place, field_name="label")
        yield Answer(
            **came_back(known, known.get("thread_id"), place),
            annotator=store.word_or_none(user),
            **found,
        )


def _labels(record: Mapping[str, Any], place: Place) -> list[Any]:
    name = "label" if "label" in record else "labels"
    value = record.get(name)
    if value is None or isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise place.refuse(f"{name!r} is {shown(value)}; expected a list of labels")
    return value


TOOL = Tool(
    name="doccano",
    shape="lines",
    task=_task,
    matches=_matches,
    read=_read,
    config=config,
    asks_more=False,
)

"""Prodigy: tasks for its ``choice`` interface, and what ``db-out`` writes, choice and binary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from intimacy import store
from intimacy.importers.base import time_of
from intimacy.importers.document import Document
from intimacy.labelling.base import (
    CHOICES,
    Answer,
    Task,
    Tool,
    answer,
    list_of,
    mapping_of,
    records,
    text_of,
)
from intimacy.labelling.carried import came_back, carried

_OUTCOMES = {"reject": "rejected", "ignore": "ignored"}


def config(attributes: bool) -> str:
    """Settings for ``prodigy.json``; Prodigy asks one question, so no attributes."""
    del attributes
    # Every annotator is to see every thread, and no answer to be sent before it is looked at.
    settings = {"choice_style": "single", "choice_auto_accept": False, "feed_overlap": True}
    return json.dumps(settings, indent=2) + "\n"


def _task(task: Task) -> dict[str, Any]:
    out: dict[str, Any] = {
        "text": text_of(task.thread),
        "options": [{"id": word, "text": shown} for word, shown in CHOICES.items()],
        "meta": {"thread_id": task.thread.id},
        # Beside meta, which Prodigy prints under the text.
        **carried(task),
    }
    if task.suggestion is not None:
        out["accept"] = [task.suggestion]
        out["meta"] |= {"suggested_by": task.agent, "score": task.score}
    return out


def _matches(document: Document) -> bool:
    keys = document.keys
    return bool(keys & {"_task_hash", "_input_hash"}) or {"text", "answer"} <= keys


def _read(document: Document, named: str | None) -> Iterator[Answer]:
    for record, place in records(document):
        meta = mapping_of(record, "meta", place)
        identity = meta.get("thread_id") or record.get("thread_id")
        said = record.get("answer")
        if said == "accept":
            # Binary: one label is shown and accepted. Choice: some of the options are.
            binary = "label" in record and "accept" not in record
            chosen = [record["label"]] if binary else list_of(record, "accept", place)
            found = answer(chosen, place, field_name="label" if binary else "accept")
        elif said is None:
            found = {"excluded": "not annotated"}
        elif said in _OUTCOMES:
            # A label that was rejected says what the thread is not, which is no vote.
            found = {"excluded": _OUTCOMES[said]}
        else:
            raise place.refuse("'answer' is unknown; expected accept, reject or ignore")
        yield Answer(
            **came_back({**meta, **record}, identity, place),
            annotator=store.word_or_none(record.get("_annotator_id") or record.get("_session_id")),
            given_at=time_of(record.get("_timestamp")),
            **found,
        )


TOOL = Tool(
    name="prodigy",
    shape="lines",
    task=_task,
    matches=_matches,
    read=_read,
    config=config,
    asks_more=False,
)

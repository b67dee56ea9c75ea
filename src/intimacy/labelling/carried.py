"""What a task carries through a tool and back: its thread whole, and how it was chosen.

Fields of text in whatever place the tool keeps and does not ask about, so that spreadsheets and
languages leave them as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from intimacy import store
from intimacy.annotation import is_probability
from intimacy.errors import RecordError, shown
from intimacy.labelling.base import Chosen, Place, Task, decoded
from intimacy.schema import Thread


def carried(task: Task) -> dict[str, str]:
    """Fields of a task that are for `came_back` alone, the long one last."""
    out = {}
    if task.chosen is not None:
        number = task.chosen.probability
        out["chosen"] = task.chosen.by if number is None else f"{task.chosen.by} {number!r}"
    if task.adjudicates:
        out["adjudicates"] = "true"
    return out | {"record": json.dumps(store.thread_to_dict(task.thread), ensure_ascii=False)}


def came_back(known: Mapping[str, Any], identity: Any, place: Place) -> dict[str, Any]:
    """Fields of an `Answer` out of those that its task carried, as far as the tool kept them.

    Args:
        known: Where `carried` was put.
        identity: Id of the thread as the tool has it; the record's goes before, since
            spreadsheets turn long numbers into short ones.
        place: Of the record, for messages.

    Raises:
        RecordError: When a field is not what `carried` wrote.
    """
    thread, chosen = _thread(known.get("record"), place), _chosen(known.get("chosen"), place)
    return {
        "thread_id": store.word_or_none(identity) if thread is None else thread.id,
        "thread": thread,
        "chosen": chosen,
        "bare": thread is None and chosen is None,
        # Excel writes the second in Italian.
        "adjudicates": str(known.get("adjudicates")).strip().lower() in ("true", "vero"),
    }


def _thread(record: Any, place: Place) -> Thread | None:
    if record is None or record == "":
        return None
    if isinstance(record, str):
        record = decoded(record, "record", place)
    try:
        return store.thread_from_dict(record)
    except RecordError as exc:
        raise place.refuse(f"in 'record', {exc}") from exc


def _chosen(said: Any, place: Place) -> Chosen | None:
    if said is None or said == "":
        return None
    by, _, number = said.strip().partition(" ") if isinstance(said, str) else ("", "", "")
    try:
        probability = float(number) if number else None
    except ValueError:
        probability = 0.0
    if not by or not (probability is None or is_probability(probability)):
        raise place.refuse(
            f"'chosen' is {shown(said)}; expected what 'intimacy annotate' wrote, e.g. "
            "'profile 0.25': do not edit that column, or leave it out and pass tasks= (--tasks)"
        )
    return Chosen(by=by, probability=probability)

"""Threads made into tasks for an annotation tool."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from intimacy.errors import ConfigError, IntimacyWarning, ThreadError, shown
from intimacy.intake import as_thread
from intimacy.labelling.base import Task
from intimacy.labelling.tools import check_attributes, tool_of
from intimacy.prediction import Prediction


def export_for(
    tool: str,
    threads: Iterable[Any],
    *,
    predictions: Iterable[Prediction] | None = None,
    blind: bool = False,
    attributes: bool = False,
    adjudicates: bool = False,
) -> list[dict[str, Any]]:
    """Tasks for an annotation tool, each with its thread and the model's suggestion.

    Whoever sees a suggestion tends to take it: for labels that a model is measured on, and for
    agreement that is published, leave it out.

    Args:
        tool: ``label-studio``, ``doccano``, ``argilla``, ``prodigy`` or ``csv``.
        threads: Threads of `read_export`, or whatever else `classify_threads` takes.
        predictions: Theirs, found by the id of the thread; None classifies on the spot.
        blind: Whether suggestions are left out; then nothing is classified.
        attributes: Whether the attributes of the codebook's section 5 are asked for as well.
        adjudicates: Whether these are threads about which others have differed, so that the
            answer decides. `Annotations.write_queue` says so.

    Returns: One dict a thread, in order, in the shape that the tool imports;
        `intimacy.labelling.write_tasks` writes them.

    Raises:
        ConfigError: When there is no such tool, when it cannot ask for attributes, or when no
            prediction belongs to a thread.
        ThreadError: When something is no thread, or two threads have one id: answers come back
            by id.

    Warns:
        IntimacyWarning: When some threads have no prediction.
    """
    chosen = tool_of(tool)
    check_attributes(chosen, attributes)
    if isinstance(threads, (str, dict)) or hasattr(threads, "turns"):
        raise ThreadError(f"one {type(threads).__name__} received; expected a list of threads")
    items = [as_thread(item, number) for number, item in enumerate(threads)]
    seen: set[str] = set()
    for thread in items:
        if thread.id in seen:
            raise ThreadError(
                f"two threads have the id {shown(thread.id)}; answers come back by id, so give "
                "every thread one of its own"
            )
        seen.add(thread.id)
    if blind:
        found: dict[str | None, Prediction] = {}
    elif predictions is None:
        from intimacy.classifier import classify_threads

        found = {prediction.thread_id: prediction for prediction in classify_threads(items)}
    else:
        found = {prediction.thread_id: prediction for prediction in predictions}
        missing = len(seen - set(found))
        if items and missing == len(items):
            raise ConfigError(
                "no prediction belongs to a thread: none names its id. Classify these threads, "
                "or leave predictions= out"
            )
        if missing:
            warnings.warn(
                f"{missing} of {len(items)} threads have no prediction and come without a "
                "suggestion",
                IntimacyWarning,
                stacklevel=2,
            )
    return [
        chosen.task(
            Task(
                thread=thread,
                prediction=found.get(thread.id),
                attributes=attributes,
                adjudicates=adjudicates,
            )
        )
        for thread in items
    ]

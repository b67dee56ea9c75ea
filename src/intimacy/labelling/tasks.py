"""Threads made into tasks for an annotation tool."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from intimacy.errors import ConfigError, IntimacyWarning, ThreadError, require_many, shown
from intimacy.intake import as_thread
from intimacy.labelling.base import Chosen, Task
from intimacy.labelling.tools import check_attributes, tool_of
from intimacy.prediction import Prediction
from intimacy.schema import Thread

if TYPE_CHECKING:
    from intimacy.labelling.selection import Choice


def export_for(
    tool: str,
    threads: Iterable[Any],
    *,
    predictions: Iterable[Prediction] | None = None,
    choices: Iterable[Choice] | None = None,
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
        choices: What `label_next` chose among the threads: tasks are of these alone, in their
            order, and carry how each was chosen and with what probability it was drawn.
        blind: Whether suggestions are left out; then nothing is classified.
        attributes: Whether the attributes of the codebook's section 5 are asked for as well.
        adjudicates: Whether these are threads about which others have differed, so that the
            answer decides. `Annotations.write_queue` says so.

    Returns: One dict a thread (or choice), in order, in the shape that the tool imports;
        `intimacy.labelling.write_tasks` writes them.

    Raises:
        ConfigError: When there is no such tool, when it cannot ask for attributes, when no
            prediction belongs to a thread, or no thread to a choice.
        ThreadError: When something is no thread, or two threads have one id: answers come back
            by id.

    Warns:
        IntimacyWarning: When some threads have no prediction.
    """
    chosen = tool_of(tool)
    check_attributes(chosen, attributes)
    require_many(threads, "a list of threads")
    items = [as_thread(item, number) for number, item in enumerate(threads)]
    seen: set[str] = set()
    for thread in items:
        if thread.id in seen:
            raise ThreadError(
                f"two threads have the id {shown(thread.id)}; answers come back by id, so give "
                "every thread one of its own"
            )
        seen.add(thread.id)
    chosen_as: dict[str, Chosen] = {}
    if choices is not None:
        items, chosen_as = _chosen(items, choices)
        seen = set(chosen_as)
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
                chosen=chosen_as.get(thread.id),
            )
        )
        for thread in items
    ]


def _chosen(
    threads: Sequence[Thread], choices: Iterable[Choice]
) -> tuple[list[Thread], dict[str, Chosen]]:
    """The threads that were chosen, in that order, and how each was."""
    by_id = {thread.id: thread for thread in threads}
    out: dict[str, Chosen] = {}
    for choice in choices:
        if not hasattr(choice, "thread_id") or not hasattr(choice, "probability"):
            raise ConfigError(
                f"a {type(choice).__name__} among the choices; expected what label_next gives"
            )
        if choice.thread_id not in by_id:
            raise ConfigError(
                f"thread {shown(choice.thread_id)} was chosen and is not among the threads; pass "
                "those that label_next was given"
            )
        out[choice.thread_id] = Chosen(by=choice.by, probability=choice.probability)
    return [by_id[name] for name in out], out


def in_order(threads: Sequence[Thread], predictions: Iterable[Prediction]) -> list[Prediction]:
    """A prediction for each thread, in their order, found by id; others are passed over.

    Raises:
        ConfigError: When some thread has none: who chooses must know all.
    """
    found = {prediction.thread_id: prediction for prediction in predictions}
    if missing := [thread.id for thread in threads if thread.id not in found]:
        raise ConfigError(
            f"{len(missing)} of {len(threads)} threads have no prediction, e.g. "
            f"{shown(missing[0])}; choosing needs them all: classify these threads"
        )
    return [found[thread.id] for thread in threads]

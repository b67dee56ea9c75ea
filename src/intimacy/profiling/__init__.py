"""Per-creator relationship profiles: a tally of predictions, evaluated once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from intimacy.bundle import Bundle, open_bundle
from intimacy.classifier import Classifier, classify_threads
from intimacy.errors import ThreadError, require_many
from intimacy.prediction import Prediction, Structure
from intimacy.profiling.evaluate import INTERVAL, evaluate
from intimacy.profiling.facts import Tally, tally
from intimacy.schema import Profile, Thread

__all__ = ["INTERVAL", "Tally", "evaluate", "profile", "profiles", "tally"]


def profile(
    threads: Sequence[Thread] | Iterable[Prediction],
    predictions: Iterable[Prediction] | None = None,
    *,
    model: Classifier | None = None,
    interval: float = INTERVAL,
    frame: str = "unknown",
    audience: Mapping[datetime, float] | None = None,
) -> Profile:
    """The profile of one creator, or of everything given taken together.

    Args:
        threads: Threads; or predictions, which carry all that a profile needs, but for measures
            that rest on words where they were made without ``signs=True``.
        predictions: Of these threads; None classifies them now.
        model: Whose errors correct the shares; None is the bundled one.
        interval: Probability inside the intervals.
        frame: Which comments the export holds: ``all``, ``newest``, ``top`` or ``unknown``.
        audience: Followers of the creator at some times, to set comments against them.

    Raises:
        ConfigError: When there is no such frame.
        ThreadError: When threads and predictions do not belong together.
    """
    found = tally(as_predictions(threads, predictions, model))
    return evaluate(found, _bundle(model), interval=interval, frame=frame, audience=audience)


def profiles(
    threads: Sequence[Thread] | Iterable[Prediction],
    predictions: Iterable[Prediction] | None = None,
    *,
    model: Classifier | None = None,
    interval: float = INTERVAL,
    frame: str = "unknown",
) -> list[Profile]:
    """One profile a creator, in the order in which creators appear; see `profile`."""
    tallies: dict[str | None, Tally] = {}
    for prediction in as_predictions(threads, predictions, model):
        tallies.setdefault(prediction.creator_id, Tally()).add(prediction)
    bundle = _bundle(model)
    return [evaluate(t, bundle, interval=interval, frame=frame) for t in tallies.values()]


def as_predictions(
    items: Iterable[Any], predictions: Iterable[Prediction] | None, model: Classifier | None
) -> list[Prediction]:
    """Predictions with the signs of their texts, out of any of the two or of both.

    Raises:
        ThreadError: When threads and predictions do not belong together.
    """
    require_many(
        items, "a list of threads or of predictions", hint="A file is read with read_export"
    )
    given = list(items)
    kinds = {isinstance(item, Prediction) for item in given}
    if len(kinds) == 2:
        raise ThreadError("threads and predictions in one list; expected all of one kind")
    if predictions is None:
        if kinds <= {True}:
            return given
        return classify_threads(given, model=model, signs=True)
    found = list(predictions)
    if len(found) != len(given):
        raise ThreadError(
            f"{len(given)} threads and {len(found)} predictions; expected one for each"
        )
    for number, (thread, prediction) in enumerate(zip(given, found, strict=True)):
        if isinstance(thread, Thread) and prediction.thread_id not in (thread.id, None):
            raise ThreadError(
                f"prediction {number} is of thread {prediction.thread_id!r}, not {thread.id!r}; "
                "pass both in the same order"
            )
    return [
        replace(prediction, structure=Structure.of(thread, signs=True))
        if isinstance(thread, Thread) and prediction.structure.signs is None
        else prediction
        for thread, prediction in zip(given, found, strict=True)
    ]


def _bundle(model: Classifier | None) -> Bundle:
    return model.bundle if model is not None else open_bundle()

"""Threads in, predictions out: one path for one thread and for a million.

A thread is rendered, batched with others of its length, scored, calibrated and decided. Facts
are never predicted against: where no creator turn follows a follower's nothing is
``reciprocal``, and without a creator turn or a caption nothing is ``disclosive``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from intimacy import evidence as evidences
from intimacy import text as texts
from intimacy.annotation import possible
from intimacy.backends import Backend, Batch, OnnxBackend, each_batch
from intimacy.bundle import HEADS, Bundle, Manifest, open_bundle
from intimacy.errors import ThreadError, require_many
from intimacy.intake import as_thread, thread_or_error
from intimacy.prediction import Evidence, Prediction, Structure
from intimacy.render import ModelInput, Renderer
from intimacy.schema import Label, Reason, Thread, label_of

CHUNK = 512
"""Threads held at once by `Classifier.stream`."""
PROGRESS_FROM = 200
MIN_LATIN = 0.5
"""Below this share of Latin letters a text cannot be Italian."""

_Logits = npt.NDArray[np.float32]
_NOT_ITALIAN = HEADS["scope"].index("not_italian")


class Classifier:
    """A model folder, ready to run. Safe to share between threads and after a fork."""

    def __init__(self, bundle: Bundle, backend: Backend | None = None) -> None:
        self.bundle = bundle
        self.manifest: Manifest = bundle.manifest
        self._slices = self.manifest.slices()
        self._renderer = Renderer(bundle.tokenizer(), self.manifest.render)
        self._backend = OnnxBackend(bundle.onnx) if backend is None else backend

    def classify_thread(
        self, thread: Any, *, evidence: bool = False, signs: bool = False
    ) -> Prediction:
        """See `intimacy.classify_thread`."""
        return self._batch([as_thread(thread)], evidence=evidence, signs=signs)[0]

    def classify_threads(
        self,
        threads: Iterable[Any],
        *,
        evidence: bool = False,
        signs: bool = False,
        progress: bool | None = None,
    ) -> list[Prediction]:
        """See `intimacy.classify_threads`."""
        require_many(
            threads,
            "a list of threads",
            hint="read_export(frame, columns={'text': …, 'role': …, 'thread_id': …}) makes threads "
            "of a data frame"
            if hasattr(threads, "columns")
            else "For one call classify_thread",
        )
        items = threads if isinstance(threads, Sequence) else list(threads)
        shown = len(items) > PROGRESS_FROM if progress is None else progress
        # disable=None: no bar where stderr is not a terminal, unless it was asked for.
        hide = (None if progress is None else False) if shown else True
        bar = tqdm(total=len(items), desc="classify", unit="thread", disable=hide)
        with bar:
            out = []
            for prediction in self.stream(items, evidence=evidence, signs=signs):
                out.append(prediction)
                bar.update()
        return out

    def stream(
        self, threads: Iterable[Any], *, evidence: bool = False, signs: bool = False
    ) -> Iterator[Prediction]:
        """Predictions in the order of the threads, with a bounded number of them in memory."""
        source = enumerate(threads)
        while chunk := list(islice(source, CHUNK)):
            items = [thread_or_error(item, number) for number, item in chunk]
            yield from self._batch(items, evidence=evidence, signs=signs)

    def logits(self, threads: Sequence[Thread]) -> _Logits:
        """Raw outputs, shape ``(n, total values)``; for calibration and for comparing exports."""
        return self._logits([self._renderer.render(thread) for thread in threads])

    def _batch(
        self,
        threads: Sequence[Thread | ThreadError],
        *,
        evidence: bool = False,
        signs: bool = False,
    ) -> list[Prediction]:
        out = [self._without_model(item) for item in threads]
        rows = [i for i, prediction in enumerate(out) if prediction is None]
        asked = [thread for i in rows if isinstance(thread := threads[i], Thread)]
        inputs = [self._renderer.render(thread) for thread in asked]
        if evidence:
            logits, contributions = self._explained(inputs)
        else:
            logits = self._logits(inputs)
        found = [self._decide(*row) for row in zip(asked, inputs, logits, strict=True)]
        if evidence:
            found = self._with_evidence(asked, inputs, found, contributions)
        for i, prediction in zip(rows, found, strict=True):
            out[i] = prediction
        whole = [prediction for prediction in out if prediction is not None]
        if not signs:
            return whole
        return [
            replace(found, structure=Structure.of(thread, signs=True))
            if isinstance(thread, Thread)
            else found
            for thread, found in zip(threads, whole, strict=True)
        ]

    def _logits(self, inputs: Sequence[ModelInput]) -> _Logits:
        out = self._outputs(len(inputs))

        def run(rows: list[int]) -> None:
            out[rows] = self._backend.logits(Batch.of([inputs[i] for i in rows]))

        each_batch(run, [len(item.ids) for item in inputs])
        return out

    def _explained(self, inputs: Sequence[ModelInput]) -> tuple[_Logits, list[_Logits]]:
        """Logits, and what each token of each thread adds to each label."""
        out, contributions = self._outputs(len(inputs)), [np.empty(0, np.float32)] * len(inputs)

        def run(rows: list[int]) -> None:
            out[rows], parts = self._backend.explain(Batch.of([inputs[i] for i in rows]))
            for i, part in zip(rows, parts, strict=True):
                contributions[i] = part[: len(inputs[i].ids)]

        each_batch(run, [len(item.ids) for item in inputs])
        return out, contributions

    def _outputs(self, n: int) -> _Logits:
        width = sum(len(values) for values in self.manifest.heads.values())
        return np.zeros((n, width), dtype=np.float32)

    def _with_evidence(
        self,
        threads: Sequence[Thread],
        inputs: Sequence[ModelInput],
        predictions: Sequence[Prediction],
        contributions: Sequence[_Logits],
    ) -> list[Prediction]:
        """Each span that the network leans on is taken out and the thread scored again."""
        spans = [
            evidences.spans(thread, item, _of_best(prediction, added), limit=self._renderer.limit)
            for thread, item, prediction, added in zip(
                threads, inputs, predictions, contributions, strict=True
            )
        ]
        pairs = [(i, span) for i, found in enumerate(spans) for span in found]
        left = [evidences.without(threads[i], span) for i, span in pairs]
        # Also where nothing is left that anybody would classify: the network says something of it.
        inputs = [self._renderer.render(thread) for thread in left]
        without = [
            self._decide(*row) for row in zip(left, inputs, self._logits(inputs), strict=True)
        ]
        out: list[list[Evidence]] = [[] for _ in threads]
        for (i, span), less in zip(pairs, without, strict=True):
            best = str(predictions[i].best)
            weight = predictions[i].scores[best] - less.scores[best]
            if weight > 0:
                out[i].append(Evidence(turn=span[0], start=span[1], end=span[2], weight=weight))
        return [
            replace(prediction, evidence=tuple(sorted(found, key=lambda e: -e.weight)))
            for prediction, found in zip(predictions, out, strict=True)
        ]

    def _without_model(self, item: Thread | ThreadError) -> Prediction | None:
        """The prediction of what no model needs to see; None for everything else."""
        if isinstance(item, ThreadError):
            return Prediction(
                thread_id=None,
                label=None,
                reason=Reason.INVALID,
                error=str(item),
                model_id=self.bundle.model_id,
            )
        filled = [turn.text for turn in item.turns if turn.text.strip()]
        if not filled:
            return self._prediction(item, reason=Reason.EMPTY)
        if not any(texts.has_content(text) for text in filled):
            return self._prediction(item, reason=Reason.TOO_SHORT)
        if self.manifest.language == "it":
            sample = _sample(item)
            latin = texts.latin_share(sample)
            foreign = texts.language(sample) not in ("it", None)
            if foreign or (latin is not None and latin < MIN_LATIN):
                return self._prediction(item, reason=Reason.NOT_ITALIAN)
        return None

    def _decide(self, thread: Thread, item: ModelInput, logits: _Logits) -> Prediction:
        manifest = self.manifest
        names = manifest.labels
        raw = logits[self._slices["label"]].astype(np.float64)
        allowed = possible(thread, names)
        raw[[name not in allowed for name in names]] = -np.inf
        scores = dict(zip(names, softmax(raw / manifest.temperature).tolist(), strict=True))
        scope_logits = logits[self._slices["scope"]].astype(np.float64)
        # What is proven is not asked of the model, nor what it was told to take for granted.
        if manifest.language != "it" or texts.language(_sample(thread)) == "it":
            scope_logits[_NOT_ITALIAN] = -np.inf
        scope = softmax(scope_logits / manifest.scope_temperature)
        best = max(scores, key=scores.__getitem__)
        reason: Reason | None = None
        if scope[0] < manifest.scope_threshold:
            reason = Reason.OUT_OF_SCOPE if scope[1] >= scope[2] else Reason.NOT_ITALIAN
        elif scores[best] < manifest.threshold:
            reason = Reason.LOW_CONFIDENCE
        return self._prediction(
            thread,
            label=label_of(best) if reason is None else None,
            reason=reason,
            scores=scores,
            scope=float(scope[0]),
            attributes=self._attributes(thread, logits),
            n_dropped_turns=item.n_dropped_turns,
            n_dropped_chars=item.n_dropped_chars,
        )

    def _attributes(self, thread: Thread, logits: _Logits) -> dict[str, Any]:
        out = {
            name: values[int(logits[self._slices[name]].argmax())]
            for name, values in self.manifest.heads.items()
            if name not in ("label", "scope")
        }
        if not thread.has_creator_turn:
            out |= {k: v for k, v in (("creator_response", "none"), ("informs", False)) if k in out}
        elif out.get("creator_response") == "none":
            out["creator_response"] = "token"
        if str(Label.DISCLOSIVE) not in possible(thread) and "disclosure_depth" in out:
            out["disclosure_depth"] = 0
        return out

    def _prediction(
        self,
        thread: Thread,
        *,
        label: str | None = None,
        reason: Reason | None = None,
        scores: Mapping[str, float] | None = None,
        scope: float | None = None,
        attributes: Mapping[str, Any] | None = None,
        n_dropped_turns: int = 0,
        n_dropped_chars: int = 0,
    ) -> Prediction:
        return Prediction(
            thread_id=thread.id,
            label=label,
            reason=reason,
            scores=scores or {},
            scope=scope,
            attributes=attributes or {},
            structure=Structure.of(thread),
            creator_id=thread.post.creator_id,
            post_id=thread.post.id,
            platform=thread.post.platform,
            n_dropped_turns=n_dropped_turns,
            n_dropped_chars=n_dropped_chars,
            model_id=self.bundle.model_id,
        )


# -- the functions that people call


_default: Classifier | None = None
_lock = threading.Lock()


def _after_fork() -> None:
    # Another thread may have held the lock in the parent; nobody in the child would release it.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def load_model(path: str | Path | None = None) -> Classifier:
    """A model folder, opened and ready.

    Args:
        path: The folder; None is the bundled model, opened once per process.

    Raises:
        BundleError: When the folder is missing, incomplete or damaged.
    """
    global _default
    if path is not None:
        return Classifier(open_bundle(path))
    if _default is None:
        with _lock:
            if _default is None:
                _default = Classifier(open_bundle())
    return _default


def classify_thread(
    thread: Any,
    *,
    model: Classifier | None = None,
    evidence: bool = False,
    signs: bool = False,
) -> Prediction:
    """Classify one thread.

    Args:
        thread: A `Thread`; or a list of ``(role, text)``; or a list of dicts with ``role`` and
            ``text`` (or ``content``); or the codebook's record as a dict; or a string, which is
            one follower's comment. Roles: ``creator``, ``follower``, ``staff``.
        model: From `load_model`; None is the bundled one.
        evidence: Also say which spans carry the best score; three passes instead of one.
        signs: Also note what a profile counts in the texts (`intimacy.cues`), in
            ``structure.signs``.

    Raises:
        ThreadError: When it is none of these; `RoleError` when a role does not exist.
    """
    return (model or load_model()).classify_thread(thread, evidence=evidence, signs=signs)


def classify_threads(
    threads: Iterable[Any],
    *,
    model: Classifier | None = None,
    evidence: bool = False,
    signs: bool = False,
    progress: bool | None = None,
) -> list[Prediction]:
    """Classify many threads; as many predictions in the same order.

    An item that is not a thread gets a prediction with reason ``invalid`` and the error; the
    others are not affected. Which threads are together in a call never changes a result.

    Args:
        threads: Anything `classify_thread` takes, many of them.
        model: From `load_model`; None is the bundled one.
        evidence: Also say which spans carry the best score; three passes instead of one.
        signs: Also note what a profile counts in the texts.
        progress: Bar on stderr; None shows one on a terminal for more than 200 threads.
    """
    classifier = model or load_model()
    return classifier.classify_threads(threads, evidence=evidence, signs=signs, progress=progress)


# -- rules


def _sample(thread: Thread) -> str:
    """Enough of a thread's text to tell the language, whatever its length."""
    filled = [turn.text[:2000] for turn in thread.turns if turn.text.strip()]
    return " ".join(filled[:50])


def softmax(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Softmax over the last axis; ``-inf`` becomes 0."""
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    result: npt.NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def _of_best(prediction: Prediction, contributions: _Logits) -> npt.NDArray[np.float64]:
    """What each token adds to the logarithm of the best score, shape ``(n,)``."""
    scores = np.array(list(prediction.scores.values()))
    weights = (np.arange(len(scores)) == scores.argmax()) - scores
    result: npt.NDArray[np.float64] = contributions @ weights
    return result

"""Two classifiers on the same labelled threads: how much of their difference is chance.

Every figure is that of `intimacy.assessment`: the label is the best score, and macro-F1 is over the
labels that have enough threads. Differences are the second less the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from intimacy import assessment, evaluation, store
from intimacy.annotation import AnnotatedThread
from intimacy.classifier import Classifier, load_model
from intimacy.errors import CorpusError, SourceError
from intimacy.prediction import Prediction
from intimacy.schema import Share

FEW = 10
"""Creators under which intervals are noted to be too narrow (Cameron, Gelbach & Miller 2008)."""

Candidate: TypeAlias = "Classifier | Sequence[Prediction]"


def candidate(path: Path) -> Candidate:
    """What a path names: a model folder, opened, or the predictions of a file.

    Args:
        path: Folder of a model, or JSONL that `intimacy classify` wrote (also ``.gz``, ``.xz``).

    Raises:
        SourceError: When nothing is there, or a line is no prediction.
        BundleError: When a folder is not that of a model.
    """
    if path.is_dir():
        return load_model(path)
    if not path.exists():
        raise SourceError(
            f"{path} does not exist; expected a model folder, or predictions that "
            "'intimacy classify' wrote"
        )
    return list(store.read_jsonl(path, store.prediction_from_dict))


def model_id(source: Candidate) -> str | None:
    """Model behind a candidate; None for predictions that name none.

    Raises:
        CorpusError: When predictions are of several models.
    """
    if isinstance(source, Classifier):
        return source.bundle.model_id
    names = {p.model_id for p in source}
    if len(names) > 1:
        raise CorpusError(
            f"the predictions are of {len(names)} models ({', '.join(sorted(map(str, names)))}); "
            "expected those of one"
        )
    return next(iter(names), None)


def compare(
    items: Sequence[AnnotatedThread],
    first: Candidate,
    second: Candidate,
    *,
    progress: bool | None = False,
) -> dict[str, Any]:
    """Figures of both and their differences on the same labelled threads, ready for JSON.

    Intervals of differences are paired bootstraps over creators, `evaluation.cluster_intervals`:
    those of 1,000 draws of whole creators, on each of which both are read. McNemar's test stands
    beside them (`evaluation.mcnemar`); it takes threads for independent.

    Args:
        items: Threads to measure on; those without a label are left out.
        first: A model; or predictions, found by the ids of the threads. They may be of more
            threads, never of fewer: whoever chooses what is compared chooses the outcome.
        second: The other one, with the same label set.
        progress: Bar on stderr; None shows one on a terminal for more than 200 threads.

    Returns: ``n``, ``clusters``, ``n_by_label``, ``labels`` (those in the mean of F1); ``figures``
        with ``accuracy``, ``macro_f1``, ``brier`` and ``ece``, and ``f1`` by label, each a
        ``{first, second, difference, interval}``, the interval None where all threads are of one
        creator; ``mcnemar`` with ``only_first`` and ``only_second``, the threads that one alone
        gets right, and ``p``; ``notes``, what to mind. Brier and ECE are over the threads that both
        have scores for, None where there are none.

    Raises:
        CorpusError: When there is no labelled thread, the label sets differ, or predictions lack
            threads, are of other threads with the same ids, or of several models.
    """
    inside = [item for item in items if item.label is not None]
    sides = {"first": first, "second": second}
    # What is cheap to refuse is refused before a model runs.
    found = {
        which: None if isinstance(side, Classifier) else _matched(side, inside, which)
        for which, side in sides.items()
    }
    names, others = (_labels(side, found[which]) for which, side in sides.items())
    if inside and set(names) != set(others):
        raise CorpusError(
            f"the first gives {', '.join(names)}, the second {', '.join(others)}; expected two "
            "that give the same labels"
        )
    inside = assessment.in_scope(items, names, by="the first")
    threads = [item.thread for item in inside]
    truth = [str(item.label) for item in inside]
    labels = assessment.enough(truth, names)
    clusters = [item.cluster for item in inside]
    true = evaluation.codes(truth, names)
    both = []
    for which, side in sides.items():
        predictions = found[which]
        if isinstance(side, Classifier):
            predictions = side.classify_threads(threads, progress=progress)
        both.append(_Answers.of(predictions or [], true, names))
    scored = both[0].scored & both[1].scored
    mean = [names.index(name) for name in labels]

    def figures(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.array([answers.figures(rows, scored, mean) for answers in both])

    values = figures(np.arange(len(true)))
    shares = evaluation.cluster_intervals(lambda rows: np.subtract(*figures(rows)[::-1]), clusters)
    rows = [_row(a, b, share) for a, b, share in zip(*values.tolist(), shares, strict=True)]
    accuracy, macro_f1, brier, ece, *f1 = rows
    test = evaluation.mcnemar(both[0].right, both[1].right)
    return {
        "n": len(true),
        "clusters": len(set(clusters)),
        "n_by_label": {name: truth.count(name) for name in names},
        "labels": labels,
        "figures": {
            "accuracy": accuracy,
            "macro_f1": macro_f1,
            "brier": brier if scored.any() else None,
            "ece": ece if scored.any() else None,
        },
        "f1": dict(zip(names, f1, strict=True)),
        "mcnemar": {
            "only_first": test.only_first,
            "only_second": test.only_second,
            "p": float(f"{test.p:.4g}"),
        },
        "notes": _notes(len(set(clusters)), int((~scored).sum())),
    }


def _notes(clusters: int, without: int) -> list[str]:
    out = []
    if clusters == 1:
        out.append("all threads are of one creator, so nothing is known of others: no interval")
    elif clusters < FEW:
        out.append(f"intervals over {clusters} creators are too narrow; label threads of more")
    if without:
        out.append(
            f"{without} threads have no scores by one or both: a miss for whom it is, and left out "
            "of Brier and calibration error"
        )
    return out


def _row(first: float, second: float, difference: Share) -> dict[str, Any]:
    low, high = difference.low, difference.high
    return {
        "first": round(first, 4),
        "second": round(second, 4),
        "difference": round(second - first, 4),
        "interval": None if low is None or high is None else [round(low, 4), round(high, 4)],
    }


def _labels(side: Candidate, found: Sequence[Prediction] | None) -> tuple[str, ...]:
    """The label set, in the order of the scores."""
    if isinstance(side, Classifier):
        return side.manifest.labels
    return next((tuple(p.scores) for p in found or () if p.scores), ())


def _matched(
    source: Sequence[Prediction], inside: Sequence[AnnotatedThread], which: str
) -> list[Prediction]:
    """The predictions of some threads, in their order."""
    model_id(source)
    wanted = Counter(item.thread.id for item in inside)
    given = {p.thread_id: p for p in source}
    twice = [n for name, n in Counter(p.thread_id for p in source).items() if name in wanted]
    if max([*twice, *wanted.values()], default=1) > 1:
        raise CorpusError(
            f"{which}: several threads have one id, so predictions cannot be told apart; expected "
            "ids of their own, and one prediction for each"
        )
    if lacking := sum(name not in given for name in wanted):
        raise CorpusError(
            f"{which}: no predictions for {lacking} of {len(inside)} labelled threads (by id); "
            "expected all of them: classify this corpus, whole"
        )
    found = [given[item.thread.id] for item in inside]
    # Ids may be plain numbers; who speaks when is what a prediction keeps of the text.
    strangers = sum(
        bool(p.structure.roles) and p.structure.roles != tuple(t.role for t in item.thread.turns)
        for p, item in zip(found, inside, strict=True)
    )
    if strangers:
        raise CorpusError(
            f"{which}: {strangers} of {len(inside)} predictions are of threads with the same id "
            "and other turns; expected predictions of this corpus"
        )
    if inside and len({tuple(sorted(p.scores)) for p in found if p.scores}) != 1:
        raise CorpusError(
            f"{which}: the predictions have no scores, or not all of the same labels; expected "
            "those of one model"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Answers:
    """One model's answers as arrays, so that thousands of draws take seconds."""

    true: npt.NDArray[np.int64]
    said: npt.NDArray[np.int64]
    """Place of the best score; the number of labels where there are no scores."""
    right: npt.NDArray[np.bool_]
    scored: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        predictions: Sequence[Prediction],
        true: npt.NDArray[np.int64],
        names: Sequence[str],
    ) -> _Answers:
        said = evaluation.codes([p.best and str(p.best) for p in predictions], names)
        scores = [[p.scores.get(name, 0.0) for name in names] for p in predictions]
        return cls(true, said, said == true, said < len(names), np.array(scores))

    def figures(
        self,
        rows: npt.NDArray[np.int64],
        scored: npt.NDArray[np.bool_],
        mean: Sequence[int],
    ) -> list[float]:
        """Accuracy, macro-F1 over the labels of ``mean``, Brier score, ECE, F1 of every label."""
        f1 = evaluation.f1_of_codes(self.true[rows], self.said[rows], self.scores.shape[1])
        read = rows[scored[rows]]
        brier = ece = 0.0
        if len(read):
            brier = evaluation.brier(self.scores[read], self.true[read])
            ece = evaluation.calibration_error(self.scores[read].max(1), self.right[read])
        return [float(self.right[rows].mean()), float(f1[mean].mean()), brier, ece, *f1.tolist()]

"""A classifier measured on labelled threads: one table for the model card and for anybody's corpus.

Intervals are bootstraps over creators (posts, where no creator is known), so they hold for
creators that were not seen, not for more threads of the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from intimacy import evaluation, prevalence
from intimacy.annotation import AnnotatedThread
from intimacy.bundle import Manifest
from intimacy.classifier import Classifier
from intimacy.errors import CorpusError
from intimacy.prediction import Prediction
from intimacy.schema import Label, Reason

ENOUGH = 30
"""Threads of a label below which its F1 says too little to go into a mean."""
SIZES = (20, 50, 100, 200)
"""Threads of a creator for which the error of shares is measured."""
COVERAGES = (0.9, 0.8)
_MIXES = 50
_FITTED = ("train", "dev")
_OUT = {Reason.OUT_OF_SCOPE, Reason.NOT_ITALIAN, Reason.TOO_SHORT, Reason.EMPTY}


def assess(
    classifier: Classifier,
    items: Sequence[AnnotatedThread],
    *,
    rivals: Mapping[str, Sequence[Hashable]] | None = None,
    progress: bool | None = False,
) -> dict[str, Any]:
    """Figures of the model and of its rivals on the same threads, ready for JSON.

    Threads that annotators left out of scope count for the scope figures only. Macro-F1 is over
    the labels that at least `ENOUGH` threads have. The model's label is its best score, so that
    abstaining cannot improve the F1; the selective figures stand beside it.

    Args:
        classifier: The model.
        items: Threads to measure on.
        rivals: Name → labels given to the items that have a label, in their order.
        progress: Bar on stderr; None shows one on a terminal for more than 200 threads.

    Returns: ``n``, ``n_by_label``, ``labels`` (those in the mean), ``clusters``, ``macro_f1``
        (name → figure, 95 % interval, None where all threads are of one creator, F1 of each
        label), ``ece`` beside ``ece_by_chance``, ``brier``, ``aurc``, ``macro_f1_at`` (coverage →
        figure), ``coverage``, ``accuracy_where_labelled``, ``share_error`` (threads → mean total
        variation distance of corrected and of counted shares), ``reliability``, ``confusion``
        (truth in rows), ``scope``, ``pairs`` (contrast twins: their number, and the share of those
        of which every member is right, by candidate), ``by_source`` (source → threads, figure and
        interval over the labels that it has enough of), ``prevalence`` (assumed mix → figures
        under it).

    Raises:
        CorpusError: When no item has a label.
    """
    names = classifier.manifest.labels
    inside = in_scope(items, names, by=classifier.bundle.model_id)
    truth = [str(item.label) for item in inside]
    labels = enough(truth, names)
    predictions = classifier.classify_threads([item.thread for item in items], progress=progress)
    found = [p for p, item in zip(predictions, items, strict=True) if item.label is not None]
    # Where no model was run (no text at all) there are no scores; that counts as a miss.
    best = [str(p.best) for p in found]
    candidates: dict[str, Sequence[Hashable]] = {"model": best, **(rivals or {})}
    clusters = [item.cluster for item in inside]
    table = {name: _row(truth, said, labels, clusters, names) for name, said in candidates.items()}
    if annotators := _annotators(inside, labels, names):
        table["one_annotator_by_another"] = annotators
    scored = [i for i, p in enumerate(found) if p.scores]
    scores = np.array([[found[i].scores[n] for n in names] for i in scored]).reshape(-1, len(names))
    index = np.array([names.index(truth[i]) for i in scored], dtype=np.int64)
    confidence, right = scores.max(1, initial=0.0), scores.argmax(1) == index
    labelled = [i for i, p in enumerate(found) if p.label is not None]
    kept = {
        share: [scored[row] for row in evaluation.most_confident(confidence, share)]
        for share in COVERAGES
    }
    return {
        "n": len(inside),
        "n_by_label": {name: truth.count(name) for name in names},
        "labels": labels,
        "clusters": len(set(clusters)),
        "macro_f1": table,
        "ece": _r(evaluation.calibration_error(confidence, right)),
        "ece_by_chance": _r(evaluation.calibration_error_by_chance(confidence)),
        "brier": _r(evaluation.brier(scores, index)) if scored else None,
        "aurc": _r(evaluation.risk_coverage_area(confidence, right)),
        "macro_f1_at": {
            f"{share:.0%}": _r(
                evaluation.macro_f1([truth[i] for i in rows], [best[i] for i in rows], labels)
            )
            for share, rows in kept.items()
        },
        "coverage": _r(len(labelled) / len(inside)),
        "accuracy_where_labelled": _r(
            sum(str(found[i].label) == truth[i] for i in labelled) / max(1, len(labelled))
        ),
        "share_error": share_error(classifier.manifest, found, truth),
        "reliability": [
            {"n": b.n, "confidence": _r(b.confidence), "accuracy": _r(b.accuracy)}
            for b in evaluation.reliability(confidence, right)
        ],
        "confusion": evaluation.confusion(
            [truth[i] for i in scored], [best[i] for i in scored], names
        ),
        "scope": _scope(items, predictions),
        "pairs": _pairs(inside, candidates),
        "by_source": _by_source(inside, best, names),
        "prevalence": _prevalence(classifier.manifest, scores, index, labels),
    }


def in_scope(
    items: Sequence[AnnotatedThread], names: Sequence[str], *, by: str
) -> list[AnnotatedThread]:
    """The threads that have a label, which whoever is measured can give.

    Args:
        items: Threads.
        names: Labels that can be given.
        by: Who gives them, for the message.

    Raises:
        CorpusError: When no thread has a label, or one that is not among ``names``.
    """
    inside = [item for item in items if item.label is not None]
    if not inside:
        raise CorpusError(f"none of {len(items)} threads has a label; expected labelled threads")
    if unknown := sorted({str(item.label) for item in inside} - set(names)):
        raise CorpusError(
            f"the corpus has the labels {', '.join(unknown)}, which {by} does not know; expected "
            f"some of: {', '.join(names)}"
        )
    return inside


def enough(truth: Sequence[str], names: Sequence[str]) -> list[str]:
    """Labels with `ENOUGH` threads, over which F1 is averaged; all where none has as many."""
    return [name for name in names if truth.count(name) >= ENOUGH] or list(names)


def sets(items: Iterable[AnnotatedThread]) -> dict[str, list[AnnotatedThread]]:
    """What to measure on: each split that nothing was fitted to, texts joined from elsewhere apart.

    A corpus that states no splits is one set. Sets without a labelled thread are left out.
    """
    out: dict[str, list[AnnotatedThread]] = {}
    for item in items:
        if item.split not in _FITTED:
            name = "real" if item.source is not None else item.split or "corpus"
            out.setdefault(name, []).append(item)
    return {name: part for name, part in out.items() if any(i.label is not None for i in part)}


def simple_rivals(
    items: Sequence[AnnotatedThread], train: Sequence[AnnotatedThread]
) -> dict[str, list[str]]:
    """What needs no learning: the commonest label of ``train``, and the rules of structure."""
    inside = [item for item in items if item.label is not None]
    common = evaluation.majority([str(i.label) for i in (train or items) if i.label is not None])
    out = {"majority": [str(common)] * len(inside)}
    if all(isinstance(item.label, Label) for item in inside):
        out["structure_rules"] = [str(evaluation.structure_rules(i.thread)) for i in inside]
    return out


def share_error(
    manifest: Manifest, predictions: Sequence[Prediction], truth: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """How far shares are from the truth on creators of any mix, by the number of their threads.

    Mixes are drawn uniformly (Dirichlet of ones over the labels that occur) and threads to match
    them, with replacement. The error is the total variation distance, in [0, 1]: of the shares
    as profiles correct them, and by the other methods of `intimacy.prevalence.point_estimates`.
    Empty where the model brings no error rates.
    """
    known = manifest.errors.get("label")
    if known is None:
        return {}
    names = manifest.labels
    prior = [manifest.prior.get(name, 0.0) for name in names]
    cells = np.array([prevalence.cell(p.scores, names) for p in predictions])
    best = cells.argmax(1)
    rng = np.random.default_rng(0)
    by_label = {
        name: [i for i, t in enumerate(truth) if t == name and predictions[i].scores]
        for name in names
    }
    present = [name for name in names if by_label[name]]
    out: dict[str, dict[str, float | None]] = {}
    for size in SIZES:
        errors: dict[str, list[float]] = {}
        for _ in range(_MIXES):
            numbers = rng.multinomial(size, rng.dirichlet(np.ones(len(present))))
            rows = [
                int(row)
                for name, n in zip(present, numbers, strict=True)
                for row in rng.choice(by_label[name], n)
            ]
            real = _shares(Counter(truth[i] for i in rows), names)
            drawn = prevalence.posterior(
                np.bincount(best[rows], minlength=len(names)),
                known,
                possible=(cells[rows] > 0).any(0),
                draws=400,
            )
            found = {
                "corrected": drawn.mean(0),
                **prevalence.point_estimates(cells[rows], known, prior),
            }
            for method, shares in found.items():
                errors.setdefault(method, []).append(float(np.abs(shares - real).sum() / 2))
        out[str(size)] = {name: _r(float(np.mean(values))) for name, values in errors.items()}
    return out


def _shares(counts: Mapping[str, int], names: Sequence[str]) -> npt.NDArray[np.float64]:
    values = np.array([counts.get(name, 0) for name in names], dtype=np.float64)
    shares: npt.NDArray[np.float64] = values / values.sum()
    return shares


def _row(
    truth: Sequence[str],
    said: Sequence[Hashable],
    labels: Sequence[str],
    clusters: Sequence[str],
    names: Sequence[str],
) -> dict[str, Any]:
    true, given = evaluation.codes(truth, labels), evaluation.codes(said, labels)

    def score(rows: npt.NDArray[np.int64]) -> list[float]:
        return [float(evaluation.f1_of_codes(true[rows], given[rows], len(labels)).mean())]

    figure = evaluation.cluster_intervals(score, clusters)[0]
    by_label = evaluation.f1_by_label(truth, said, names)
    return {
        "macro_f1": _r(figure.estimate),
        "interval": None if figure.low is None else [_r(figure.low), _r(figure.high)],
        "f1": {str(label): _r(value) for label, value in by_label.items()},
    }


def _annotators(
    inside: Sequence[AnnotatedThread], labels: Sequence[str], names: Sequence[str]
) -> dict[str, Any] | None:
    """F1 of the first blind annotator measured by the second, where both gave a label.

    F1 is the same the other way round.
    """
    both = []
    for item in inside:
        blind = [vote for vote in item.votes if not vote.get("adjudicates")][:2]
        said = [vote.get("label") for vote in blind]
        if len(said) == 2 and all(said):
            both.append((str(said[0]), str(said[1]), item.cluster))
    if len(both) < ENOUGH:
        return None
    first, second, clusters = zip(*both, strict=True)
    return _row(second, first, labels, clusters, names) | {"n": len(both)}


def _pairs(
    inside: Sequence[AnnotatedThread], candidates: Mapping[str, Sequence[Hashable]]
) -> dict[str, Any]:
    """Contrast twins (Gardner et al. 2020): a pair counts where both of its threads are right."""
    members: dict[str, list[int]] = {}
    for row, item in enumerate(inside):
        if item.pair_id is not None:
            members.setdefault(item.pair_id, []).append(row)
    pairs = [rows for rows in members.values() if len(rows) > 1]
    return {
        "n": len(pairs),
        "consistent": {
            name: _r(
                sum(all(said[i] == str(inside[i].label) for i in rows) for rows in pairs)
                / len(pairs)
            )
            for name, said in candidates.items()
        }
        if pairs
        else {},
    }


def _by_source(
    inside: Sequence[AnnotatedThread], best: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    rows: dict[str, list[int]] = {}
    for i, item in enumerate(inside):
        if item.source is not None:
            rows.setdefault(item.source, []).append(i)
    out = {}
    for source, mine in sorted(rows.items(), key=lambda found: -len(found[1])):
        truth = [str(inside[i].label) for i in mine]
        labels = [name for name in names if truth.count(name) >= ENOUGH]
        found = _row(
            truth,
            [best[i] for i in mine],
            labels or names,
            [inside[i].cluster for i in mine],
            names,
        )
        out[source] = {
            "n": len(mine),
            "labels": labels,
            "accuracy": _r(sum(best[i] == str(inside[i].label) for i in mine) / len(mine)),
            "macro_f1": found["macro_f1"] if labels else None,
            "interval": found["interval"] if labels else None,
        }
    return out


def _prevalence(
    manifest: Manifest,
    scores: npt.NDArray[np.float64],
    index: npt.NDArray[np.int64],
    labels: Sequence[str],
) -> dict[str, Any]:
    """The same scores under other assumed mixes: what choosing one does (Saerens et al. 2002)."""
    if not len(scores):
        return {}
    names = manifest.labels
    declared = np.array([manifest.prior.get(name, 1 / len(names)) for name in names])
    mixes = {
        "declared": declared,
        "uniform": np.full(len(names), 1 / len(names)),
        "of this set": np.bincount(index, minlength=len(names)) / len(index),
    }
    out = {}
    for name, mix in mixes.items():
        moved = scores * mix / declared.clip(min=1e-9)
        moved /= moved.sum(1, keepdims=True).clip(min=1e-12)
        said = moved.argmax(1)
        figure = evaluation.macro_f1([names[i] for i in index], [names[i] for i in said], labels)
        out[name] = {
            "mix": {label: _r(float(share)) for label, share in zip(names, mix, strict=True)},
            "macro_f1": _r(figure),
            "accuracy": _r(float((said == index).mean())),
            "ece": _r(evaluation.calibration_error(moved.max(1), said == index)),
            "brier": _r(evaluation.brier(moved, index)),
        }
    return out


def _scope(items: Sequence[AnnotatedThread], predictions: Sequence[Prediction]) -> dict[str, Any]:
    truth = [bool(item.flags) for item in items]
    said = [p.reason in _OUT for p in predictions]
    f1 = evaluation.f1_by_label(truth, said, [True])[True]
    return {"n_out": sum(truth), "f1_out": _r(f1)}


def _r(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

"""Figures on held-out personas beside the baselines of the same run, and the model card."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from intimacy import evaluation
from intimacy.annotation import AnnotatedThread
from intimacy.bundle import Manifest
from intimacy.classifier import Classifier
from intimacy.schema import Label, Reason
from intimacy.training import baselines

_LABELS = tuple(str(label) for label in Label)
_ENOUGH = 30
"""Threads of a label below which its F1 says too little to go into a mean."""


def evaluate(
    classifier: Classifier, parts: Mapping[str, Sequence[AnnotatedThread]]
) -> dict[str, Any]:
    """Figures on every held-out set there is: ``test``, ``challenge``, ``real``.

    ``real`` are the threads of ``test`` whose text was joined from elsewhere. See `measure`.
    """
    train = [item for item in parts["train"] if item.label is not None]
    sets = {
        "test": [item for item in parts["test"] if item.source is None],
        "challenge": parts.get("challenge", ()),
        "real": [item for item in parts["test"] if item.source is not None],
    }
    return {
        name: measure(classifier, train, items)
        for name, items in sets.items()
        if any(item.label is not None for item in items)
    }


def measure(
    classifier: Classifier, train: Sequence[AnnotatedThread], items: Sequence[AnnotatedThread]
) -> dict[str, Any]:
    """Macro-F1 of the model and of every baseline, with 95 % intervals.

    Threads that annotators left out of scope count for the scope figures only. The mean is over
    the labels that enough threads have. The model's label is its best score, so that abstaining
    cannot improve the F1; the selective figures stand beside it.

    Args:
        classifier: The model.
        train: Threads in scope that the baselines learn from.
        items: Threads to measure on.
    """
    inside = [item for item in items if item.label is not None]
    truth = [str(item.label) for item in inside]
    labels = [name for name in _LABELS if truth.count(name) >= _ENOUGH] or list(_LABELS)
    clusters = [item.cluster for item in inside]
    predictions = classifier.classify_threads([item.thread for item in inside], progress=False)
    # Where no model was run (no text at all) there are no scores; that counts as a miss.
    best = [max(p.scores, key=p.scores.__getitem__) if p.scores else "" for p in predictions]
    candidates: dict[str, Sequence[Hashable]] = {
        "model": best,
        "majority": [evaluation.majority([str(i.label) for i in train])] * len(inside),
        "structure_rules": [str(evaluation.structure_rules(i.thread)) for i in inside],
        "tfidf_logistic_regression": baselines.tfidf_logistic_regression(train, inside),
    }
    table = {}
    for name, predicted in candidates.items():

        def score(rows: Sequence[int], predicted: Sequence[Hashable] = predicted) -> float:
            return evaluation.macro_f1(
                [truth[i] for i in rows], [predicted[i] for i in rows], labels
            )

        figure = evaluation.cluster_interval(score, clusters)
        by_label = evaluation.f1_by_label(truth, predicted, _LABELS)
        table[name] = {
            "macro_f1": _r(figure.estimate),
            "interval": [_r(figure.low), _r(figure.high)],
            "f1": {str(label): _r(value) for label, value in by_label.items()},
        }
    scored = [i for i, p in enumerate(predictions) if p.scores]
    scores = np.array([[predictions[i].scores[n] for n in _LABELS] for i in scored])
    index = np.array([_LABELS.index(truth[i]) for i in scored])
    right = scores.argmax(1) == index
    labelled = [i for i, p in enumerate(predictions) if p.label is not None]
    return {
        "n": len(inside),
        "n_by_label": {name: truth.count(name) for name in _LABELS},
        "labels": labels,
        "clusters": len(set(clusters)),
        "macro_f1": table,
        "ece": _r(evaluation.calibration_error(scores.max(1), right)),
        "brier": _r(evaluation.brier(scores, index)),
        "coverage": _r(len(labelled) / len(inside)),
        "accuracy_where_labelled": _r(
            sum(str(predictions[i].label) == truth[i] for i in labelled) / max(1, len(labelled))
        ),
        "scope": _scope(classifier, items),
    }


def _scope(classifier: Classifier, items: Sequence[AnnotatedThread]) -> dict[str, Any]:
    out = {Reason.OUT_OF_SCOPE, Reason.NOT_ITALIAN, Reason.TOO_SHORT, Reason.EMPTY}
    found = classifier.classify_threads([item.thread for item in items], progress=False)
    truth = [bool(item.flags) for item in items]
    said = [p.reason in out for p in found]
    f1 = evaluation.f1_by_label(truth, said, [True])[True]
    return {"n_out": sum(truth), "f1_out": _r(f1)}


def _r(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


_TITLES = {
    "test": "held-out creators (authored)",
    "challenge": "the boundary cases of the codebook (authored)",
    "real": "real comments",
}


def card(manifest: Manifest) -> str:
    """The model card, every figure from the run that made the model."""
    made = manifest.training
    parts = ", ".join(
        f"{part} {n} threads of {made['personas'][part]} creators"
        for part, n in made["threads"].items()
    )
    prior = ", ".join(f"{name} {share:.2f}" for name, share in manifest.prior.items())
    figures = "\n\n".join(_section(name, found) for name, found in made["figures"].items())
    real = made["real_comments"]
    return f"""---
language: it
license: apache-2.0
library_name: intimacy
tags: [text-classification, conversation, italian]
---
# {manifest.name} {manifest.version}

Tags a thread under an Italian creator's post with one of four kinds of communicative intimacy:
commercial, interactive, reciprocal, disclosive (docs/codebook.md says what each means). One
transformer encoder, pooled by who speaks, with a head for the label, one for scope and one for
each other attribute of the codebook.

## What it was trained on

**Synthetic threads, written by a language model and annotated by language-model runs**
(agreement is between independent runs, not between persons), and {real} real comments and pairs
with labels given in the same way. Split by creator persona, real comments by post: {parts}.
The encoder started from sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0; trained by its
authors on S2ORC, MS MARCO, Reddit and other English pairs) and was distilled over
English–Italian sentence pairs and trained on masked Italian words; tokenizer and embeddings are
new: the weights were changed. Part of that text has no licence or a non-commercial one and was
used for text and data mining only.

## Figures

95 % intervals by bootstrap over creators (posts, for real comments). Macro-F1 is over the labels
that at least {_ENOUGH} threads of the set have.

{figures}

Labels with fewer than {_ENOUGH} real threads have no real evidence: what it says of them outside
authored text is unproven.

## Use

Scores are conditional on the thread being in scope and assume the training mix ({prior});
profiles correct for other mixes. Temperature {manifest.temperature:.2f}, threshold
{manifest.threshold:.2f}, fitted on development creators. Not for judging single persons, not
for other languages. Known to be weak: irony, dialect, threads that hang on something seen in
the video. Intimacy here is what is communicated, not what is felt.
"""


def _section(name: str, found: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"| {candidate.replace('_', ' ')} | {row['macro_f1']:.3f} "
        f"[{row['interval'][0]:.3f}, {row['interval'][1]:.3f}] | "
        + " | ".join(f"{row['f1'][label]:.3f}" for label in _LABELS)
        + " |"
        for candidate, row in found["macro_f1"].items()
    )
    counts = " | ".join(str(found["n_by_label"][label]) for label in _LABELS)
    return f"""### {found["n"]} threads in scope: {_TITLES[name]}

| | macro-F1 over {", ".join(found["labels"])} | {" | ".join(_LABELS)} |
|---|---|---|---|---|---|
| threads | {found["n"]} | {counts} |
{rows}

Expected calibration error (15 bins of equal mass) {found["ece"]:.3f}; Brier {found["brier"]:.3f}.
It answers {found["coverage"]:.0%} of the threads in scope, and is right on
{found["accuracy_where_labelled"]:.0%} of those. Out of scope or not Italian: F1
{found["scope"]["f1_out"]:.2f} over {found["scope"]["n_out"]} such threads."""

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


def evaluate(
    classifier: Classifier, parts: Mapping[str, Sequence[AnnotatedThread]]
) -> dict[str, Any]:
    """Macro-F1 of the model and of every baseline on the test personas, with 95 % intervals.

    Threads that annotators left out of scope count for the scope figures only. The model's
    label is its best score, so that abstaining cannot improve the F1; the selective figures
    stand beside it.
    """
    inside = [item for item in parts["test"] if item.label is not None]
    train = [item for item in parts["train"] if item.label is not None]
    truth = [str(item.label) for item in inside]
    personas = [item.persona for item in inside]
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
                [truth[i] for i in rows], [predicted[i] for i in rows], _LABELS
            )

        figure = evaluation.cluster_interval(score, personas)
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
        "personas": len(set(personas)),
        "macro_f1": table,
        "ece": _r(evaluation.calibration_error(scores.max(1), right)),
        "brier": _r(evaluation.brier(scores, index)),
        "coverage": _r(len(labelled) / len(inside)),
        "accuracy_where_labelled": _r(
            sum(str(predictions[i].label) == truth[i] for i in labelled) / max(1, len(labelled))
        ),
        "scope": _scope(classifier, parts["test"]),
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


def card(manifest: Manifest) -> str:
    """The model card, every figure from the run that made the model."""
    made = manifest.training
    test = made["test"]
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {row['macro_f1']:.3f} "
        f"[{row['interval'][0]:.3f}, {row['interval'][1]:.3f}] | "
        + " | ".join(f"{row['f1'][label]:.3f}" for label in _LABELS)
        + " |"
        for name, row in test["macro_f1"].items()
    )
    parts = ", ".join(
        f"{part} {n} threads of {made['personas'][part]} personas"
        for part, n in made["threads"].items()
    )
    prior = ", ".join(f"{name} {share:.2f}" for name, share in manifest.prior.items())
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

**Synthetic threads, written by a language model and annotated by language models**, not real
comments. Split by creator persona: {parts}. Nothing here shows how it does on real threads.
The encoder was distilled from sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0; trained by
its authors on S2ORC, MS MARCO, Reddit and other English pairs) over English–Italian sentence
pairs; layers were dropped, tokenizer and embeddings are new: the weights were changed.

## Figures on held-out personas

{test["n"]} threads in scope of {test["personas"]} personas; 95 % intervals by bootstrap over
personas.

| | macro-F1 | commercial | interactive | reciprocal | disclosive |
|---|---|---|---|---|---|
{rows}

Expected calibration error (15 bins of equal mass) {test["ece"]:.3f}; Brier {test["brier"]:.3f}.
It answers {test["coverage"]:.0%} of the threads in scope, and is right on
{test["accuracy_where_labelled"]:.0%} of those. Out of scope or not Italian: F1
{test["scope"]["f1_out"]:.2f} over {test["scope"]["n_out"]} such threads.

## Use

Scores are conditional on the thread being in scope and assume the training mix ({prior});
profiles correct for other mixes. Temperature {manifest.temperature:.2f}, threshold
{manifest.threshold:.2f}, fitted on development personas. Not for judging single persons, not
for other languages. Known to be weak: irony, dialect, threads that hang on something seen in
the video. Intimacy here is what is communicated, not what is felt.
"""

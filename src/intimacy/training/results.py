"""Figures on held-out personas beside the baselines of the same run, and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import util
from typing import Any

import numpy as np

from intimacy import assessment, behaviour, evaluation, scorecard
from intimacy.annotation import AnnotatedThread
from intimacy.bundle import Bundle, Manifest
from intimacy.classifier import Classifier
from intimacy.training import baselines
from intimacy.training.baselines import Predictor
from intimacy.training.model import TorchBackend, load

_Parts = Mapping[str, Sequence[AnnotatedThread]]
PARITY = 500
"""Threads on which the exported network is held against the one that was trained."""


def evaluate(
    chosen: Bundle, networks: Sequence[Bundle], parts: _Parts, *, encoder: str
) -> dict[str, Any]:
    """Figures on every held-out set there is, see `intimacy.assessment`.

    Args:
        chosen: The model.
        networks: Those of all seeds, the chosen one among them; of several, ``seeds`` holds the
            macro-F1 of each.
        parts: Splits; the baselines learn from ``train``.
        encoder: What the networks started from, for the baseline that leaves it as it is.
    """
    sets = assessment.sets(_held_out(parts))
    fitted = fit_baselines(parts["train"]) | thorough_baselines(
        parts["train"], encoder=encoder, manifest=chosen.manifest
    )
    classifier = Classifier(chosen)
    figures = {
        name: assessment.assess(classifier, items, rivals=answers(fitted, items, parts["train"]))
        for name, items in sets.items()
    }
    if len(networks) > 1:
        several = [Classifier(network) for network in networks]
        for name, items in sets.items():
            figures[name]["seeds"] = [
                _macro_f1(each, items, figures[name]["labels"]) for each in several
            ]
    return figures


def _held_out(parts: _Parts) -> list[AnnotatedThread]:
    return [item for name in ("test", "challenge") for item in parts.get(name, ())]


def _macro_f1(
    classifier: Classifier, items: Sequence[AnnotatedThread], labels: Sequence[str]
) -> float:
    inside = [item for item in items if item.label is not None]
    found = classifier.classify_threads([item.thread for item in inside], progress=False)
    said = [max(p.scores, key=p.scores.__getitem__) if p.scores else "" for p in found]
    return round(evaluation.macro_f1([str(i.label) for i in inside], said, labels), 4)


def fit_baselines(train: Sequence[AnnotatedThread]) -> dict[str, Predictor]:
    """What ``train`` can teach in seconds."""
    known = [item for item in train if item.label is not None]
    return {"tfidf_logistic_regression": baselines.tfidf_logistic_regression(known)}


def thorough_baselines(
    train: Sequence[AnnotatedThread], *, encoder: str, manifest: Manifest
) -> dict[str, Predictor]:
    """What takes minutes: the encoder left as it is and, where it is installed, spaCy."""
    known = [item for item in train if item.label is not None]
    out = {
        "frozen_encoder": baselines.frozen_encoder(known, encoder=encoder, render=manifest.render)
    }
    if util.find_spec("spacy"):
        out["spacy_textcat"] = baselines.spacy_textcat(known)
    return out


def answers(
    fitted: Mapping[str, Predictor],
    items: Sequence[AnnotatedThread],
    train: Sequence[AnnotatedThread],
) -> dict[str, list[str]]:
    """Labels of ``items`` in scope by the baselines, and by what needs no fitting."""
    inside = [item for item in items if item.label is not None]
    simple = assessment.simple_rivals(inside, train)
    return simple | {name: predict(inside) for name, predict in fitted.items()}


def parity(chosen: Bundle, parts: _Parts) -> dict[str, float | int]:
    """The exported network beside the one that was trained, on held-out threads."""
    threads = [item.thread for item in _held_out(parts)][:PARITY]
    network = load(chosen.path, chosen.manifest.heads)
    exported = Classifier(chosen).classify_threads(threads, progress=False)
    trained = Classifier(chosen, TorchBackend(network)).classify_threads(threads, progress=False)
    pairs = [(e, t) for e, t in zip(exported, trained, strict=True) if e.scores]
    differences = np.abs(
        [[e.scores[name] - t.scores[name] for name in e.scores] for e, t in pairs]
    ).max(1)
    return {
        "n": len(threads),
        "labels_identical": round(
            sum(e.label == t.label for e, t in zip(exported, trained, strict=True)) / len(threads),
            4,
        ),
        "mean_score_difference": round(float(differences.mean()), 5),
        "largest_score_difference": round(float(differences.max()), 5),
    }


def behave(chosen: Bundle, parts: _Parts) -> dict[str, dict[str, float | int | None]]:
    """Pass rate of every behaviour test over the authored threads that are held out."""
    authored = [item for item in _held_out(parts) if item.source is None]
    return {
        name: {"n": outcome.n, "rate": None if outcome.rate is None else round(outcome.rate, 4)}
        for name, outcome in behaviour.run(Classifier(chosen), authored).items()
    }


def card(manifest: Manifest) -> str:
    """The model card, every figure from the run that made the model."""
    made = manifest.training
    parts = ", ".join(
        f"{part} {n} threads of {made['personas'][part]} creators"
        for part, n in made["threads"].items()
    )
    prior = ", ".join(f"{name} {share:.2f}" for name, share in manifest.prior.items())
    figures = scorecard.report(made["figures"])
    real = made["real_comments"]
    parity = made["parity"]
    tests = "\n".join(
        f"| {name} | {row['n']} | {'—' if row['rate'] is None else format(row['rate'], '.1%')} |"
        for name, row in made["behaviour"].items()
    )
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
that at least {assessment.ENOUGH} threads of the set have.

{figures}

Labels with fewer than {assessment.ENOUGH} real threads have no real evidence: what it says of
them outside authored text is unproven.

## Behaviour tests

Share of the held-out authored threads that keep their label, or change it where they must
(`intimacy.behaviour`, after Ribeiro et al. 2020):

| | threads | passed |
|---|---|---|
{tests}

## Export

The 8-bit ONNX network beside the one that was trained, on {parity["n"]} held-out threads: labels
(abstentions among them) identical on {parity["labels_identical"]:.1%}; a score differs by
{parity["mean_score_difference"]:.4f} on average, by {parity["largest_score_difference"]:.4f} at
most.

## Use

Scores are conditional on the thread being in scope and assume the training mix ({prior});
profiles correct for other mixes. Temperature {manifest.temperature:.2f}, threshold
{manifest.threshold:.2f}, fitted on development creators. Not for judging single persons, not
for other languages. Known to be weak: irony, dialect, threads that hang on something seen in
the video. Intimacy here is what is communicated, not what is felt.
"""

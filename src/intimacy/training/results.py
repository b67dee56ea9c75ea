"""Figures on held-out personas beside the baselines of the same run, and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from intimacy import assessment, behaviour
from intimacy.annotation import AnnotatedThread
from intimacy.bundle import Manifest
from intimacy.classifier import Classifier
from intimacy.training import baselines


def evaluate(
    classifier: Classifier, parts: Mapping[str, Sequence[AnnotatedThread]]
) -> dict[str, Any]:
    """Figures on every held-out set there is, see `intimacy.assessment`.

    The rivals learn from ``train``.
    """
    held_out = [i for name in ("test", "challenge") for i in parts.get(name, ())]
    return {
        name: assessment.assess(classifier, items, rivals=rivals(items, parts["train"]))
        for name, items in assessment.sets(held_out).items()
    }


def rivals(
    items: Sequence[AnnotatedThread], train: Sequence[AnnotatedThread]
) -> dict[str, list[str]]:
    """Labels of ``items`` in scope by everything simpler that ``train`` can teach."""
    known, asked = ([i for i in part if i.label is not None] for part in (train, items))
    return assessment.simple_rivals(asked, known) | {
        "tfidf_logistic_regression": baselines.tfidf_logistic_regression(known, asked)
    }


def behave(
    classifier: Classifier, parts: Mapping[str, Sequence[AnnotatedThread]]
) -> dict[str, dict[str, float | int | None]]:
    """Pass rate of every behaviour test over the authored threads that are held out."""
    held_out = [
        i for name in ("test", "challenge") for i in parts.get(name, ()) if i.source is None
    ]
    return {
        name: {"n": outcome.n, "rate": None if outcome.rate is None else round(outcome.rate, 4)}
        for name, outcome in behaviour.run(classifier, held_out).items()
    }


def card(manifest: Manifest) -> str:
    """The model card, every figure from the run that made the model."""
    made = manifest.training
    parts = ", ".join(
        f"{part} {n} threads of {made['personas'][part]} creators"
        for part, n in made["threads"].items()
    )
    prior = ", ".join(f"{name} {share:.2f}" for name, share in manifest.prior.items())
    figures = assessment.report(made["figures"])
    real = made["real_comments"]
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

## Use

Scores are conditional on the thread being in scope and assume the training mix ({prior});
profiles correct for other mixes. Temperature {manifest.temperature:.2f}, threshold
{manifest.threshold:.2f}, fitted on development creators. Not for judging single persons, not
for other languages. Known to be weak: irony, dialect, threads that hang on something seen in
the video. Intimacy here is what is communicated, not what is felt.
"""

"""The model card, every figure from the run that made the model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from intimacy import assessment, scorecard
from intimacy.bundle import Manifest
from intimacy.text import mask_pii


def write(
    manifest: Manifest,
    *,
    about: str | None = None,
    notice: str | None = None,
    failures: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """The model card.

    Args:
        manifest: Of the finished model; every figure is in it.
        about: Where the corpus comes from, in Markdown.
        notice: Where the encoder comes from, in Markdown.
        failures: From `intimacy.training.results.failures`; None shows no text.
    """
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

{about or _UNSAID}

Split by creator, texts joined from elsewhere by post: {parts}; {real} of the training threads are
joined texts. {_agreement(made["agreement"])}

{notice or f"The encoder is {made['encoder']}; see its own card."}

## What the labels mean

| label | the relation in the thread is built on |
|---|---|
| `commercial` | something that can be bought or promoted |
| `interactive` | followers writing to the creator; feedback only possible, or a token |
| `reciprocal` | an exchange: the creator answers with content |
| `disclosive` | the creator telling something of their own life |

docs/codebook.md is the authority.

## Figures

95 % intervals by bootstrap over creators (posts, for real comments). Macro-F1 is over the labels
that at least {assessment.ENOUGH} threads of the set have.

{figures}

{_unproven(made["figures"])}

## Behaviour tests

Share of the held-out authored threads that keep their label, or change it where they must
(`intimacy.behaviour`, after Ribeiro et al. 2020). The first two are also how training varies
threads, with other tokens:

| | threads | passed |
|---|---|---|
{tests}

## Export

The 8-bit ONNX network beside the one that was trained, on {parity["n"]} held-out threads: the best
label is the same on {parity["labels_identical"]:.1%}, the answer (a label, or none where the
threshold of abstention is crossed) on {parity["decisions_identical"]:.1%}; a score differs by
{parity["mean_score_difference"]:.4f} on average, by {parity["largest_score_difference"]:.4f} at
most.

## What it gets wrong

{_wrong(failures)}

## How it was made

{_made(made)}

## Use

**Meant for**: describing how a creator and their community relate, over many threads, with the
intervals that `intimacy.profile` gives; finding threads to read. **Not for**: judging or ranking
single persons, followers or creators; deciding on contracts or moderation by itself; other
languages; private messages.

Scores are conditional on the thread being in scope and assume the training mix ({prior});
profiles correct for other mixes. Temperature {manifest.temperature:.2f}, threshold
{manifest.threshold:.2f}, fitted on development creators. Known to be weak:
irony, dialect, threads that hang on something seen in the video. Intimacy here is what is
communicated, not what is felt.
"""


def draft(manifest: Manifest) -> str:
    """The beginning of a card for a model of `IntimacyClassifier`, which knows no held-out set."""
    made, report = manifest.training, manifest.training["report"]
    return f"""---
language: {manifest.language}
library_name: intimacy
tags: [text-classification, conversation]
---
# {manifest.name}

A draft: what only you know stands in brackets.

- Labels: {", ".join(manifest.labels)}. [What each means, and who gave them.]
- Trained on {report["n_train"]} threads of {report["groups"]["train"]} creators [where from, under
  which licence], starting from {made["encoder"]}.
- Stopped, calibrated and its threshold chosen on {report["n_calibration"]} threads of
  {report["groups"]["dev"]} other creators, where macro-F1 is {_with_interval(report, "macro_f1")},
  accuracy {_with_interval(report, "accuracy")} and the calibration error {report["ece"]:.3f} (of
  which a perfect model has {report["ece_by_chance"]:.3f}): too good by as much as was chosen there.
  [Figures on creators that no step has seen: `intimacy evaluate CORPUS --model PATH --report
  FILE`.]
- [Intended uses, excluded uses, what it gets wrong.]
- {_made(made)}
"""


def _with_interval(report: Mapping[str, Any], name: str) -> str:
    if report["intervals"][name] is None:
        return f"{report[name]:.3f} (one creator: no interval)"
    low, high = report["intervals"][name]
    return f"{report[name]:.3f} [{low:.3f}, {high:.3f}]"


def _made(made: Mapping[str, Any]) -> str:
    losses = ", ".join(f"{row['seed']} ({row['dev_loss']:.4g})" for row in made["seeds"])
    called = f"`{made['command']}`" if made["command"] else "a call from Python"
    versions = ", ".join(
        f"{name} {made['versions'][name]}" for name in ("intimacy", "torch", "transformers")
    )
    return (
        f"By {called}, Python {made['versions']['python']}, {versions}, on {made['platform']} "
        f"({made['accelerator'] or made['device']}, CPU threads: {made['cpu_threads']}). Seeds and "
        f"their losses on development threads: {losses}; here is {made['seed']}. All versions, the "
        "configuration and the SHA-256 of weights and threads are in `manifest.json`."
    )


_UNSAID = (
    "The corpus says nothing of itself: put a README.md beside its files that says where the "
    "threads come from and who labelled them."
)


def _agreement(found: Mapping[str, Any]) -> str:
    if not found:
        return "No thread has two votes, so nothing is known of how well annotators agree."
    names = ("label", "disclosure_depth", "follower_disclosure", "product_salience", "stance")
    said = ", ".join(f"{name.replace('_', ' ')} {_alpha(found[name])}" for name in names)
    return f"Agreement of independent annotators beyond chance (Krippendorff's α): {said}."


def _alpha(row: Mapping[str, Any]) -> str:
    if row["alpha"] is None:
        return "not measurable"
    if row["low"] is None:
        return f"{row['alpha']:.2f}"
    return f"{row['alpha']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _unproven(figures: Mapping[str, Any]) -> str:
    if "real" not in figures:
        return "No real comment was measured: what it says outside authored text is unproven."
    counts = figures["real"]["n_by_label"]
    few = [f"`{name}` ({n})" for name, n in counts.items() if n < assessment.ENOUGH]
    if not few:
        return f"Every label has at least {assessment.ENOUGH} real threads."
    return (
        f"Labels with fewer than {assessment.ENOUGH} real threads, here {', '.join(few)}, have no "
        "real evidence: what it says of them outside authored text is unproven."
    )


def _wrong(failures: Sequence[Mapping[str, Any]] | None) -> str:
    if failures is None:
        return "No thread is printed here; set `show_failures` where the texts may be published."
    lines = ["The surest mistakes on threads that it never saw, one for each confusion:", ""]
    for row in failures:
        turns = " ".join(f"**{role}** {_inline(text)}" for role, text in row["turns"])
        caption = f"*caption* {_inline(row['caption'])} " if row["caption"] else ""
        lines.append(
            f"- {row['label']}, called {row['said']} at {row['score']:.2f}: {caption}{turns}"
        )
    return "\n".join(lines)


def _inline(text: str) -> str:
    flat = re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", " ".join(mask_pii(text).split()))
    return flat if len(flat) <= _SHOWN else flat[:_SHOWN] + "…"


_SHOWN = 160

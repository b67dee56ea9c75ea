"""Figures on held-out personas beside the baselines of the same run."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from importlib import util
from typing import Any

import numpy as np

from intimacy import assessment, audit, behaviour, evaluation
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
    said = [str(p.best) for p in found]
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
    """The exported network beside the one that was trained, on held-out threads.

    Returns: ``n``; ``labels_identical``, the share of threads with the same best label;
        ``decisions_identical``, that of those with the same answer, abstentions among them; and how
        far scores differ.
    """
    threads = [item.thread for item in _held_out(parts)]
    random.Random(0).shuffle(threads)
    threads = threads[:PARITY]
    network = load(chosen.path, chosen.manifest.heads)
    exported = Classifier(chosen).classify_threads(threads, progress=False)
    trained = Classifier(chosen, TorchBackend(network)).classify_threads(threads, progress=False)
    # Threads that need no network agree for nothing.
    pairs = [(e, t) for e, t in zip(exported, trained, strict=True) if e.scores]
    differences = np.array(
        [max(abs(e.scores[name] - t.scores[name]) for name in e.scores) for e, t in pairs] or [0.0]
    )
    return {
        "n": len(pairs),
        "labels_identical": round(sum(e.best == t.best for e, t in pairs) / max(1, len(pairs)), 4),
        "decisions_identical": round(
            sum(e.label == t.label for e, t in pairs) / max(1, len(pairs)), 4
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


def agreement(parts: _Parts) -> dict[str, dict[str, float | None]]:
    """Krippendorff's alpha of the blind annotators over all parts, by field, with its interval."""
    items = [item for members in parts.values() for item in members]
    return {
        name: {
            "alpha": _rounded(share.estimate),
            "low": _rounded(share.low),
            "high": _rounded(share.high),
        }
        for name, share in audit.agreement(items).items()
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def failures(chosen: Bundle, parts: _Parts) -> list[dict[str, Any]]:
    """Held-out threads that it is most sure of and wrong about: one a confusion, by score.

    Texts joined from elsewhere are nobody's to print, so they are passed over; whether the others
    may be printed is for whoever owns the corpus to say.
    """
    items = [i for i in _held_out(parts) if i.source is None and i.label is not None]
    found = Classifier(chosen).classify_threads([i.thread for i in items], progress=False)
    wrong: dict[tuple[str, str], tuple[float, AnnotatedThread]] = {}
    for item, prediction in zip(items, found, strict=True):
        if prediction.label in (None, item.label):
            continue
        said = str(prediction.label)
        key, score = (str(item.label), said), prediction.scores[said]
        # Short ones can be read in a card.
        if score > wrong.get(key, (0.0, item))[0] and item.thread.n_turns <= _READABLE:
            wrong[key] = (score, item)
    return [
        {
            "label": label,
            "said": said,
            "score": round(score, 3),
            "caption": item.thread.post.text,
            "turns": [[str(turn.role), turn.text] for turn in item.thread.turns],
        }
        for (label, said), (score, item) in sorted(wrong.items(), key=lambda x: -x[1][0])
    ]


_READABLE = 3

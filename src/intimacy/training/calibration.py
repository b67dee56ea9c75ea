"""Scores that mean what they say: temperatures and thresholds, fitted on development threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from intimacy import evaluation
from intimacy.annotation import AnnotatedThread
from intimacy.bundle import Manifest
from intimacy.classifier import Classifier, possible, softmax
from intimacy.schema import Label
from intimacy.training.config import TrainConfig

_LABELS = tuple(str(label) for label in Label)
_TEMPERATURES = np.exp(np.linspace(np.log(0.5), np.log(5.0), 91))
_THRESHOLDS = np.linspace(0.30, 0.80, 51)
_MIN_ANSWERED = 20


def calibrate(
    classifier: Classifier,
    manifest: Manifest,
    dev: Sequence[AnnotatedThread],
    config: TrainConfig,
) -> Manifest:
    """The manifest with temperatures, threshold and confusion matrix.

    Scores hold for the prevalence that the manifest declares (``prior``): development threads are
    weighted to it.

    The temperatures minimise the negative log-likelihood of the vote distributions (Guo et al.
    2017). The threshold is the lowest at which the answers on dev are wrong no more often than
    ``config.coverage_risk``; where none is, the highest tried.
    """
    columns = manifest.slices()
    logits = classifier.logits([item.thread for item in dev]).astype(np.float64)
    scope_truth = np.array(
        [manifest.heads["scope"].index(next(iter(item.flags), "in_scope")) for item in dev]
    )
    scope_temperature = _temperature(
        logits[:, columns["scope"]], np.eye(len(manifest.heads["scope"]))[scope_truth]
    )
    rows = [i for i, item in enumerate(dev) if item.label is not None]
    raw = logits[rows][:, columns["label"]]
    allowed = np.array([[n in possible(dev[i].thread) for n in _LABELS] for i in rows])
    raw = np.where(allowed, raw, -np.inf)
    target = np.array([[dev[i].target.get(n, 0.0) for n in _LABELS] for i in rows]) * allowed
    # As if the labels were as frequent on dev as the manifest declares.
    shares = target.sum(0) / target.sum()
    declared = np.array([manifest.prior.get(n, 0.0) for n in _LABELS])
    weights = target @ np.where(shares > 0, declared / shares.clip(min=1e-9), 1.0)
    temperature = _temperature(raw, target * weights[:, None])
    scores = softmax(raw / temperature)
    truth = np.array([_LABELS.index(str(dev[i].label)) for i in rows])
    right = scores.argmax(1) == truth
    names = [_LABELS[i] for i in scores.argmax(1)]
    return replace(
        manifest,
        temperature=temperature,
        scope_temperature=scope_temperature,
        threshold=_threshold(scores.max(1), right, weights, config.coverage_risk),
        dev_confusion=evaluation.confusion([_LABELS[i] for i in truth], names, _LABELS),
    )


def _temperature(logits: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> float:
    def loss(temperature: float) -> float:
        scores = np.clip(softmax(logits / temperature), 1e-12, 1.0)
        return float(-(target * np.log(scores)).sum())

    return float(min(_TEMPERATURES, key=loss))


def _threshold(
    confidence: npt.NDArray[np.float64],
    right: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
    risk: float,
) -> float:
    for threshold in _THRESHOLDS:
        answered = confidence >= threshold
        if answered.sum() < _MIN_ANSWERED:
            break
        if 1 - np.average(right[answered], weights=weights[answered]) <= risk:
            return round(float(threshold), 2)
    return round(float(_THRESHOLDS[-1]), 2)

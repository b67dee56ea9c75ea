"""Scores that mean what they say: temperatures, thresholds, errors; from development threads."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from intimacy.annotation import OF_CREATOR, VALUES, AnnotatedThread, possible
from intimacy.bundle import Errors, Manifest
from intimacy.classifier import Classifier, softmax
from intimacy.training.config import TrainConfig

_TEMPERATURES = np.exp(np.linspace(np.log(0.5), np.log(5.0), 91))
_THRESHOLDS = np.linspace(0.30, 0.80, 51)
_MIN_ANSWERED = 20
_DEVIATION = 0.25
"""Standard deviation of the logarithm of a temperature, before threads are seen."""
_SMOOTHING = 10.0
"""Threads of the declared mix among those of dev, where its mix is estimated."""
_SPREADS = np.geomspace(0.1, 1.6, 25)
_TYPICAL = 0.4
"""Spread expected where the development creators are too few to tell (log-normal, deviation ½)."""
_SHIFTS = 400


def calibrate(
    classifier: Classifier,
    manifest: Manifest,
    dev: Sequence[AnnotatedThread],
    config: TrainConfig,
) -> Manifest:
    """The manifest with temperatures, threshold and errors.

    Scores hold for the prevalence that the manifest declares (``prior``): development threads are
    weighted to it.

    The temperatures minimise the negative log-likelihood of the vote distributions (Guo et al.
    2017) and that of a log-normal around those of ``manifest``, which decides where threads are
    few. The threshold is the lowest at which the answers on dev are wrong no more often than
    ``config.coverage_risk``; where none is, the highest tried. Fewer than 20 threads leave that of
    ``manifest``.
    """
    columns, names = manifest.slices(), manifest.labels
    logits = classifier.logits([item.thread for item in dev]).astype(np.float64)
    scope_truth = np.array(
        [manifest.heads["scope"].index(next(iter(item.flags), "in_scope")) for item in dev]
    )
    scope_temperature = _temperature(
        logits[:, columns["scope"]],
        np.eye(len(manifest.heads["scope"]))[scope_truth],
        manifest.scope_temperature,
    )
    rows = [i for i, item in enumerate(dev) if item.label is not None]
    raw = logits[rows][:, columns["label"]]
    allowed = np.array([[n in possible(dev[i].thread, names) for n in names] for i in rows])
    raw = np.where(allowed, raw, -np.inf)
    target = np.array([[dev[i].target.get(n, 0.0) for n in names] for i in rows]) * allowed
    # As if the labels were as frequent on dev as the manifest declares; a few more that are, so
    # that a label seen once does not count for many.
    declared = np.array([manifest.prior.get(n, 0.0) for n in names])
    shares = (target.sum(0) + _SMOOTHING * declared) / (target.sum() + _SMOOTHING)
    weights = target @ np.where(shares > 0, declared / shares.clip(min=1e-9), 1.0)
    temperature = _temperature(raw, target * weights[:, None], manifest.temperature)
    scores = softmax(raw / temperature)
    truth = np.array([names.index(str(dev[i].label)) for i in rows])
    right = scores.argmax(1) == truth
    return replace(
        manifest,
        temperature=temperature,
        scope_temperature=scope_temperature,
        threshold=(
            manifest.threshold or float(_THRESHOLDS[-1])
            if len(rows) < _MIN_ANSWERED
            else _threshold(scores.max(1), right, weights, config.coverage_risk)
        ),
        errors={
            "label": errors_of(
                truth,
                scores.argmax(1),
                [dev[i].cluster for i in rows],
                size=len(names),
                scores=scores,
            ),
            **_errors_of_heads(classifier, manifest, dev),
        },
    )


def _errors_of_heads(
    classifier: Classifier, manifest: Manifest, dev: Sequence[AnnotatedThread]
) -> dict[str, Errors]:
    """Errors of the attributes, among threads in scope; of the creator's, where one speaks."""
    predictions = classifier.classify_threads([item.thread for item in dev], progress=False)
    out = {}
    for head, values in VALUES.items():
        if head not in manifest.heads:
            continue
        rows = [
            i
            for i, (item, found) in enumerate(zip(dev, predictions, strict=True))
            if item.label is not None
            and item.attributes.get(head) in values
            and head in found.attributes
            and (head not in OF_CREATOR or item.thread.has_creator_turn)
        ]
        truth = np.array([values.index(dev[i].attributes[head]) for i in rows], dtype=np.int64)
        said = np.array([values.index(predictions[i].attributes[head]) for i in rows], np.int64)
        clusters = [dev[i].cluster for i in rows]
        out[head] = errors_of(truth, said, clusters, size=len(values))
    return out


def errors_of(
    truth: npt.NDArray[np.int64],
    said: npt.NDArray[np.int64],
    clusters: Sequence[Hashable],
    *,
    size: int,
    scores: npt.NDArray[np.float64] | None = None,
) -> Errors:
    """Counts of errors, and the likeliest spread of their rates between creators.

    The model is that of `intimacy.prevalence.posterior`; shifts are integrated out by Monte Carlo.
    """
    groups = sorted(set(clusters), key=str)
    counts = np.zeros((len(groups), size, size))
    np.add.at(counts, ([groups.index(c) for c in clusters], truth, said), 1)
    whole = counts.sum(0)
    rates = (whole + 0.5) / (whole + 0.5).sum(1, keepdims=True)
    shifts = np.random.default_rng(0).normal(size=(_SHIFTS, size))

    def likelihood(spread: float) -> float:
        moved = rates * np.exp(spread * shifts)[:, None, :]
        moved /= moved.sum(2, keepdims=True)
        each = np.einsum("gks,cks->gc", counts, np.log(moved))
        most = each.max(1)
        marginal = most + np.log(np.exp(each - most[:, None]).mean(1))
        return float(marginal.sum() - 2 * np.log(spread / _TYPICAL) ** 2)

    means: tuple[list[float], ...] = ()
    if scores is not None:
        unseen = np.eye(size)
        means = tuple(
            np.round(scores[truth == k].mean(0) if (truth == k).any() else unseen[k], 4).tolist()
            for k in range(size)
        )
    return Errors(
        counts=whole.tolist(),
        spread=round(float(max(_SPREADS, key=likelihood)), 3),
        means=means,
    )


def _temperature(
    logits: npt.NDArray[np.float64], target: npt.NDArray[np.float64], before: float
) -> float:
    def loss(temperature: float) -> float:
        scores = np.clip(softmax(logits / temperature), 1e-12, 1.0)
        unlikely = np.log(temperature / before) ** 2 / (2 * _DEVIATION**2)
        return float(unlikely - (target * np.log(scores)).sum())

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

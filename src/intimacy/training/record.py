"""What a run is made of and by: the record that every model folder keeps under ``training``.

`intimacy train` and `IntimacyClassifier` make it here, so that both folders say the same. It holds
no text, no account and no time: two runs of the same on one machine make the same record.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from intimacy import bundle as bundles
from intimacy import evaluation
from intimacy.annotation import AnnotatedThread, annotated_to_dict
from intimacy.training.config import TrainConfig

_PACKAGES = (
    "intimacy",
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "safetensors",
    "onnx",
    "onnxruntime",
    "numpy",
    "scikit-learn",
)


def of_run(
    config: TrainConfig,
    parts: Mapping[str, Iterable[AnnotatedThread]],
    *,
    encoder: str,
    device: str,
    corpus: Sequence[Path] = (),
    command: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
) -> dict[str, Any]:
    """The record of a run before it begins; seeds and figures are added when it is over.

    Args:
        config: What to do, defaults resolved.
        parts: Threads by part, as they are given to the run. Each is read once.
        encoder: What it starts from.
        device: A torch device.
        corpus: Files that the threads were read from.
        command: Words that were typed; None where the run is called from Python.
        weights: What each training thread counts; None counts all alike.

    Returns: Values for JSON: ``command`` (see `command_line`), ``config``, ``encoder`` with
        ``encoder_digest``, ``corpus`` (file → SHA-256), by part ``threads`` (how many),
        ``personas`` (creators known), ``groups`` (creators, or posts without one) and
        ``threads_sha256`` (see `digest_of`), ``weights_sha256``, ``device``, ``cpu_threads``,
        ``platform`` and ``versions``.

    Raises:
        BundleError: When a file cannot be read.
    """
    found = {name: _Part(members) for name, members in parts.items()}
    return {
        "command": None if command is None else command_line(command),
        "config": asdict(config),
        "encoder": name_of(encoder),
        "encoder_digest": digest_of_weights(encoder),
        "corpus": {file.name: bundles.digest(file) for file in corpus},
        "threads": {name: part.n for name, part in found.items()},
        "personas": {name: len(part.creators) for name, part in found.items()},
        "groups": {name: len(part.clusters) for name, part in found.items()},
        "threads_sha256": {name: part.state.hexdigest() for name, part in found.items()},
        "weights_sha256": None if weights is None else _sha256(json.dumps(list(weights))),
        "device": device,
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "cpu_threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def of_calibration(
    inside: Sequence[AnnotatedThread],
    scores: npt.NDArray[np.float64],
    classes: Sequence[str],
    parts: Mapping[str, Sequence[AnnotatedThread]],
) -> dict[str, Any]:
    """How well the calibration part is read, with 95 % intervals over its creators.

    Args:
        inside: Its threads that have a label.
        scores: Of each, shape ``(n, classes)``.
        classes: Names of the columns.
        parts: ``train`` and ``dev``, for their numbers.

    Returns: Values for JSON; an interval is None where there is one creator.
    """
    truth = evaluation.codes([str(item.label) for item in inside], classes)
    said = scores.argmax(1)
    right = said == truth

    def figures(rows: npt.NDArray[np.int64]) -> list[float]:
        f1 = evaluation.f1_of_codes(truth[rows], said[rows], len(classes))
        brier = evaluation.brier(scores[rows], truth[rows])
        return [float(f1.mean()), float(right[rows].mean()), brier]

    found = evaluation.cluster_intervals(figures, [item.cluster for item in inside])
    named = dict(zip(("macro_f1", "accuracy", "brier"), found, strict=True))
    return {
        "n_train": len(parts["train"]),
        "n_calibration": len(parts["dev"]),
        "groups": {name: len({i.cluster for i in part}) for name, part in parts.items()},
        **{name: share.estimate for name, share in named.items()},
        "intervals": {
            name: None if share.low is None else [share.low, share.high]
            for name, share in named.items()
        },
        "ece": evaluation.calibration_error(scores.max(1), right),
        "ece_by_chance": evaluation.calibration_error_by_chance(scores.max(1)),
    }


def digest_of(items: Iterable[AnnotatedThread]) -> str:
    """SHA-256 of threads with their labels, in their order, joined texts among them.

    It is that of their records (`intimacy.annotation.annotated_to_dict`) as JSON in ASCII with
    sorted keys, one a line: the same for one corpus as JSONL, Parquet or in memory.
    """
    return _Part(items).state.hexdigest()


def command_line(words: Sequence[str]) -> str:
    """A command as it was typed, quoted for a shell, to be run again in the same folder.

    The home folder is written ``"$HOME"``, because its name is often a person's and model folders
    are passed on. All else stays, the names of other folders too.
    """
    try:
        home = str(Path.home())
    except RuntimeError:  # nobody's home
        home = "/"
    return " ".join(_word(word, home.rstrip("/")) for word in words)


def _word(word: str, home: str) -> str:
    before, found, after = word.partition(home) if home else (word, "", "")
    begins = not before or before.endswith("=")  # --out=/home/ada/m
    if not found or not begins or (after and not after.startswith("/")):
        return shlex.quote(word)
    rest = [shlex.quote(part) if part else "" for part in (before, after)]
    return f'{rest[0]}"$HOME"{rest[1]}'


def name_of(encoder: str) -> str:
    """A folder's own name; a hub name as it is."""
    path = Path(encoder)
    return path.absolute().name if path.is_dir() else encoder


def digest_of_weights(encoder: str) -> str | None:
    """SHA-256 of the weights of a local encoder; None for one that a hub delivers."""
    weights = Path(encoder) / "model.safetensors"
    return bundles.digest(weights) if weights.is_file() else None


class _Part:
    """What one pass over the threads of a part tells: there may be more than memory holds."""

    def __init__(self, members: Iterable[AnnotatedThread]) -> None:
        self.n = 0
        self.state = hashlib.sha256()
        # Clusters without a creator are captions, too long to be kept by the million.
        self.creators: set[int] = set()
        self.clusters: set[int] = set()
        for item in members:
            self.n += 1
            line = json.dumps(annotated_to_dict(item), sort_keys=True, default=str)
            self.state.update(line.encode() + b"\n")
            self.clusters.add(hash(item.cluster))
            if creator := item.persona or item.thread.post.creator_id:
                self.creators.add(hash(creator))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _versions() -> dict[str, str]:
    out = {}
    for package in _PACKAGES:
        try:
            out[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return out

"""What turns a batch of numbers into logits.

One interface, so that the same classifier runs on ONNX Runtime in production and on torch
while a model is being trained.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from intimacy.errors import BundleError
from intimacy.render import ModelInput

OUTPUTS = ("logits", "contributions")
"""What a network gives, see `Backend`."""
STEP = 8
"""Lengths are padded to multiples of it."""
TOKENS_PER_BATCH = 512
"""Padded tokens of a batch: enough work for a core, little enough to share among several."""


def padded(length: int) -> int:
    """Length to which a thread is padded in a batch, whatever its neighbours.

    Kernels add up in an order that depends on the width; only threads padded to one length share a
    batch, so that neighbours change no sum.
    """
    return -(-length // STEP) * STEP


@dataclass(frozen=True, slots=True)
class Batch:
    """Threads padded to one length; every array has shape ``(n, length)``."""

    input_ids: npt.NDArray[np.int64]
    attention_mask: npt.NDArray[np.int64]
    segments: npt.NDArray[np.int64]

    @classmethod
    def of(cls, inputs: list[ModelInput]) -> Batch:
        """Pad to the longest, rounded up to a multiple of `STEP`."""
        shape = (len(inputs), max(padded(len(item.ids)) for item in inputs))
        ids, mask, segments = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        for row, item in enumerate(inputs):
            n = len(item.ids)
            ids[row, :n] = item.ids
            mask[row, :n] = 1
            segments[row, :n] = item.segments
        return cls(ids, mask, segments)


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of equal padded length, in batches of at most `TOKENS_PER_BATCH` tokens."""
    open_: dict[int, list[int]] = {}
    out: list[list[int]] = []
    for i, length in enumerate(map(padded, lengths)):
        rows = open_.get(length)
        if rows is None or (len(rows) + 1) * length > TOKENS_PER_BATCH:
            rows = open_[length] = []
            out.append(rows)
        rows.append(i)
    # Long ones first: the last batch to finish is then a short one.
    return sorted(out, key=lambda rows: -padded(lengths[rows[0]]) * len(rows))


def each_batch(run: Callable[[list[int]], None], lengths: Sequence[int]) -> None:
    """Call ``run`` with the rows of every batch, on all cores."""
    todo = batches(lengths)
    workers = min(len(todo), _cores())
    if workers <= 1:
        for rows in todo:
            run(rows)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, todo))


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # pragma: no cover - not on macOS
        return os.cpu_count() or 1


class Backend(Protocol):
    """Anything that computes logits. Must be safe to call from many threads at once."""

    def logits(self, batch: Batch) -> npt.NDArray[np.float32]:
        """Raw outputs of all heads side by side, shape ``(n, total values)``."""
        ...

    def explain(self, batch: Batch) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The same, and what each token adds to each label, shape ``(n, length, labels)``."""
        ...


def runtime() -> Any:
    """ONNX Runtime, imported only now and told not to phone home.

    Its recent builds report usage to their vendor and leave an identifier in the home folder
    from the moment they are imported. Whoever wants that sets the variables to 0.
    """
    for switch in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):
        os.environ.setdefault(switch, "1")
    return import_module("onnxruntime")


class OnnxBackend:
    """ONNX Runtime on the CPU: one thread a call, callers bring the parallelism.

    A second intra-op thread would spin at barriers whenever the machine is busy; two calls at
    once are as fast and never block each other. The session is opened again after a fork.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session = self._open()
        self._pid = os.getpid()

    def _open(self) -> Any:
        onnxruntime = runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # The arena keeps the largest batch ever seen; without it memory stays flat.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(
                str(self._path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # the runtime's errors share no public base
            raise BundleError(f"{self._path}: not a network that can be run: {exc}") from exc

    def logits(self, batch: Batch) -> npt.NDArray[np.float32]:
        """See `Backend.logits`."""
        return self._run(batch, OUTPUTS[:1])[0]

    def explain(self, batch: Batch) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """See `Backend.explain`.

        Raises:
            BundleError: When the network was exported without that output.
        """
        if len(self._session.get_outputs()) < len(OUTPUTS):
            raise BundleError(
                f"{self._path}: made before networks said what each token adds, so there is no "
                "evidence to be had from it; train the model again"
            )
        logits, contributions = self._run(batch, OUTPUTS)
        return logits, contributions

    def _run(self, batch: Batch, outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """Outputs of every thread, each run alone: together they would share scales."""
        if self._pid != os.getpid():
            self._session, self._pid = self._open(), os.getpid()
        rows = []
        for ids, mask, segments in zip(
            batch.input_ids, batch.attention_mask, batch.segments, strict=True
        ):
            n = int(mask.sum())
            feeds = {"input_ids": ids, "attention_mask": mask, "segments": segments}
            alone = {name: array[None, :n] for name, array in feeds.items()}
            rows.append(self._session.run(list(outputs), alone))
        logits = np.concatenate([row[0] for row in rows])
        if len(outputs) == 1:
            return [logits]
        width = batch.input_ids.shape[1]
        added = np.zeros((len(rows), width, rows[0][1].shape[2]), np.float32)
        for i, (_, part) in enumerate(rows):
            added[i, : part.shape[1]] = part[0]
        return [logits, added]

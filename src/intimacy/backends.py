"""What turns a batch of numbers into logits.

One interface, so that the same classifier runs on ONNX Runtime in production and on torch
while a model is being trained.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from intimacy.errors import BundleError
from intimacy.render import ModelInput

STEP = 8
"""Lengths are padded to multiples of it."""


def padded(length: int) -> int:
    """Length to which a thread is padded, whatever its neighbours.

    Kernels add up in an order that depends on the width; only threads padded to the same length
    are batched, so that a score is the same to the last bit alone and in company.
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


class Backend(Protocol):
    """Anything that computes logits. Must be safe to call from many threads at once."""

    def logits(self, batch: Batch) -> npt.NDArray[np.float32]:
        """Raw outputs of all heads side by side, shape ``(n, total values)``."""
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
        if self._pid != os.getpid():
            self._session, self._pid = self._open(), os.getpid()
        (out,) = self._session.run(
            ["logits"],
            {
                "input_ids": batch.input_ids,
                "attention_mask": batch.attention_mask,
                "segments": batch.segments,
            },
        )
        result: npt.NDArray[np.float32] = out
        return result

"""Rounding the weights of a product so that its outputs change least."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 64
"""Steps of the grid on either side of zero: what ONNX Runtime makes of a column in seven bits."""
_DAMPING = 0.01
_BLOCK = 128


def rounded(weight: Tensor, moment: Tensor) -> Tensor:
    """Weights on the grid that ONNX Runtime rounds to, one input after the other, each making good
    the error of those before (GPTQ, Frantar et al. 2023, arXiv:2210.17323).

    Args:
        weight: Shape ``(outputs, inputs)``.
        moment: Sum of the outer products of inputs with themselves, shape ``(inputs, inputs)``.

    Returns: Of the shape of ``weight``. The largest of an output keeps its size, so that the grid
    is found again.
    """
    left = weight.double()
    outputs, inputs = left.shape
    step = left.abs().amax(1).clamp(min=1e-12) / STEPS
    largest = left.abs().argmax(1)
    curvature = moment.double()
    damping = (_DAMPING * curvature.diagonal().mean()).clamp(min=1e-12)
    curvature = curvature + damping * torch.eye(inputs, dtype=torch.float64)
    # Inputs that matter most come first, while there are others to make good.
    order = torch.argsort(curvature.diagonal(), descending=True)
    left, curvature = left[:, order].clone(), curvature[order][:, order]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(curvature))
    upper = torch.linalg.cholesky(inverse, upper=True)
    out = torch.zeros_like(left)
    for start in range(0, inputs, _BLOCK):
        end = min(start + _BLOCK, inputs)
        block, errors = left[:, start:end].clone(), torch.zeros(outputs, end - start).double()
        here = upper[start:end, start:end]
        for n in range(end - start):
            out[:, start + n] = (block[:, n] / step).round().clamp(-STEPS, STEPS) * step
            errors[:, n] = (block[:, n] - out[:, start + n]) / here[n, n]
            block[:, n:] -= errors[:, n, None] * here[n, n:]
        left[:, end:] -= errors @ upper[start:end, end:]
    out = out[:, torch.argsort(order)]
    rows = torch.arange(outputs)
    low = out.abs().amax(1) < step * (STEPS - 0.5)
    ends = weight.double()[rows, largest].sign() * step * STEPS
    out[rows[low], largest[low]] = ends[low]
    return out.to(weight.dtype)

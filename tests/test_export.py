"""From torch to ONNX: what is rounded, and how."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from intimacy.training import export  # noqa: E402
from intimacy.training.rounding import STEPS, rounded  # noqa: E402


def correlated(rows: int, width: int) -> torch.Tensor:
    """States of which each dimension says something of the others, and two are far larger."""
    made = torch.Generator().manual_seed(0)
    states = torch.randn(rows, 8, generator=made) @ torch.randn(8, width, generator=made)
    states += 0.1 * torch.randn(rows, width, generator=made)
    states[:, [3, 40]] *= 30
    return states


def test_weights_are_rounded_by_what_they_do_to_the_outputs() -> None:
    states = correlated(400, 200)
    weight = torch.randn(50, 200, generator=torch.Generator().manual_seed(1))
    found = rounded(weight, states.T @ states)
    step = weight.abs().amax(1, keepdim=True) / STEPS
    # On the grid, whose ends are where they were.
    assert torch.allclose((found / step).round(), found / step, atol=1e-3)
    assert torch.allclose(found.abs().amax(1), weight.abs().amax(1))
    nearest = (weight / step).round() * step
    error = (states @ (found - weight).T).square().mean()
    assert error < 0.5 * (states @ (nearest - weight).T).square().mean()


def test_what_was_never_read_is_rounded_to_the_nearest() -> None:
    weight = torch.randn(5, 20, generator=torch.Generator().manual_seed(1))
    step = weight.abs().amax(1, keepdim=True) / STEPS
    found = rounded(weight, torch.zeros(20, 20))
    assert torch.allclose(found, (weight / step).round() * step, atol=1e-6)


@pytest.mark.parametrize("width", [33, 64])
def test_embeddings_keep_twelve_bits(width: int) -> None:
    torch.manual_seed(0)
    table = torch.nn.Embedding(100, width)
    small = export._SmallEmbedding(table)
    assert small.rows.dtype == torch.int8 and small.rest.dtype == torch.uint8
    ids = torch.arange(100).reshape(20, 5)
    largest = table.weight.detach().abs().amax(1)[ids].unsqueeze(-1)
    error = (small(ids) - table(ids)).abs().detach()
    assert bool((error <= 0.51 * largest / 2047).all()) and float(error.max()) > 0


def test_layers_of_one_input_are_one_product_that_says_the_same() -> None:
    torch.manual_seed(0)
    states = correlated(30, 128)
    layers = [torch.nn.Linear(128, 16), torch.nn.Linear(128, 8, bias=False)]
    whole = export._Scaled(layers, states.abs().amax(0))
    assert set(whole.loud.tolist()) == {3, 40}
    assert bool((whole.product.weight[:, [3, 40]] == 0).all())
    calls: list[int] = []
    whole.product.register_forward_hook(lambda *_: calls.append(1))
    first, second = export._Part(whole, slice(0, 16)), export._Part(whole, slice(16, 24))
    for part, layer in zip((first, second), layers, strict=True):
        assert torch.allclose(part(states), layer(states), rtol=1e-4, atol=1e-3)
    assert len(calls) == 1

"""bf16 by its definition on a CPU that has none: products of rounded numbers, summed in float32, rounded once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from i2ibench import widening
from i2ibench.policy import Policy
from i2ibench.widening import Widened

CPU = torch.device("cpu")
ROUNDING = 2.0**-8  # of a number of eight binary digits
PRODUCTS: dict[str, tuple[Callable[..., Tensor], list[tuple[int, ...]]]] = {
    "convolution": (lambda x, w, b: F.conv2d(x, w, b, 2, 1), [(2, 48, 9, 9), (32, 48, 4, 4), (32,)]),
    "without a bias": (lambda x, w: F.conv2d(x, w, None, 1, 1), [(2, 48, 9, 9), (32, 48, 3, 3)]),
    "transposed": (lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1), [(2, 48, 5, 5), (48, 32, 4, 4), (32,)]),
    "linear": (F.linear, [(6, 300), (20, 300), (20,)]),
    "matrices": (torch.matmul, [(7, 300), (300, 9)]),
    "batches of matrices": (torch.matmul, [(3, 7, 300), (3, 300, 9)]),
    "added to": (torch.baddbmm, [(3, 7, 9), (3, 7, 300), (3, 300, 9)]),
}


def with_gradients(product: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """What comes out, and the gradient of its sum of squares by each input."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    output = product(*leaves)
    return [output.detach(), *torch.autograd.grad(output, leaves, output.detach())]


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_and_their_gradients_are_those_of_float64_rounded_once(name: str) -> None:
    product, shapes = PRODUCTS[name]
    torch.manual_seed(0)
    inputs = [torch.randn(shape).bfloat16() for shape in shapes]
    with Widened():
        output, *found = with_gradients(product, inputs)
    doubles = [x.double() for x in inputs]
    exact, sizes = product(*doubles), product(*(x.abs() for x in doubles))
    assert output.dtype == torch.bfloat16
    assert ((output.double() - exact).abs() <= 1.01 * ROUNDING * exact.abs() + 1e-6 * sizes).all()

    leaves = [x.clone().requires_grad_() for x in doubles]
    gradients = torch.autograd.grad(product(*leaves), leaves, output.double())  # of the rounded output, as above
    scales = torch.autograd.grad(product(*(leaf.abs() for leaf in leaves)), leaves, output.double().abs())
    for gradient, true, scale in zip(found, gradients, scales, strict=True):
        assert gradient.dtype == torch.bfloat16
        assert ((gradient.double() - true).abs() <= 1.01 * ROUNDING * true.abs() + 1e-6 * scale.abs()).all()


def test_float32_goes_through_untouched() -> None:
    x, weight = torch.randn(2, 8, 6, 6), torch.randn(4, 8, 3, 3)
    with Widened():
        assert torch.equal(F.conv2d(x, weight), F.conv2d(x, weight.clone()))
        assert (x @ x.mT).dtype == torch.float32


@pytest.mark.parametrize(
    ("policy", "lacking", "widened"),
    [
        (Policy("bf16"), True, True),
        (Policy("bf16"), False, False),
        (Policy("fp32"), True, False),
        (Policy("bf16", compile=True), True, False),  # torch compiles nothing within such a block
    ],
)
def test_a_policy_widens_bf16_alone_and_where_the_processor_lacks_it(
    policy: Policy, lacking: bool, widened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Watched(Widened):
        def __enter__(self) -> Widened:
            seen.append(True)
            return super().__enter__()

    monkeypatch.setattr(widening, "Widened", Watched)
    monkeypatch.setattr(widening, "needed", lambda: lacking)
    with policy.ruling(CPU), policy.casting(CPU):
        assert F.conv2d(torch.randn(1, 8, 6, 6), torch.randn(4, 8, 3, 3)).isfinite().all()
    assert bool(seen) == widened

"""Halving and doubling convolutions are torch's, whichever way they are computed; products are for training on CPUs."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from i2ibench.nn.strided import Doubling, Halving
from i2ibench.policy import Policy

CPU = torch.device("cpu")
LAYERS = [(Halving, nn.Conv2d, (3, 6, 8, 4)), (Doubling, nn.ConvTranspose2d, (3, 96, 2, 4))]


class Convolutions(TorchDispatchMode):
    """Counts those that torch is asked for."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten.convolution.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("ours", "theirs", "shape"), LAYERS)
def test_values_and_gradients_are_those_of_the_convolution(ours, theirs, shape, bias: bool) -> None:
    layer = ours(shape[1], 48, bias).double()
    plain = theirs(shape[1], 48, 4, 2, 1, bias=bias).double()
    plain.load_state_dict(layer.state_dict())
    x, weights = torch.randn(shape, dtype=torch.float64), None
    found = []
    for network in (layer, plain):
        seen = x.clone().requires_grad_()
        with Convolutions() as asked:
            output = network(seen)
        assert asked.count == (network is plain)
        weights = torch.randn_like(output) if weights is None else weights
        (output * weights).sum().backward()
        found.append([output, seen.grad, *(p.grad for p in network.parameters())])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("ours", "theirs", "shape"), LAYERS)
def test_a_convolution_it_stays_where_a_product_is_slower_or_not_wanted(ours, theirs, shape) -> None:
    layer = ours(shape[1], 48)
    with Convolutions() as asked:
        layer(torch.randn(shape[0], shape[1], 16, 16))  # many pixels
        with torch.no_grad():
            layer(torch.randn(shape))
        with Policy.reference().ruling(CPU):
            layer(torch.randn(shape))
    assert asked.count == 3


def test_bf16_goes_through_too() -> None:
    layer, x = Halving(6, 48), torch.randn(2, 6, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(x)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(
        output.float(), nn.functional.conv2d(x, layer.weight, layer.bias, 2, 1), rtol=0.05, atol=0.05
    )

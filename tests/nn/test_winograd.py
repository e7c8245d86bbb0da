"""Winograd's convolutions against torch's."""

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import conv2d
from torch.testing import assert_close

from i2ibench.nn.winograd import Conv3x3, _transforms, winograd
from i2ibench.policy import Policy

CPU = torch.device("cpu")


@pytest.mark.parametrize(("count", "height", "width"), [(1, 4, 4), (2, 8, 12), (3, 16, 4), (3, 64, 64)])
def test_is_the_convolution_with_its_gradients(count, height, width):
    torch.manual_seed(0)
    images = torch.randn(count, 3, height + 2, width + 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    found, wanted = winograd(images, weight), conv2d(images, weight)
    assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    gradient = torch.randn_like(wanted)
    for one, other in zip(
        torch.autograd.grad(found, (images, weight), gradient),
        torch.autograd.grad(wanted, (images, weight), gradient),
        strict=True,
    ):
        assert_close(one, other, rtol=1e-10, atol=1e-11)


def test_gradients_can_be_differentiated_as_penalties_need():
    torch.manual_seed(0)
    images = torch.randn(1, 2, 10, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(winograd, (images, weight))
    assert torch.autograd.gradgradcheck(winograd, (images, weight))


def test_rounds_little_more_than_a_plain_convolution():
    torch.manual_seed(0)
    images, weight = torch.randn(1, 128, 34, 34), torch.randn(128, 128, 3, 3) / 34
    exact = conv2d(images.double(), weight.double())
    error = (winograd(images, weight) - exact).square().mean().sqrt() / exact.std()
    assert error < 1.5e-6  # measured: 1.1e-6, plain 2.2e-7, with the paper's points 2.4e-6


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_layer_is_torchs_own_in_its_borders_and_bias(mode, bias):
    torch.manual_seed(0)
    layer, x = Conv3x3(128, 128, mode, bias).double(), torch.randn(2, 128, 16, 32, dtype=torch.float64)
    with Policy("fp64").ruling(CPU):
        fast = layer(x)
    with Policy.reference("fp64").ruling(CPU):
        plain = layer(x)
    assert not torch.equal(fast, plain)  # two ways, or this test compares nothing
    assert_close(fast, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("channels", "shape", "policy"),
    [
        (64, (1, 64, 32, 32), Policy()),
        (128, (1, 128, 28, 32), Policy()),
        (128, (1, 128, 34, 34), Policy()),
        (128, (1, 128, 32, 32), replace(Policy(), rewritten=False)),
        (128, (1, 128, 32, 32), replace(Policy(), precision="bf16")),
    ],
    ids=["few channels", "few tiles", "no whole tiles", "reference", "bf16"],
)
def test_elsewhere_the_layer_is_plain(channels, shape, policy):
    layer, x = Conv3x3(channels, channels), torch.randn(shape)
    with policy.ruling(CPU):
        assert torch.equal(layer(x), conv2d(x, layer.weight, layer.bias, padding=1))


def test_a_trained_network_gives_what_it_gave():
    layer, x = Conv3x3(128, 128), torch.randn(1, 128, 32, 32)
    with torch.no_grad():
        assert torch.equal(layer(x), conv2d(x, layer.weight, layer.bias, padding=1))


def test_shapes_may_be_asked_for_before_anything_is_computed():
    _transforms.cache_clear()
    with FakeTensorMode():
        assert Conv3x3(128, 128)(torch.randn(1, 128, 32, 32)).shape == (1, 128, 32, 32)
    Conv3x3(128, 128)(torch.randn(1, 128, 32, 32)).sum().backward()

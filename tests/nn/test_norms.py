"""Instance normalisation in both layouts: against torch's own, in values, gradients, and what bf16 rounds."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from i2ibench.nn.norms import InstanceNorm2d, instance_norm

LAYOUTS = [torch.contiguous_format, torch.channels_last]
AFFINE = ["none", "of all images", "of each image"]


def drawn(*shape: int, layout: torch.memory_format = torch.contiguous_format) -> Tensor:
    return torch.randn(shape, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()


def parameters(affine: str, images: int, channels: int) -> list[Tensor]:
    shapes = {"none": None, "of all images": (channels,), "of each image": (images, channels)}
    shape = shapes[affine]
    return [] if shape is None else [torch.randn(shape, dtype=torch.float64).requires_grad_() for _ in range(2)]


def plain(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """By its definition (Ulyanov et al. 2016, equation 2; AdaIN: Huang & Belongie 2017, equation 8)."""
    var, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    normed = (x - mean) / (var + 1e-5).sqrt()
    if weight is None or bias is None:
        return normed
    return normed * weight[..., None, None] + bias[..., None, None]


@given(st.tuples(*(st.integers(1, 5),) * 2, *(st.integers(2, 6),) * 2), *map(st.sampled_from, (LAYOUTS, AFFINE)))
@settings(max_examples=60, deadline=None)
def test_values_and_gradients_are_those_of_the_definition(
    shape: tuple[int, ...], layout: torch.memory_format, affine: str
) -> None:
    x, given_ = drawn(*shape, layout=layout), parameters(affine, *shape[:2])
    ours, theirs, upstream = instance_norm(x, *given_), plain(x, *given_), drawn(*shape).detach()
    torch.testing.assert_close(ours, theirs)
    for found, expected in zip(
        torch.autograd.grad(ours, [x, *given_], upstream),
        torch.autograd.grad(theirs, [x, *given_], upstream),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("affine", AFFINE)
def test_gradients_can_be_differentiated_again(layout: torch.memory_format, affine: str) -> None:
    """As gradient penalties of critics do, which normalise."""
    inputs = [drawn(2, 3, 3, 2, layout=layout), *parameters(affine, 2, 3)]
    assert torch.autograd.gradgradcheck(instance_norm, inputs)


@pytest.mark.parametrize("images", [1, 3])
def test_the_layout_stays_as_it_is_forwards_and_backwards(images: int) -> None:
    x = drawn(images, 4, 6, 5, layout=torch.channels_last)
    y = instance_norm(x)
    (gradient,) = torch.autograd.grad(y, x, drawn(*x.shape, layout=torch.channels_last).detach())
    assert y.stride() == gradient.stride() == x.stride()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_bf16_no_statistic_is_rounded(layout: torch.memory_format) -> None:
    """Far from zero torch's own is off by more than what the rounding of the result explains."""
    x = (5 + 2 * torch.randn(4, 8, 8, 8, dtype=torch.float64)).bfloat16().contiguous(memory_format=layout)
    exact, rounding = plain(x.double()), 2.0**-8
    found = instance_norm(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), exact, rtol=rounding, atol=1e-4)
    assert not torch.allclose(F.instance_norm(x).double(), exact, rtol=rounding, atol=1e-4), "torch rounds no more"


@pytest.mark.parametrize("affine", [False, True])
def test_the_layer_is_torchs(affine: bool) -> None:
    x, ours, theirs = (
        torch.randn(2, 3, 5, 5),
        InstanceNorm2d(3, affine=affine),
        torch.nn.InstanceNorm2d(3, affine=affine),
    )
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours(x.contiguous(memory_format=torch.channels_last)), theirs(x))

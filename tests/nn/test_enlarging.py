"""Upsampling and convolving is the same sum by either way, at the borders too; the fast one is for training on CPUs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from i2ibench.nn import enlarging
from i2ibench.nn.enlarging import Enlarging
from i2ibench.policy import Policy

CPU = torch.device("cpu")


def plain(layer: Enlarging) -> nn.Sequential:
    """The two layers of the paper's decoder, with the weights of ours."""
    conv = nn.Conv2d(layer.in_channels, layer.out_channels, 5, 1, 2, padding_mode="reflect").to(layer.weight.dtype)
    conv.load_state_dict(layer.state_dict())
    return nn.Sequential(nn.Upsample(scale_factor=2), conv)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The fast way for any number of pixels; how often it was gone."""
    gone: list[int] = []

    def shuffled(x: torch.Tensor, factor: int) -> torch.Tensor:
        gone.append(len(x))
        return nn.functional.pixel_shuffle(x, factor)

    monkeypatch.setattr(enlarging, "NUMBERS", 0)
    monkeypatch.setattr(enlarging, "pixel_shuffle", shuffled)
    return gone


@pytest.mark.parametrize("shape", [(2, 3, 2, 2), (1, 4, 2, 5), (3, 2, 7, 3)])
def test_values_and_gradients_are_those_of_the_two_layers(shape: tuple[int, ...], fast: list[int]) -> None:
    layer = Enlarging(shape[1], 5).double()
    x, weights, found = torch.randn(shape, dtype=torch.float64), None, []
    for network in (layer, plain(layer)):
        seen = x.clone().requires_grad_()
        output = network(seen)
        weights = torch.randn_like(output) if weights is None else weights
        (output * weights).sum().backward()
        found.append([output, seen.grad, *(p.grad for p in network.parameters())])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)
    assert len(fast) == 1


def test_gradients_can_be_differentiated_again(fast: list[int]) -> None:
    layer, x = Enlarging(2, 2).double(), torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, (x,))
    assert fast


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_other_precisions_go_through_too(precision: torch.dtype, fast: list[int]) -> None:
    layer, x = Enlarging(6, 4), torch.randn(2, 6, 4, 4)
    with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
        output = layer(x)
    assert output.dtype == precision
    tolerance = 1e-5 if precision == torch.float32 else 0.05
    torch.testing.assert_close(output.float(), plain(layer)(x), rtol=tolerance, atol=tolerance)
    assert fast


def test_the_plain_way_is_gone_where_the_other_is_slower_or_not_wanted(
    fast: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x = Enlarging(2, 2), torch.randn(1, 2, 4, 4)
    with torch.no_grad():
        layer(x)
    for policy in (Policy.reference(), Policy("bf16", channels_last=True)):
        with policy.ruling(CPU):
            layer(x)
    monkeypatch.setattr(enlarging, "NUMBERS", x.numel() + 1)
    layer(x)
    assert not fast
    monkeypatch.setattr(enlarging, "NUMBERS", x.numel())
    layer(x)
    assert len(fast) == 1

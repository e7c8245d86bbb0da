"""PatchGAN: the published counts, and patches of the published size, measured by gradient."""

from __future__ import annotations

import pytest
import torch

from i2ibench import nn


def test_parameter_counts_are_the_authors() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in nn.PatchGAN(6, norm="batch").parameters()) == 2_768_705
        assert sum(p.numel() for p in nn.PatchGAN(3, norm="instance").parameters()) == 2_764_737


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_receptive_field(layers: int, patch: int) -> None:
    net = nn.PatchGAN(3, width=4, layers=layers).eval().double()  # batch statistics would look at the whole image
    x = torch.randn(1, 3, 256, 256, dtype=torch.double, requires_grad=True)
    scores = net(x)
    middle = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, middle, middle], x)
    rows, columns = (gradient.abs().sum((0, 1)) > 0).nonzero().unbind(1)
    assert rows.max() - rows.min() + 1 == patch
    assert columns.max() - columns.min() + 1 == patch


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_map_of_scores(layers: int) -> None:
    net = nn.PatchGAN(3, width=4, norm="instance", layers=layers)
    for size in (3 * 2**layers, 64):
        assert net(torch.randn(2, 3, size, size)).shape == (2, 1, size // 2**layers - 2, size // 2**layers - 2)

"""pix2pixHD's generator against the authors' code, at every size, and its two networks at work."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from i2ibench import nn


def test_parameter_count_is_the_authors() -> None:
    """Their define_G(3, 3, 32, "local", n_downsample_global 4, n_blocks_global 9, n_blocks_local 3)."""
    with torch.device("meta"):
        for size in (256, 512, 1024):
            assert sum(p.numel() for p in nn.HDGenerator(3, 3, size).parameters()) == 182_701_827


def test_with_equal_weights_it_gives_the_authors_numbers(formula: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their define_G(3, 3, 4, "local", n_downsample_global 2, n_blocks_global 2, n_blocks_local 1), instance norm."""
    monkeypatch.setattr("i2ibench.nn.pix2pixhd.hd_halvings", lambda size: 2)
    network = formula.fill(nn.HDGenerator(3, 3, 32, 8, blocks=2, fine_blocks=1))
    output = network(formula.picture(1, 3, 32, 32))
    theirs = [-0.78857, -0.19038, -0.98577, 0.73742, -0.14573, 0.55924, 0.94122, -0.35255, 0.99929, 0.60146, -0.30378, 0.95351, -0.95372, -0.6331, -0.84069, -0.84923, -0.19314, -0.99983, -0.95874, -0.71452, -0.99183, 0.72231, -0.12289, 0.00014, -0.78578, -0.73709, 0.99663]  # fmt: skip
    torch.testing.assert_close(output[0, :, ::15, ::15].flatten(), torch.tensor(theirs), rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("size", "halvings"), [(8, 1), (16, 1), (32, 1), (36, 1), (64, 2), (128, 3), (256, 4), (512, 4), (1024, 4)]
)
def test_small_images_are_halved_less_often(size: int, halvings: int) -> None:
    assert nn.hd_halvings(size) == halvings
    nn.check_size(size, "hd", 1)
    with torch.device("meta"):
        assert nn.HDGenerator(1, 2, size, 4, blocks=1)(torch.empty(1, 1, size, size)).shape == (1, 2, size, size)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_both_networks_draw_with_every_option(norm: Any) -> None:
    torch.manual_seed(0)
    network = nn.generator("hd", 3, 3, 36, width=4, norm=norm, dropout=0.5, blocks=2, attention=True)
    network(torch.rand(2, 3, 36, 36)).square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.ndim > 1 and not p.grad.any()]
    assert all(".query" in name or ".key" in name or ".value" in name for name in idle), idle  # its gate begins closed

"""The Brownian bridge and its U-Net, against numbers of the authors' code (github.com/xuekt98/BBDM)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from i2ibench import nn
from i2ibench.nn import bridge


def close(found: torch.Tensor, theirs: list[float], atol: float = 2e-4) -> None:
    torch.testing.assert_close(found.flatten(), torch.tensor(theirs), rtol=0, atol=atol)


def test_parameter_counts_are_the_published_ones() -> None:
    """237.09 M in the paper's table; their UNetModel, of Template-BBDM and of Template-LBBDM-f4."""
    with torch.device("meta"):
        for channels, theirs in ((6, 237_094_787), (3, 237_091_331)):
            network = nn.Denoiser(channels, 3, 128, (1, 4, 8), 2, (8,), 64)
            assert sum(p.numel() for p in network.parameters()) == theirs


def test_the_bridge_starts_at_one_image_and_ends_at_the_other() -> None:
    way = nn.BrownianBridge(1000)
    torch.testing.assert_close(way.share[[0, -1]], torch.tensor([0.001, 0.999]))
    assert way.variance.max().item() == pytest.approx(0.5, abs=1e-5)
    assert way.variance.argmax() in (499, 500)
    assert nn.BrownianBridge(1000, 0.25).variance.max().item() == pytest.approx(0.125, abs=1e-5)


@pytest.mark.parametrize(("timesteps", "steps"), [(1000, 200), (100, 6), (10, 10), (10, 3), (3, 3)])
def test_times_fall_from_the_last_to_zero(timesteps: int, steps: int) -> None:
    times = nn.BrownianBridge(timesteps).times(steps)
    assert times[0] == timesteps - 1
    assert times[-2:] == [1, 0]
    assert times == sorted(set(times), reverse=True)
    assert len(times) in (steps, steps - 1)  # where the spacing itself ends at 1, that counts once
    if (timesteps, steps) == (100, 6):
        assert times == [99, 74, 49, 24, 1, 0]


@pytest.fixture
def scene(formula: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, nn.Denoiser]:
    """x, y, noise, and the network of their config with model_channels 32, channel_mult (1, 2), 16 per head."""
    x, y = formula.picture(2, 3, 16, 16), formula.picture(2, 3, 17, 16)[:, :, 1:]
    noise = formula.picture(2, 3, 16, 18)[..., 2:]
    return x, y, noise, formula.fill(nn.Denoiser(6, 3, 32, (1, 2), 2, (8,), 16), 1.0)


def test_points_targets_and_loss_are_those_of_the_authors_code(scene: Any) -> None:
    """Their q_sample and p_losses at t = 10 and 70 of 100."""
    x, y, noise, network = scene
    time = torch.tensor([10, 70])
    x_t, target = nn.BrownianBridge(100).at(x, y, time, noise)
    close(x_t[:, :, ::8, ::8], [0.26046, -0.05235, -0.59302, 0.3597, 0.78308, -0.56296, -0.95452, 0.75765, 1.03105, -0.86554, -1.08094, 0.95302, 0.64045, -0.4027, -0.72501, 0.50837, 0.55481, -0.34532, -0.58917, 0.40497, 0.3946, -0.21394, -0.39394, 0.23981])  # fmt: skip
    close(target[:, 0, ::8, ::8], [0.26046, -0.20505, -0.25082, 0.1894, -0.35199, 0.59567, 0.20317, -0.47149])
    assert nn.l1(network(nn.cat(x_t, y), time), target).item() == pytest.approx(0.57872, abs=2e-4)


def test_the_way_back_is_that_of_the_authors_code(scene: Any, formula: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their sample() in 6 steps of 100, first with no noise drawn, then with a known one."""
    _, y, _, network = scene
    way, rng = nn.BrownianBridge(100), torch.Generator()
    with torch.no_grad():
        quiet = way.walk(lambda x_t, time: network(nn.cat(x_t, y), time), y, 6, 0.0, rng)
        close(quiet[:, :, ::8, ::8], [-1.0, -0.63522, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 0.24782, 0.29861, -0.55011, 0.01844, -0.34971, -1.0, -1.0, -0.6074, -1.0, -1.0, -1.0, -1.0, 0.78963, -0.13978, -0.87839, 0.39868])  # fmt: skip
        monkeypatch.setattr(bridge, "normal", lambda shape, like, rng: formula.picture(*shape))
        drawn = way.walk(lambda x_t, time: network(nn.cat(x_t, y), time), y, 6, 1.0, rng)
        close(drawn[:, :, ::8, ::8], [-0.84026, -0.13319, -1.0, -0.84309, -1.0, -1.0, -1.0, -0.58191, 1.0, -0.96835, -1.0, 0.97984, 0.83003, -1.0, -1.0, 0.72496, -0.26854, -1.0, -1.0, 0.01519, 1.0, -0.9591, -1.0, 0.97128], 1e-3)  # fmt: skip


def test_a_network_that_knows_the_answer_arrives_there() -> None:
    x, y = torch.rand(2, 3, 8, 8) * 2 - 1, torch.rand(2, 3, 8, 8) * 2 - 1
    for eta in (0.0, 1.0):
        arrived = nn.BrownianBridge(100).walk(lambda x_t, _: x_t - x, y, 5, eta, torch.Generator())
        torch.testing.assert_close(arrived, x)

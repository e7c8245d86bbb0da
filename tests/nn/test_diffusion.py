"""Diffusion against numbers of the library diffusers, asked in its own way, and against a Gaussian to be given back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.schedulers import scheduling_ddpm

from i2ibench import nn


def close(found: torch.Tensor, theirs: list[float], atol: float = 5e-5) -> None:
    torch.testing.assert_close(found.flatten().float(), torch.tensor(theirs), rtol=0, atol=atol)


def test_schedules_are_those_of_diffusers() -> None:
    """beta_schedule "linear" from 1e-4 to 0.02, and "squaredcos_cap_v2", 1,000 steps each."""
    places = [0, 1, 499, 998, 999]
    close(nn.linear_levels(1000, 1e-4, 0.02)[places], [0.9999, 0.99978, 0.07859, 4e-05, 4e-05])
    close(nn.cosine_levels(1000)[places], [0.99996, 0.99991, 0.49384, 0.0, 0.0])


def test_the_default_is_palettes_schedule_for_training() -> None:
    levels = nn.linear_levels(2000)
    assert levels[0].item() == pytest.approx(1 - 1e-6)
    assert levels[-1].item() == pytest.approx(4.4e-5, rel=0.05)  # about exp(-sum of betas) = exp(-10)
    assert (levels[1:] < levels[:-1]).all()


def test_few_levels_are_spread_from_the_noisiest_on() -> None:
    """timestep_spacing "trailing"."""
    assert nn.spaced(torch.arange(1000), 8).tolist() == [124, 249, 374, 499, 624, 749, 874, 999]
    assert nn.spaced(torch.arange(1000), 7).tolist() == [142, 285, 428, 570, 713, 856, 999]
    assert torch.equal(nn.spaced(torch.arange(10), 10), torch.arange(10))


def test_noise_and_velocity_are_those_of_diffusers(formula: Any) -> None:
    """add_noise and get_velocity at steps 100 and 700."""
    x, noise = formula.picture(2, 1, 2, 2), formula.picture(2, 1, 2, 3)[..., 1:]
    way = nn.Diffusion(nn.linear_levels(1000, 1e-4, 0.02), "velocity")
    level = way.levels[[100, 700]]
    close(way.noisy(x, noise, level), [0.12011, 0.57264, 0.97078, 1.1638, 0.58227, 0.23132, -0.4897, -0.77572])
    close(way.target(x, noise, level), [0.35093, 0.52766, 0.72204, 0.61093, -0.95252, -0.93893, -0.82494, -0.56757])


@pytest.mark.parametrize("predict", ["noise", "velocity"])
def test_a_perfect_answer_leads_back_to_the_image(predict: Any) -> None:
    x, noise = torch.rand(3, 3, 4, 4) * 2 - 1, torch.randn(3, 3, 4, 4)
    way = nn.Diffusion(nn.cosine_levels(1000), predict)
    for gamma in (0.9, 0.5, 0.1):
        level = torch.full((3,), gamma)
        found = way.sample(lambda *_, level=level: way.target(x, noise, level), way.noisy(x, noise, level), level[:1])
        torch.testing.assert_close(found, x, rtol=0, atol=1e-5)


def test_levels_are_drawn_from_the_whole_schedule_and_between_its_steps() -> None:
    torch.manual_seed(0)
    way = nn.Diffusion(torch.tensor([0.8, 0.4, 0.1]))
    drawn = way.draw_levels(10_000)
    assert 0.1 <= drawn.min() < 0.11
    assert 0.79 < drawn.max() <= 0.8
    assert (drawn > 0.4).float().mean().item() == pytest.approx(0.5, abs=0.02)  # a step first, then a place in it
    assert drawn.unique().numel() > 9_000


def network(formula: Any) -> Any:
    return lambda y, level: 0.95 * y + 0.05 * torch.tanh(formula.picture(1, 1, 3, 3)[..., :2])


@pytest.mark.parametrize(
    ("predict", "levels", "theirs"),
    [
        ("noise", nn.linear_levels(1000, 1e-4, 0.02), [0.0, 0.27114, 0.48168, 0.6575, 0.74851, 0.73981]),
        ("velocity", nn.cosine_levels(1000), [0.0, 0.07497, 0.13632, 0.19936, 0.23131, 0.22595]),
    ],
)
def test_ddim_is_that_of_diffusers(predict: Any, levels: torch.Tensor, theirs: list[float], formula: Any) -> None:
    """DDIMScheduler, 8 steps, eta 0, clip_sample, use_clipped_model_output."""
    way = nn.Diffusion(levels, predict)
    close(way.sample(network(formula), 1.5 * formula.picture(1, 1, 3, 2), nn.spaced(levels, 8)), theirs)


def test_ddpm_is_the_algorithm_of_the_papers(formula: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Algorithm 2 of Ho et al. 2020 (with sigma_t^2 = beta_t) and of Palette, over 20 steps; the noise is known."""
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda shape, **_: 0.5 * formula.picture(*shape))
    way = nn.Diffusion(nn.linear_levels(20, 1e-3, 0.2))
    y = 1.5 * formula.picture(1, 1, 3, 2)
    ours = way.sample(network(formula), y, way.levels, "ddpm", clip=False)
    for t in reversed(range(20)):
        gamma = way.levels[t]
        alpha = gamma / way.levels[t - 1] if t else gamma
        y = (y - (1 - alpha) / (1 - gamma).sqrt() * network(formula)(y, gamma)) / alpha.sqrt()
        if t:
            y = y + (1 - alpha).sqrt() * 0.5 * formula.picture(*y.shape)
    torch.testing.assert_close(ours, y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 50), ("ddpm", 500)])
def test_a_gaussian_comes_back_with_its_mean_and_deviation(sampler: Any, steps: int) -> None:
    """Where the data are N(0.3, 0.2^2), the best denoiser is known: what it samples must be the data again."""
    way, rng = nn.Diffusion(nn.cosine_levels(1000)), torch.Generator().manual_seed(0)

    def best(y: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        gamma = level.view(-1, 1, 1, 1)
        spread = gamma * 0.2**2 + 1 - gamma  # the variance of y
        return (1 - gamma).sqrt() * (y - gamma.sqrt() * 0.3) / spread

    y = nn.normal((4, 3, 32, 32), torch.zeros(1), rng)
    x = way.sample(best, y, nn.spaced(way.levels, steps), sampler, rng)
    assert x.mean().item() == pytest.approx(0.3, abs=0.02)
    assert x.std().item() == pytest.approx(0.2, abs=0.02)

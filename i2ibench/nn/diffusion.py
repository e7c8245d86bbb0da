"""Gaussian diffusion: the noise schedules, what a denoiser learns, the sampler (DDIM, with DDPM as its noisy end), and
the way back from an image to its noise (DDIM's inversion).

A noise level is gamma (alpha-bar in Ho et al. 2020): y = sqrt(gamma) x + sqrt(1 - gamma) noise; 1 is the clean image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from .vae import normal

Schedule = Literal["linear", "cosine"]
Prediction = Literal["noise", "velocity"]


def linear_levels(steps: int, first: float = 1e-6, last: float = 1e-2) -> Tensor:
    """gamma after each of so many steps (steps,), falling; the variances added per step grow from `first` to `last`.

    The defaults are Palette's at 2,000 steps.
    """
    return torch.linspace(first, last, steps, dtype=torch.float64).neg().log1p().cumsum(0).exp().float()


def cosine_levels(steps: int, offset: float = 0.008) -> Tensor:
    """gamma after each of so many steps (steps,), a squared cosine (Nichol & Dhariwal 2021, equation 17)."""
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    curve = torch.cos((time + offset) / (1 + offset) * math.pi / 2).square()
    kept = (curve[1:] / curve[:-1]).clamp(min=1e-3)  # no step adds a variance above 0.999
    return kept.cumprod(0).float()


def spaced(levels: Tensor, steps: int) -> Tensor:
    """So many of the levels, evenly spaced and with the noisiest among them ("trailing": Lin et al. 2023)."""
    n = len(levels)
    return levels[[round((i + 1) * n / steps) - 1 for i in range(steps)]]


def _per_image(level: Tensor) -> Tensor:
    return level.view(-1, 1, 1, 1)


class Diffusion(nn.Module):
    """The forward process over `levels`, and what a network that denoises it is asked for.

    Args:
        levels: gamma after each step, falling (steps,).
        predict: "noise" (Ho et al. 2020), or "velocity" sqrt(gamma) noise - sqrt(1 - gamma) x (Salimans & Ho 2022),
            which stays well conditioned where the image is all noise.
    """

    levels: Tensor

    def __init__(self, levels: Tensor, predict: Prediction = "noise") -> None:
        super().__init__()
        self.predict = predict
        self.register_buffer("levels", levels, persistent=False)

    def draw_levels(self, n: int) -> Tensor:
        """n noise levels: a step drawn evenly, and a level drawn evenly between its two ends (Chen et al. 2021)."""
        step = torch.randint(1, len(self.levels), (n,), device=self.levels.device)
        high, low = self.levels[step - 1], self.levels[step]
        return low + (high - low) * torch.rand_like(low)

    def noisy(self, x: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """q(y | x): images (N, C, H, W) at the levels (N,)."""
        gamma = _per_image(level)
        return gamma.sqrt() * x + (1 - gamma).sqrt() * noise

    def target(self, x: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """What the network shall say of `noisy(x, noise, level)`."""
        gamma = _per_image(level)
        return noise if self.predict == "noise" else gamma.sqrt() * noise - (1 - gamma).sqrt() * x

    def clean(self, y: Tensor, said: Tensor, level: Tensor) -> Tensor:
        """The image that follows from what the network said of y."""
        gamma = _per_image(level)
        if self.predict == "noise":
            return (y - (1 - gamma).sqrt() * said) / gamma.sqrt()
        return gamma.sqrt() * y - (1 - gamma).sqrt() * said

    def noise(self, y: Tensor, said: Tensor, gamma: Tensor) -> Tensor:
        """The noise that follows from what the network said of y at one level."""
        return said if self.predict == "noise" else gamma.sqrt() * said + (1 - gamma).sqrt() * y

    def sample(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        y: Tensor,
        levels: Tensor,
        eta: float = 0.0,
        rng: torch.Generator | None = None,
        clip: bool = True,
    ) -> Tensor:
        """From noise y (N, C, H, W) to images, down through `levels` (steps,), the noisiest of which comes last.

        eta 0 is DDIM, which draws nothing more (Song et al. 2021, equations 12 and 16); eta 1 is DDPM's ancestral
        sampling with the posterior's variance. `network(y, level)`, level (N,). `clip`: each estimate of the image
        into [-1, 1].
        """
        following = torch.cat([levels.new_ones(1), levels[:-1]])
        for gamma, after in zip(levels.flip(0), following.flip(0), strict=True):
            level = gamma.expand(len(y))
            x = self.clean(y, network(y, level), level)
            x = x.clamp(-1, 1) if clip else x
            noise = (y - gamma.sqrt() * x) / (1 - gamma).sqrt()
            variance = eta**2 * (1 - after) / (1 - gamma) * (1 - gamma / after)
            y = after.sqrt() * x + (1 - after - variance).clamp(min=0).sqrt() * noise
            if eta and after < 1:
                y = y + variance.sqrt() * normal(tuple(y.shape), y, rng)
        return y

    def encode(self, network: Callable[[Tensor, Tensor], Tensor], x: Tensor, levels: Tensor) -> Tensor:
        """From images x (N, C, H, W) to the noise that `sample` with eta 0 and no clipping leads back from.

        DDIM run upwards (Song et al. 2021, section 4.3). Each step asks the network at the level it goes to, as the
        step of `sample` between the same two levels does: what is left between them is that one sees the image before
        the step, the other after it, which vanishes with the steps' size.
        """
        before = torch.cat([levels.new_ones(1), levels[:-1]])
        y = x
        for gamma, last in zip(levels, before, strict=True):
            noise = self.noise(y, network(y, gamma.expand(len(y))), gamma)
            y = (gamma / last).sqrt() * (y - (1 - last).sqrt() * noise) + (1 - gamma).sqrt() * noise
        return y

"""Gaussian diffusion: the noise schedules, what a denoiser learns, samplers (DDIM and DDPM), and the way back from an
image to its noise (DDIM's inversion).

A noise level is gamma (alpha-bar in Ho et al. 2020): y = sqrt(gamma) x + sqrt(1 - gamma) noise; 1 is the clean image.
Samplers are those of diffusers. What it has for training counts in whole steps, and levels here lie between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

Schedule = Literal["linear", "cosine"]
Prediction = Literal["noise", "velocity"]
Sampler = Literal["ddim", "ddpm"]
Network = Callable[[Tensor, Tensor], Tensor]


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
        import diffusers.schedulers  # noqa: F401 (here, as it takes seconds: not within the first translation's time)

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

    def sample(
        self,
        network: Network,
        y: Tensor,
        levels: Tensor,
        sampler: Sampler = "ddim",
        rng: torch.Generator | None = None,
        clip: bool = True,
    ) -> Tensor:
        """From noise y (N, C, H, W) to images, down through `levels` (steps,), the noisiest of which comes last.

        "ddim" draws nothing more (Song et al. 2021, equation 12), "ddpm" is ancestral sampling that adds the step's own
        variance (Ho et al. 2020, algorithm 2, and Palette's after it); both by diffusers. `network(y, level)`, level
        (N,). `clip`: each estimate of the image into [-1, 1].
        """
        from diffusers.schedulers import DDIMScheduler, DDPMScheduler

        how: dict[str, Any]
        if sampler == "ddim":
            scheduler, how = self._scheduler(DDIMScheduler, levels, clip), {"use_clipped_model_output": clip}
        else:
            scheduler = self._scheduler(DDPMScheduler, levels, clip, variance_type="fixed_large")
            how = {"generator": rng}
        for step in reversed(range(len(levels))):
            y = scheduler.step(network(y, levels[step].expand(len(y))), step, y, **how).prev_sample
        return y

    def encode(self, network: Network, x: Tensor, levels: Tensor) -> Tensor:
        """From images x (N, C, H, W) to the noise that `sample` by "ddim" without clipping leads back from.

        DDIM run upwards (Song et al. 2021, section 4.3), by diffusers. Each step asks the network at the level it goes
        to, as the step of `sample` between the same two levels does: what is left between them is that one sees the
        image before the step, the other after it, which vanishes with the steps' size.
        """
        from diffusers.schedulers import DDIMInverseScheduler

        scheduler, y = self._scheduler(DDIMInverseScheduler, levels, clip=False), x
        for step, level in enumerate(levels):
            y = scheduler.step(network(y, level.expand(len(y))), step, y).prev_sample
        return y

    def _scheduler(self, kind: Any, levels: Tensor, clip: bool, **options: Any) -> Any:
        """A scheduler of diffusers that takes each of these levels, as if there were no others."""
        steps, prediction = len(levels), {"noise": "epsilon", "velocity": "v_prediction"}[self.predict]
        made = kind(steps, prediction_type=prediction, clip_sample=clip, timestep_spacing="trailing", **options)
        made.alphas_cumprod = levels.cpu()
        made.set_timesteps(steps)
        return made

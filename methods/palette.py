"""Palette: paired translation by diffusion, conditioned on A.

Saharia, Chan, Chang, Lee, Ho, Salimans, Fleet and Norouzi, "Palette: Image-to-Image Diffusion Models", SIGGRAPH 2022,
arXiv:2111.05826. A U-Net f sees A and a noisy B side by side and says what the noise is:

    E |f(a, sqrt(gamma) b + sqrt(1 - gamma) noise, gamma) - noise|^2,     gamma ~ p(gamma), noise ~ N(0, I)

To translate, start from noise and remove it step by step. `sampler: ddpm` is the paper's, on a schedule of its own with
any number of steps from 100; `ddim` (Song et al. 2021) needs a few steps of the training's schedule and draws only its
start. The authors published no code; the U-Net is ADM's at 256 pixels without its classes, as the paper says. `predict:
velocity` and `schedule: cosine` are not the paper's: they learn sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from i2ibench import nn
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Method, Task, Turn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Palette(Method):
    """Palette (Saharia et al. 2022): conditional diffusion on pairs."""

    paper = "Saharia et al., SIGGRAPH 2022, arXiv:2111.05826"
    year = 2022
    pairing = "paired"
    players = ("generator",)
    multimodal = True
    sampling = ("sampler", "sample_steps")

    class Params(Method.Params):
        width: int = Field(64, ge=2, multiple_of=2, description="channels of the U-Net's first layer")
        multipliers: tuple[PositiveInt, ...] = Field(
            (1, 2, 4, 8), min_length=1, description="widths at each size, times width"
        )
        blocks: int = Field(2, ge=1, description="residual blocks at each size")
        attention: tuple[PositiveInt, ...] = Field((8,), description="how much smaller the maps are that get attention")
        head: int = Field(32, ge=1, description="channels in a head of the attention")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the residual blocks")
        schedule: Literal["linear", "cosine"] = Field("linear", description="how gamma falls (the paper's: linear)")
        timesteps: int = Field(2000, ge=2, description="steps of the training's schedule")
        predict: Literal["noise", "velocity"] = Field("noise", description="what the network says (the paper's: noise)")
        sampler: Literal["ddim", "ddpm"] = Field("ddim", description="how it translates (the paper's: ddpm)")
        sample_steps: int = Field(50, ge=1, description="network passes for a translation")
        lr: float = Field(1e-4, gt=0, description="Adam's learning rate")
        beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first-moment decay")
        decay: Literal["constant", "linear", "halve"] = Field("constant", description="the published rate is constant")

    presets: ClassVar = {
        "tiny": {
            "width": 8,
            "blocks": 1,
            "attention": (),
            "schedule": "cosine",
            "predict": "velocity",
            "sample_steps": 8,
            "lr": 2e-3,
            "decay": "linear",
            "training": {"steps": 400, "batch_size": 16, "ema": 0.99},
        },
        "small": {"training": {"steps": 50_000, "batch_size": 16, "ema": 0.999, "warmup": 500}},
        "paper": {
            "width": 256,
            "multipliers": (1, 1, 2, 2, 4, 4),
            "attention": (8, 16, 32),
            "head": 64,
            "sampler": "ddpm",
            "sample_steps": 1000,
            "training": {"steps": 1_000_000, "batch_size": 1024, "ema": 0.9999, "warmup": 10_000},
        },
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        nn.check_denoiser(task.size, params)
        steps = params.sample_steps
        if params.sampler == "ddim" and steps > params.timesteps:
            raise ConfigError(f"sample_steps ({steps}) cannot be more than timesteps ({params.timesteps}) with ddim")
        if params.sampler == "ddpm" and steps < 100:
            raise ConfigError(f"sampler ddpm needs 100 sample_steps or more, not {steps}; or take ddim")

    def build(self, task: Task) -> None:
        p = self.params
        channels = task.channels_a + task.channels_b, task.channels_b
        self.generator = nn.Denoiser(*channels, p.width, p.multipliers, p.blocks, p.attention, p.head, p.dropout)
        levels = nn.linear_levels(p.timesteps) if p.schedule == "linear" else nn.cosine_levels(p.timesteps)
        self.diffusion = nn.Diffusion(levels, p.predict)

    def step(self, batch: Batch, turn: Turn) -> None:
        a, b, diffusion = batch.a, batch.b, self.diffusion
        noise, level = nn.normal(tuple(b.shape), b), diffusion.draw_levels(len(b))
        with turn("generator") as loss:
            said = self.generator(nn.cat(a, diffusion.noisy(b, noise, level)), level)
            loss.mse = nn.mse(said, diffusion.target(b, noise, level))

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        p, diffusion = self.params, self.diffusion
        start = nn.normal((len(a), self.task.channels_b, *a.shape[2:]), a, rng)
        if p.sampler == "ddim":
            levels = nn.spaced(diffusion.levels, p.sample_steps)
        else:  # 1e-4 to 0.09 at the published 1,000 steps
            levels = nn.linear_levels(p.sample_steps, 0.1 / p.sample_steps, 90 / p.sample_steps).to(a)
        return diffusion.sample(lambda y, level: self.generator(nn.cat(a, y), level), start, levels, p.sampler, rng)

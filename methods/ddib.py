"""DDIB: unpaired translation by two diffusion models that never meet (dual diffusion implicit bridges).

Su, Song, Meng and Ermon, "Dual Diffusion Implicit Bridges for Image-to-Image Translation", ICLR 2023,
arXiv:2203.08382. Each domain has a diffusion model of its own, trained on its images alone:

    E |f_A(sqrt(gamma) a + sqrt(1 - gamma) noise, gamma) - noise|^2,   and f_B on b alike

Without noise drawn on the way, a diffusion model is an ordinary differential equation between images and noise, to be
followed both ways. To translate, follow A's from the image to its noise, and B's from that noise to an image: two
Schroedinger bridges with the Gaussian between them. There and back again is the identity but for the steps' size.

The network is ADM's at 256 pixels (Dhariwal & Nichol 2021) without classes, one for each domain, where the authors take
one model of ImageNet and two of its classes; without its learned variances, which this sampler has no use for; and told
gamma instead of the step. `paper` has ADM's budget and follows the equation in each of the schedule's steps. On B's way
back the authors' code is guided by a classifier of ImageNet and clips estimates of the image; here nothing guides it,
and nothing is clipped, which could not be undone. `predict: velocity` and `schedule: cosine` are not the paper's: they
learn sooner.
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


class DDIB(Method):
    """DDIB (Su et al. 2023): from A to its noise with A's diffusion model, from there to B with B's."""

    paper = "Su et al., ICLR 2023, arXiv:2203.08382"
    year = 2023
    pairing = "unpaired"
    players = ("generator",)
    bidirectional = True
    sampling = ("sample_steps",)

    class Params(Method.Params):
        width: int = Field(64, ge=2, multiple_of=2, description="channels of each U-Net's first layer")
        multipliers: tuple[PositiveInt, ...] = Field(
            (1, 2, 4, 8), min_length=1, description="widths at each size, times width"
        )
        blocks: int = Field(2, ge=1, description="residual blocks at each size")
        attention: tuple[PositiveInt, ...] = Field((8,), description="how much smaller the maps are that get attention")
        head: int = Field(64, ge=1, description="channels in a head of the attention")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the residual blocks")
        schedule: Literal["linear", "cosine"] = Field("linear", description="how gamma falls (the paper's: linear)")
        timesteps: int = Field(1000, ge=2, description="steps of the training's schedule")
        predict: Literal["noise", "velocity"] = Field("noise", description="what the network says (the paper's: noise)")
        sample_steps: int = Field(50, ge=1, description="network passes each way: to the noise, and from it")
        lr: float = Field(1e-4, gt=0, description="Adam's learning rate")
        beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first-moment decay")
        decay: Literal["constant", "linear", "halve"] = Field("constant", description="the published rate is constant")

    presets: ClassVar = {
        "tiny": {
            "width": 8,
            "multipliers": (1, 2, 4),
            "blocks": 1,
            "attention": (),
            "schedule": "cosine",
            "predict": "velocity",
            "sample_steps": 8,
            "lr": 3e-3,
            "decay": "linear",
            "training": {"steps": 400, "batch_size": 8, "ema": 0.99},
        },
        "small": {"training": {"steps": 50_000, "batch_size": 16, "ema": 0.999, "warmup": 500}},
        "paper": {
            "width": 256,
            "multipliers": (1, 1, 2, 2, 4, 4),
            "attention": (8, 16, 32),
            "sample_steps": 1000,
            "training": {"steps": 1_980_000, "batch_size": 256, "ema": 0.9999},
        },
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        nn.check_denoiser(task.size, params)
        if params.schedule == "linear" and params.timesteps <= 20:
            raise ConfigError(f"timesteps {params.timesteps}: the linear schedule needs more than 20; raise it")
        if params.sample_steps > params.timesteps:
            steps = f"{params.sample_steps} > {params.timesteps}"
            raise ConfigError(f"sample_steps cannot be more than timesteps: {steps}; lower sample_steps")

    def build(self, task: Task) -> None:
        p, channels = self.params, (task.channels_a, task.channels_b)
        a, b = (nn.Denoiser(n, n, p.width, p.multipliers, p.blocks, p.attention, p.head, p.dropout) for n in channels)
        self.generator = nn.group(a=a, b=b)
        linear = nn.linear_levels(p.timesteps, 0.1 / p.timesteps, 20 / p.timesteps)  # 1e-4 to 0.02 at the published
        self.diffusion = nn.Diffusion(linear if p.schedule == "linear" else nn.cosine_levels(p.timesteps), p.predict)

    def step(self, batch: Batch, turn: Turn) -> None:
        with turn("generator") as loss:
            loss.a = self.denoising(self.generator.a, batch.a)
            loss.b = self.denoising(self.generator.b, batch.b)

    def denoising(self, model: Any, x: Tensor) -> Tensor:
        """How far a domain's model is from the noise in its images."""
        noise, level = nn.normal(tuple(x.shape), x), self.diffusion.draw_levels(len(x))
        return nn.mse(model(self.diffusion.noisy(x, noise, level), level), self.diffusion.target(x, noise, level))

    def bridge(self, x: Tensor, start: Any, end: Any) -> Tensor:
        """From an image to its noise with one model, and with the other back to an image."""
        levels = nn.spaced(self.diffusion.levels, self.params.sample_steps)
        latent = self.diffusion.encode(start, x, levels)
        return self.diffusion.sample(end, latent, levels, clip=False).clamp(-1, 1)

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.bridge(a, self.generator.a, self.generator.b)

    def translate_back(self, b: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.bridge(b, self.generator.b, self.generator.a)

"""BBDM: paired translation along a Brownian bridge from A to B.

Li, Xue, Liu and Lai, "BBDM: Image-to-Image Translation with Brownian Bridge Diffusion Models", CVPR 2023,
arXiv:2205.07680. Where other diffusion models end in noise, this one ends in A: with m_t from 0 to 1,

    x_t = (1 - m_t) b + m_t a + sqrt(v_t) noise,   v_t = 2 s (m_t - m_t^2),        E |f(x_t, t, a) - (x_t - b)|_1

To translate, start at A and walk back to B. Networks, weights and sampler are those of the authors' code in pixels
(Template-BBDM.yaml), where f sees A beside x_t; their published numbers are for the same U-Net on a VQGAN's codes.
Theirs accumulates two batches of 8, halves the learning rate on plateaus and leaves biases as torch draws them; here
it is one batch of 16, a constant rate, and biases of 0.
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


class BBDM(Method):
    """BBDM (Li et al. 2023): a diffusion bridge on pairs."""

    paper = "Li et al., CVPR 2023, arXiv:2205.07680"
    year = 2023
    pairing = "paired"
    players = ("generator",)
    multimodal = True
    sampling = ("sample_steps", "eta")

    class Params(Method.Params):
        width: int = Field(128, ge=2, multiple_of=2, description="channels of the U-Net's first layer")
        multipliers: tuple[PositiveInt, ...] = Field(
            (1, 4, 8), min_length=1, description="widths at each size, times width"
        )
        blocks: int = Field(2, ge=1, description="residual blocks at each size")
        attention: tuple[PositiveInt, ...] = Field((8,), description="how much smaller the maps are that get attention")
        head: int = Field(64, ge=1, description="channels in a head of the attention")
        condition: bool = Field(True, description="the network sees A beside the noisy image x_t")
        timesteps: int = Field(1000, ge=3, description="points of the bridge")
        variance: float = Field(1.0, gt=0, description="s, the scale of the bridge's variance")
        sample_steps: int = Field(200, ge=3, description="network passes for a translation")
        eta: float = Field(1.0, ge=0, description="noise drawn on the way back; 0: one translation for each input")
        lr: float = Field(1e-4, gt=0, description="Adam's learning rate")
        beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first-moment decay")
        decay: Literal["constant", "linear", "halve"] = Field("constant", description="the rate stays as it is")

    presets: ClassVar = {
        "tiny": {
            "width": 8,
            "multipliers": (1, 2, 4, 8),
            "blocks": 1,
            "attention": (),
            "variance": 0.1,
            "sample_steps": 5,
            "lr": 2e-3,
            "decay": "linear",
            "training": {"steps": 400, "batch_size": 16, "ema": 0.99},
        },
        "small": {
            "width": 64,
            "multipliers": (1, 2, 4, 8),
            "sample_steps": 50,
            "training": {"steps": 50_000, "batch_size": 16, "ema": 0.999},
        },
        # Theirs counts 400,000 batches of 8, two to a step, and averages by 0.995 in each 8th step.
        "paper": {"training": {"steps": 200_000, "batch_size": 16, "ema": 0.9994}},
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        nn.check_denoiser(task.size, params)
        if params.sample_steps > params.timesteps:
            steps = f"{params.sample_steps} > {params.timesteps}"
            raise ConfigError(f"sample_steps cannot be more than timesteps: {steps}; lower sample_steps")

    def build(self, task: Task) -> None:
        p, b = self.params, task.channels_b
        inputs = b + task.channels_a if p.condition else b
        network = nn.Denoiser(inputs, b, p.width, p.multipliers, p.blocks, p.attention, p.head)
        self.generator = nn.init_weights(network, "normal", 0.02)
        self.bridge = nn.BrownianBridge(p.timesteps, p.variance)

    def away(self, x_t: Tensor, time: Tensor, a: Tensor) -> Tensor:
        """f: how far x_t is from B."""
        return self.generator(nn.cat(x_t, a) if self.params.condition else x_t, time)

    def step(self, batch: Batch, turn: Turn) -> None:
        a, b = batch.a, batch.b
        time, noise = self.bridge.draw_times(len(a)), nn.normal(tuple(b.shape), b)
        x_t, target = self.bridge.at(b, a, time, noise)
        with turn("generator") as loss:
            loss.l1 = nn.l1(self.away(x_t, time, a), target)

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        p = self.params
        return self.bridge.walk(lambda x_t, time: self.away(x_t, time, a), a, p.sample_steps, p.eta, rng)

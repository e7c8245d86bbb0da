"""SRCNN: super-resolution by three convolutions on the enlarged image.

Dong, Loy, He and Tang, "Learning a Deep Convolutional Network for Image Super-Resolution", ECCV 2014, and "Image
Super-Resolution Using Deep Convolutional Networks", TPAMI 2016, arXiv:1501.00092. The input is the small image enlarged
bicubically, which is what the task `super-resolve` gives, and the network F minimises

    E |F(a) - b|^2

Kernels are 9-1-5 as published first (9-3-5 and 9-5-5 are a little better and slower), on the three channels of RGB
together (section 4.5 of the second paper; its other networks see luminance alone). The loop has Adam, the paper
gradient descent with momentum and a rate ten times lower in the last layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from i2ibench import nn
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Method, Task, Turn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class SRCNN(Method):
    """SRCNN (Dong et al. 2014): three convolutions and the mean squared error."""

    paper = "Dong et al., ECCV 2014, arXiv:1501.00092"
    year = 2014
    pairing = "paired"
    players = ("generator",)

    class Params(Method.Params):
        width: int = Field(64, ge=2, multiple_of=2, description="channels after the first layer; half after the second")
        kernels: tuple[int, int, int] = Field((9, 1, 5), description="edges of the three kernels, in pixels")
        lr: float = Field(1e-4, gt=0, description="Adam's learning rate")
        beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first-moment decay")
        decay: Literal["constant", "linear", "halve"] = Field("constant", description="the published rate is constant")

    presets: ClassVar = {
        "tiny": {"width": 32, "lr": 2e-3, "decay": "linear", "training": {"steps": 600, "batch_size": 8}},
        "small": {"training": {"steps": 100_000, "batch_size": 16}},
        "paper": {"training": {"steps": 1_000_000, "batch_size": 128}},
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        if any(kernel < 1 or kernel % 2 == 0 for kernel in params.kernels):
            raise ConfigError(f"kernels {list(params.kernels)} must be odd, such as [9, 1, 5]")

    def build(self, task: Task) -> None:
        self.generator = nn.SRCNN(task.channels_a, self.params.width, self.params.kernels)

    def step(self, batch: Batch, turn: Turn) -> None:
        with turn("generator") as loss:
            loss.mse = nn.mse(self.generator(batch.a), batch.b)

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator(a).clamp(-1, 1)

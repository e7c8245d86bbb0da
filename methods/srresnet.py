"""SRResNet: super-resolution by a residual network that minimises the squared error.

Ledig, Theis, Huszar, Caballero, Cunningham, Acosta, Aitken, Tejani, Totz, Wang and Shi, "Photo-Realistic Single Image
Super-Resolution Using a Generative Adversarial Network", CVPR 2017, arXiv:1609.04802: the generator of SRGAN, trained
alone. It sees the small image x and minimises

    E |G(x) - b|^2

The task `super-resolve` gives all methods the same input, the small image enlarged to its target's size; G gets x by
undoing that (`nn.Shrink`: next to exact where no pixel was clipped), in [-1, 1] where the paper has [0, 1]. The authors
published no code. SRGAN begins with these weights: `init_from: {method: srresnet}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from i2ibench import nn
from i2ibench.method import Batch, Method, Task, Turn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class SRResNet(Method):
    """SRResNet (Ledig et al. 2017): SRGAN's generator, trained for the squared error alone."""

    paper = "Ledig et al., CVPR 2017, arXiv:1609.04802"
    year = 2017
    pairing = "paired"
    players = ("generator",)

    class Params(Method.Params):
        width: int = Field(64, ge=1, description="channels of all layers")
        blocks: int = Field(16, ge=1, description="residual blocks")
        scale: Literal[2, 4, 8] | None = Field(
            None, description="factor of the enlargement; default: the task's, else 4"
        )
        lr: float = Field(1e-4, gt=0, description="Adam's learning rate")
        beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first-moment decay")
        decay: Literal["constant", "linear", "halve"] = Field("constant", description="the published rate is constant")

    presets: ClassVar = {
        "tiny": {
            "width": 16,
            "blocks": 2,
            "lr": 5e-3,
            "decay": "linear",
            "training": {"steps": 600, "batch_size": 8},
        },
        "small": {"training": {"steps": 100_000, "batch_size": 16}},
        "paper": {"training": {"steps": 1_000_000, "batch_size": 16}},
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        nn.check_scale(task.size, nn.scale_of(params.scale, task))

    def build(self, task: Task) -> None:
        p, scale = self.params, nn.scale_of(self.params.scale, task)
        self.shrink = nn.Shrink(task.size, scale)
        self.generator = nn.SRResNet(task.channels_a, p.width, p.blocks, scale)

    def step(self, batch: Batch, turn: Turn) -> None:
        with turn("generator") as loss:
            loss.mse = nn.mse(self.generator(self.shrink(batch.a)), batch.b)

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator(self.shrink(a)).clamp(-1, 1)

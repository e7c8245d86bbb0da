"""EDSR: super-resolution by a deep residual network without normalisation.

Lim, Son, Kim, Nah and Lee, "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017 (NTIRE),
arXiv:1707.02921. The network F sees the small image x and minimises

    E |F(x) - b|_1

The task `super-resolve` gives all methods the same input, the small image enlarged to its target's size; F gets x by
undoing that (`nn.Shrink`: next to exact where no pixel was clipped). Defaults are the paper's baseline, the preset
`paper` its full network, whose residuals are scaled by 0.1. As in the authors' code pixels are 0 to 255 less the mean
of DIV2K, so their weights fit: `init_from: {file: edsr_baseline_x2.pt, partial: true}`; so does the paper begin at x4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from i2ibench import nn
from i2ibench.method import Batch, Method, Task, Turn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class EDSR(Method):
    """EDSR (Lim et al. 2017): residual blocks without batch norm, and L1."""

    paper = "Lim et al., CVPRW 2017, arXiv:1707.02921"
    year = 2017
    pairing = "paired"
    players = ("generator",)

    class Params(Method.Params):
        width: int = Field(64, ge=1, description="channels of all layers")
        blocks: int = Field(16, ge=1, description="residual blocks")
        residual_scale: float = Field(1.0, gt=0, description="factor of what each block adds; 0.1 in the full network")
        scale: Literal[2, 4, 8] | None = Field(
            None, description="factor of the enlargement; default: the task's, else 4"
        )
        lr: float = Field(1e-4, gt=0, description="Adam's learning rate")
        beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first-moment decay")
        decay: Literal["constant", "linear", "halve"] = Field("halve", description="halved every decay_every steps")
        decay_every: int = Field(200_000, gt=0, description="steps between halvings (decay: halve)")

    presets: ClassVar = {
        "tiny": {
            "width": 16,
            "blocks": 2,
            "lr": 3e-3,
            "decay": "linear",
            "training": {"steps": 600, "batch_size": 8},
        },
        "small": {"training": {"steps": 100_000, "batch_size": 16}},
        "paper": {
            "width": 256,
            "blocks": 32,
            "residual_scale": 0.1,
            "training": {"steps": 300_000, "batch_size": 16},
        },
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        nn.check_scale(task.size, nn.scale_of(params.scale, task))

    def build(self, task: Task) -> None:
        p, scale = self.params, nn.scale_of(self.params.scale, task)
        self.shrink = nn.Shrink(task.size, scale)
        self.generator = nn.EDSR(task.channels_a, p.width, p.blocks, p.residual_scale, scale)

    def step(self, batch: Batch, turn: Turn) -> None:
        with turn("generator") as loss:
            loss.l1 = nn.l1(self.generator(self.shrink(batch.a)), batch.b)

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator(self.shrink(a)).clamp(-1, 1)

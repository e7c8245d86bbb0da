"""SRGAN: super-resolution that is to look right, by an adversarial and a content loss.

Ledig, Theis, Huszar, Caballero, Cunningham, Acosta, Aitken, Tejani, Totz, Wang and Shi, "Photo-Realistic Single Image
Super-Resolution Using a Generative Adversarial Network", CVPR 2017, arXiv:1609.04802. The generator sees the small
image x (`nn.Shrink` undoes the task's enlarging) and minimises

    content(G(x), b)  -  lambda_gan E log D(G(x)),     content: the squared difference of VGG features, or of pixels

while D tells G(x) from b. The paper begins with a trained SRResNet, "to avoid undesired local optima":
`init_from: {method: srresnet}` of a benchmark that has both. Its VGG is VGG19 where ours is VGG16 (`nn.ContentLoss`),
and its rate falls to a tenth halfway where ours falls linearly to 0 from there. The authors published no code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from i2ibench import nn
from i2ibench.method import Batch, Method, Task, Turn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class SRGAN(Method):
    """SRGAN (Ledig et al. 2017): SRResNet with a content loss over VGG features and an adversary."""

    paper = "Ledig et al., CVPR 2017, arXiv:1609.04802"
    year = 2017
    pairing = "paired"
    players = ("generator", "discriminator")

    class Params(Method.Params):
        width: int = Field(64, ge=1, description="channels of the first layer of both networks")
        blocks: int = Field(16, ge=1, description="residual blocks")
        scale: Literal[2, 4, 8] | None = Field(
            None, description="factor of the enlargement; default: the task's, else 4"
        )
        content: Literal["vgg54", "vgg22", "mse"] = Field(
            "vgg54", description="compare late VGG features (SRGAN), early ones, or pixels (SRGAN-MSE)"
        )
        lambda_gan: float = Field(1e-3, ge=0, description="weight of the adversarial loss")
        lr: float = Field(1e-4, gt=0, description="Adam's learning rate")
        beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first-moment decay")

    presets: ClassVar = {
        "tiny": {
            "width": 16,
            "blocks": 2,
            "content": "mse",
            "lr": 2e-3,
            "training": {"steps": 300, "batch_size": 8},
        },
        "small": {"training": {"steps": 100_000, "batch_size": 16}},
        "paper": {"training": {"steps": 200_000, "batch_size": 16}},
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        nn.check_scale(task.size, nn.scale_of(params.scale, task), 16)  # the discriminator halves four times

    @classmethod
    def assets(cls, params: Any) -> tuple[str, ...]:
        return () if params.content == "mse" else ("vgg16-features",)

    def build(self, task: Task) -> None:
        p, scale = self.params, nn.scale_of(self.params.scale, task)
        self.shrink = nn.Shrink(task.size, scale)
        self.generator = nn.SRResNet(task.channels_a, p.width, p.blocks, scale)
        self.discriminator = nn.SRGANDiscriminator(task.channels_b, task.size, p.width)
        self.content = nn.mse if p.content == "mse" else nn.ContentLoss(p.content)

    def step(self, batch: Batch, turn: Turn) -> None:
        p = self.params
        with turn("generator") as loss:
            fake = self.generator(self.shrink(batch.a))
            loss.content = self.content(fake, batch.b)
            loss.gan = p.lambda_gan * nn.gan_loss(self.discriminator(fake), True, "vanilla")

        with turn("discriminator") as loss:
            real_scores, fake_scores = nn.calls(self.discriminator, batch.b, fake.detach())
            loss.real = nn.gan_loss(real_scores, True, "vanilla")
            loss.fake = nn.gan_loss(fake_scores, False, "vanilla")

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator(self.shrink(a)).clamp(-1, 1)

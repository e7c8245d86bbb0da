"""CycleGAN: translation without pairs, held together by going there and back again.

Zhu, Park, Isola and Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
ICCV 2017, arXiv:1703.10593. The generators G: A -> B and F: B -> A meet the discriminators D_B and D_A:

    L(G, D_B) + L(F, D_A)  +  lambda_cycle (|F(G(a)) - a|_1 + |G(F(b)) - b|_1)
                           +  lambda_cycle lambda_identity (|G(b) - b|_1 + |F(a) - a|_1)

with least-squares GAN losses. The identity terms, which the code has on by default, keep the colours: without them
day and night may change places and the cycle still closes. The discriminators see fakes from a pool of the last 50.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from i2ibench import nn
from i2ibench.method import Batch, Method, Task, Turn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class CycleGAN(Method):
    """CycleGAN (Zhu et al. 2017): two GANs and a cycle."""

    paper = "Zhu et al., ICCV 2017, arXiv:1703.10593"
    year = 2017
    pairing = "unpaired"
    players = ("generator", "discriminator")
    bidirectional = True

    class Params(Method.Params):
        generator: Literal["unet", "resnet"] = Field("resnet", description="residual network (the paper's) or U-Net")
        width: int = Field(64, gt=0, description="channels of the first layer of all networks")
        blocks: int = Field(9, gt=0, description="residual blocks (generator: resnet); the paper has 6 at 128 pixels")
        attention: bool = Field(False, description="a self-attention block in the generators (SAGAN)")
        norm: Literal["batch", "instance"] = Field("instance", description="normalisation of all networks")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the generators")
        discriminator_layers: int = Field(3, gt=0, description="3: patches of 70x70 pixels; 2: 34x34; 1: 16x16")
        gan: Literal["vanilla", "lsgan"] = Field("lsgan", description="cross-entropy or least squares")
        lambda_cycle: float = Field(10.0, ge=0, description="weight of the cycle, in both directions")
        lambda_identity: float = Field(0.5, ge=0, description="weight of the identity terms, times lambda_cycle")
        pool: int = Field(50, ge=0, description="fakes to remember for each discriminator; 0: none")

    presets: ClassVar = {
        "tiny": {
            "width": 16,
            "blocks": 3,
            "discriminator_layers": 2,
            "lr": 5e-4,
            "training": {"steps": 1000, "batch_size": 4},
        },
        "small": {"blocks": 6, "training": {"steps": 40_000, "batch_size": 4}},
        "paper": {"training": {"steps": 266_800, "batch_size": 1}},  # 200 epochs of horse2zebra, 1,334 images
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        nn.check_size(task.size, params.generator, params.discriminator_layers)

    def build(self, task: Task) -> None:
        p, a, b = self.params, task.channels_a, task.channels_b
        options = {key: getattr(p, key) for key in ("width", "norm", "dropout", "blocks", "attention")}
        self.generator = nn.group(
            ab=nn.generator(p.generator, a, b, task.size, **options),
            ba=nn.generator(p.generator, b, a, task.size, **options),
        )
        self.discriminator = nn.group(
            a=nn.init_weights(nn.PatchGAN(a, p.width, p.norm, p.discriminator_layers)),
            b=nn.init_weights(nn.PatchGAN(b, p.width, p.norm, p.discriminator_layers)),
        )
        self.pool_a, self.pool_b = nn.ImagePool(p.pool), nn.ImagePool(p.pool)

    def step(self, batch: Batch, turn: Turn) -> None:
        p, a, b = self.params, batch.a, batch.b
        to_b, to_a = self.generator.ab, self.generator.ba
        judge_a, judge_b = self.discriminator.a, self.discriminator.b

        with turn("generator") as loss:
            if p.lambda_identity:
                (fake_b, same_b), (fake_a, same_a) = nn.calls(to_b, a, b), nn.calls(to_a, b, a)
                loss.identity_a = p.lambda_cycle * p.lambda_identity * nn.l1(same_a, a)
                loss.identity_b = p.lambda_cycle * p.lambda_identity * nn.l1(same_b, b)
            else:
                fake_b, fake_a = to_b(a), to_a(b)
            loss.gan_b = nn.gan_loss(judge_b(fake_b), True, p.gan)
            loss.gan_a = nn.gan_loss(judge_a(fake_a), True, p.gan)
            loss.cycle_a = p.lambda_cycle * nn.l1(to_a(fake_b), a)
            loss.cycle_b = p.lambda_cycle * nn.l1(to_b(fake_a), b)

        with turn("discriminator") as loss:
            real_b, old_b = nn.calls(judge_b, b, self.pool_b(fake_b))
            real_a, old_a = nn.calls(judge_a, a, self.pool_a(fake_a))
            loss.real_b = 0.5 * nn.gan_loss(real_b, True, p.gan)
            loss.fake_b = 0.5 * nn.gan_loss(old_b, False, p.gan)
            loss.real_a = 0.5 * nn.gan_loss(real_a, True, p.gan)
            loss.fake_a = 0.5 * nn.gan_loss(old_a, False, p.gan)

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator.ab(a)

    def translate_back(self, b: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator.ba(b)

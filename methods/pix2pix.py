"""pix2pix: paired translation with a conditional PatchGAN.

Isola, Zhu, Zhou and Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
arXiv:1611.07004. The generator G and the discriminator D play

    min_G max_D  E log D(a, b) + E log(1 - D(a, G(a)))  +  lambda_l1 E |b - G(a)|_1

where G's noise is its dropout, which stays on, with the batch statistics, when it translates (section 3.3).
Networks, weights and initialisation are those of the authors' PyTorch code; one thing differs: there D moves first
in each step, here G does, as in their CycleGAN code, so that one forward pass of G serves both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from i2ibench import nn
from i2ibench.method import Batch, Method, Task, Turn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Pix2Pix(Method):
    """pix2pix (Isola et al. 2017): conditional GAN plus L1 on pairs."""

    paper = "Isola et al., CVPR 2017, arXiv:1611.07004"
    year = 2017
    pairing = "paired"
    players = ("generator", "discriminator")
    inference = "train"

    class Params(Method.Params):
        generator: Literal["unet", "resnet", "hd"] = Field(
            "unet", description="U-Net (the paper's), residual network, or pix2pixHD's from coarse to fine"
        )
        width: int = Field(64, gt=0, description="channels of the first layer of both networks")
        blocks: int = Field(9, gt=0, description="residual blocks (generator: resnet or hd)")
        attention: bool = Field(False, description="a self-attention block in the generator (SAGAN)")
        norm: Literal["batch", "instance"] = Field("batch", description="normalisation of both networks")
        dropout: float = Field(0.5, ge=0, lt=1, description="the generator's only noise; 0: deterministic")
        discriminator_layers: int = Field(3, gt=0, description="3: patches of 70x70 pixels; 2: 34x34; 1: 16x16")
        gan: Literal["vanilla", "lsgan"] = Field("vanilla", description="cross-entropy or least squares")
        lambda_l1: float = Field(100.0, ge=0, description="weight of the L1 distance to the target")

    # It translates one image at a time by that image's own statistics. With batches above 1, instance norm makes
    # training see the same: it is batch norm at the paper's batch size of 1, but for the scale and shift.
    presets: ClassVar = {
        # In a minute the adversary brings noise sooner than detail, so it sees little and weighs a third. (Picked on
        # glyphs at 32 px by FID: lambda_l1 30, 100, 300, 1000 with 2 layers or 1, batch 4 to 32, either norm.)
        "tiny": {
            "width": 16,
            "norm": "instance",
            "discriminator_layers": 1,
            "lambda_l1": 300.0,
            "lr": 1e-3,
            "training": {"steps": 700, "batch_size": 32},
        },
        "small": {"norm": "instance", "training": {"steps": 40_000, "batch_size": 4}},
        "paper": {"training": {"steps": 80_000, "batch_size": 1}},  # 200 epochs of facades, 400 images
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        nn.check_size(task.size, params.generator, params.discriminator_layers)

    def build(self, task: Task) -> None:
        p = self.params
        self.generator = nn.generator(
            p.generator,
            task.channels_a,
            task.channels_b,
            task.size,
            width=p.width,
            norm=p.norm,
            dropout=p.dropout,
            blocks=p.blocks,
            attention=p.attention,
        )
        self.discriminator = nn.init_weights(
            nn.PatchGAN(task.channels_a + task.channels_b, p.width, p.norm, p.discriminator_layers)
        )

    def step(self, batch: Batch, turn: Turn) -> None:
        p = self.params
        with turn("generator") as loss:
            fake = self.generator(batch.a)
            loss.gan = nn.gan_loss(self.discriminator(nn.cat(batch.a, fake)), True, p.gan)
            loss.l1 = p.lambda_l1 * nn.l1(fake, batch.b)

        with turn("discriminator") as loss:
            real_scores, fake_scores = nn.calls(
                self.discriminator, nn.cat(batch.a, batch.b), nn.cat(batch.a, fake.detach())
            )
            loss.real = 0.5 * nn.gan_loss(real_scores, True, p.gan)
            loss.fake = 0.5 * nn.gan_loss(fake_scores, False, p.gan)

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator(a)

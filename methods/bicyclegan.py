"""BicycleGAN: several translations of one image, by a code that can be read back from the output.

Zhu, Zhang, Pathak, Darrell, Efros, Wang and Shechtman, "Toward Multimodal Image-to-Image Translation", NeurIPS 2017,
arXiv:1711.11586. Two cycles share the generator G(a, z) and the encoder E:

    cVAE-GAN, z ~ E(b):     L(G(a, z), D_1)  +  lambda_l1 |G(a, z) - b|_1  +  lambda_kl KL(E(b) || N(0, I))
    cLR-GAN,  z ~ N(0, I):  L(G(a, z), D_2)  +  lambda_z |E(G(a, z)) - z|_1       (trains G, not E)

Networks, weights and schedule are those of the authors' code: least-squares GANs, multi-scale discriminators that see B
alone, and a batch cut into halves, the first to translate, the second to show to D_2 as real. A batch of odd size
shares one image between the halves; the KL is per image (there summed over the half batch: one image, as published).
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


class BicycleGAN(Method):
    """BicycleGAN (Zhu et al. 2017): cVAE-GAN and cLR-GAN with one generator."""

    paper = "Zhu et al., NeurIPS 2017, arXiv:1711.11586"
    year = 2017
    pairing = "paired"
    players = ("generator", "discriminator")
    multimodal = True

    class Params(Method.Params):
        width: int = Field(64, ge=1, description="channels of the first layer of all networks")
        latent: int = Field(8, ge=1, description="numbers in the code z")
        dropout: bool = Field(True, description="dropout in the middle of the U-Net, while it trains")
        discriminator_layers: int = Field(3, ge=1, description="3: patches of 70x70 pixels; 2: 34x34; 1: 16x16")
        scales: int = Field(2, ge=1, description="sizes of the image that each discriminator looks at")
        gan: Literal["vanilla", "lsgan"] = Field("lsgan", description="cross-entropy or least squares")
        lambda_gan: float = Field(1.0, ge=0, description="weight of D_1's verdict, on codes read from B")
        lambda_gan_random: float = Field(1.0, ge=0, description="weight of D_2's verdict, on drawn codes")
        lambda_l1: float = Field(10.0, ge=0, description="weight of |G(a, E(b)) - b|")
        lambda_kl: float = Field(0.01, ge=0, description="weight of the KL in nats per image")
        lambda_z: float = Field(0.5, ge=0, description="weight of |E(G(a, z)) - z|")

    presets: ClassVar = {
        "tiny": {
            "width": 16,
            "dropout": False,
            "discriminator_layers": 1,
            "lambda_l1": 100.0,
            "lambda_kl": 0.5,
            "lr": 2e-3,
            "training": {"steps": 400, "batch_size": 32},
        },
        "small": {"width": 32, "discriminator_layers": 2, "training": {"steps": 30_000, "batch_size": 16}},
        "paper": {"training": {"steps": 80_000, "batch_size": 2}},  # 400 epochs of facades, 400 images
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        least = max(32, nn.patchgan_minimum(params.discriminator_layers) * 2 ** (params.scales - 1))
        if task.size % 16 or task.size < least:
            raise ConfigError(
                f"size {task.size} must be divisible by 16 and at least {least}; "
                "change the size of the data, or scales or discriminator_layers"
            )

    def build(self, task: Task) -> None:
        p = self.params
        depth = nn.unet_depth(task.size)
        halvings = max(2, min(5, task.size.bit_length() - 4))  # down to 8 x 8, as published for 128 and 256 pixels
        networks = nn.group(
            decoder=nn.LatentUNet(task.channels_a, task.channels_b, p.width, p.latent, depth, p.dropout),
            encoder=nn.VectorEncoder(task.channels_b, p.width, p.latent, halvings),
        )
        judges = nn.group(
            encoded=nn.MultiScalePatchGAN(task.channels_b, p.width, p.discriminator_layers, p.scales),
            random=nn.MultiScalePatchGAN(task.channels_b, p.width, p.discriminator_layers, p.scales),
        )
        self.generator = nn.init_weights(networks, "xavier", 0.02)
        self.discriminator = nn.init_weights(judges, "xavier", 0.02)

    def step(self, batch: Batch, turn: Turn) -> None:
        p, gen, dis = self.params, self.generator, self.discriminator
        half = (len(batch.a) + 1) // 2
        a, b, other_b = batch.a[:half], batch.b[:half], batch.b[-half:]

        with turn("generator") as loss:
            posterior = gen.encoder(b)
            z = nn.normal((half, p.latent), a)
            encoded, random = nn.calls(gen.decoder, (a, nn.sample(posterior)), (a, z))
            loss.gan = p.lambda_gan * nn.gan_loss(dis.encoded(encoded), True, p.gan)
            loss.gan_random = p.lambda_gan_random * nn.gan_loss(dis.random(random), True, p.gan)
            loss.l1 = p.lambda_l1 * nn.l1(encoded, b)
            loss.kl = p.lambda_kl * nn.kl(posterior)
            mean, _ = nn.frozen(gen.encoder, random)
            loss.z = p.lambda_z * nn.l1(mean, z)

        with turn("discriminator") as loss:
            for name, fake, real in (("encoded", encoded, b), ("random", random, other_b)):
                fake_scores, real_scores = nn.calls(dis[name], fake.detach(), real)
                setattr(loss, f"fake_{name}", nn.gan_loss(fake_scores, False, p.gan))
                setattr(loss, f"real_{name}", nn.gan_loss(real_scores, True, p.gan))

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator.decoder(a, nn.normal((len(a), self.params.latent), a, rng))

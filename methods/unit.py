"""UNIT: unpaired translation through a shared latent space (Liu, Breuel & Kautz, NeurIPS 2017, arXiv:1703.00848).

Two VAEs, one per domain, whose codes mean the same: encode A, decode as B. What ties the codes together is the common
prior N(0, I), the cycle, and the adversaries; the authors' later code (github.com/NVlabs/MUNIT; the paper's own numbers
are of a version before it) shares no layers, and the paper's weight sharing is the option `shared_blocks`. It is on in
`tiny`: where budgets are short, codes that share nothing may come to mean opposite things, such as black for white.
Followed from that code as well: q(z|x) = N(encoder(x), I), so that the KL is the mean square of the code (without its
factor 1/2 and as a mean, not a sum, which the weight 0.01 goes with); and noise is added to the code in training only,
so `translate` decodes the mean.
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


class UNIT(Method):
    paper = "Liu et al., NeurIPS 2017, arXiv:1703.00848"
    year = 2017
    pairing = "unpaired"
    players = ("generator", "discriminator")
    bidirectional = True

    class Params(Method.Params):
        width: int = Field(64, ge=1, description="channels of the generator's first layer")
        downsamplings: int = Field(2, ge=1, description="halvings between image and code")
        blocks: int = Field(4, ge=1, description="residual blocks in each encoder and each decoder")
        shared_blocks: int = Field(0, ge=0, description="innermost residual blocks that both domains share")
        discriminator_width: int = Field(64, ge=1, description="channels of each discriminator's first layer")
        discriminator_norm: Literal["none", "group"] = Field("none", description="the discriminators' normalisation")
        discriminator_layers: int = Field(4, ge=1, description="halvings in each discriminator")
        scales: int = Field(3, ge=1, description="discriminators, each at half the resolution of the one before")
        lambda_gan: float = Field(1.0, ge=0, description="weight of the adversarial loss")
        lambda_image: float = Field(10.0, ge=0, description="weight of the reconstruction within a domain")
        lambda_kl: float = Field(0.01, ge=0, description="weight of the code's mean square")
        lambda_cycle: float = Field(10.0, ge=0, description="weight of the reconstruction after going there and back")
        lambda_cycle_kl: float = Field(0.01, ge=0, description="weight of the mean square of the translation's code")
        lambda_perceptual: float = Field(0.0, ge=0, description="weight of the domain-invariant perceptual distance")
        lr: float = Field(1e-4, gt=0, description="Adam's learning rate")
        weight_decay: float = Field(1e-4, ge=0, description="L2 penalty inside Adam")
        decay: Literal["constant", "linear", "halve"] = Field("halve", description="halved every decay_every steps")

    # Tiny has a thousand steps for the paper's million: without a norm its discriminator would learn nothing in them.
    presets: ClassVar = {
        "tiny": {
            "width": 8,
            "downsamplings": 1,
            "blocks": 2,
            "shared_blocks": 2,
            "discriminator_width": 24,
            "discriminator_norm": "group",
            "discriminator_layers": 3,
            "scales": 2,
            "lr": 1e-3,
            "decay": "linear",
            "training": {"steps": 500, "batch_size": 4},
        },
        "small": {"width": 32, "discriminator_width": 32, "training": {"steps": 30_000, "batch_size": 8}},
        "paper": {"training": {"steps": 1_000_000, "batch_size": 1}},
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        smallest = 2 ** max(params.discriminator_layers + params.scales - 1, params.downsamplings + 1)
        if task.size % 2**params.downsamplings or task.size < smallest:
            raise ConfigError(
                f"size {task.size} must be divisible by {2**params.downsamplings} and at least {smallest}; "
                "change the data set's size, or downsamplings, scales or discriminator_layers"
            )
        if params.shared_blocks > params.blocks:
            raise ConfigError(f"shared_blocks {params.shared_blocks} must not exceed blocks {params.blocks}")

    @classmethod
    def assets(cls, params: Any) -> tuple[str, ...]:
        return ("vgg16-features",) if params.lambda_perceptual else ()

    def build(self, task: Task) -> None:
        p = self.params
        for_generator = (p.width, p.downsamplings, p.blocks)
        for_discriminator = (p.discriminator_width, p.discriminator_layers, p.scales, p.discriminator_norm)
        self.generator = nn.group(
            a=nn.VAEGenerator(task.channels_a, *for_generator), b=nn.VAEGenerator(task.channels_b, *for_generator)
        )
        self.discriminator = nn.group(
            a=nn.MultiScaleDiscriminator(task.channels_a, *for_discriminator),
            b=nn.MultiScaleDiscriminator(task.channels_b, *for_discriminator),
        )
        for i in range(p.shared_blocks):  # the encoder's last and the decoder's first (section 3, "weight-sharing")
            self.generator.b.encoder[-1 - i] = self.generator.a.encoder[-1 - i]
            self.generator.b.decoder[i] = self.generator.a.decoder[i]
        nn.init_weights(self.generator, "kaiming")
        nn.init_weights(self.discriminator, "normal", 0.02)
        self.perceptual = nn.PerceptualLoss() if p.lambda_perceptual else None

    @property
    def verdict_weight(self) -> float:
        return float(self.params.lambda_gan)

    def step(self, batch: Batch, turn: Turn) -> None:
        p, a, b, gen, dis = self.params, batch.a, batch.b, self.generator, self.discriminator

        with turn("discriminator") as loss:  # first, and with noise of its own, as in the authors' code
            mean_a, mean_b = nn.shared(gen.a.encode, a), nn.shared(gen.b.encode, b)
            fake_a, fake_b = gen.a.decode(noisy(mean_b)), gen.b.decode(noisy(mean_a))
            for name, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
                fake_scores, real_scores = nn.calls(dis[name], fake.detach(), real)
                judged = nn.gan_loss(fake_scores, real=False, kind="lsgan") + nn.gan_loss(real_scores, True, "lsgan")
                setattr(loss, name, p.lambda_gan * judged)

        with turn("generator") as loss:
            mean_a, mean_b = nn.shared(gen.a.encode, a), nn.shared(gen.b.encode, b)
            code_a, code_b = noisy(mean_a), noisy(mean_b)
            fake_a, own_a = nn.calls(gen.a.decode, code_b, code_a)
            fake_b, own_b = nn.calls(gen.b.decode, code_a, code_b)
            mean_b_again, mean_a_again = gen.a.encode(fake_a), gen.b.encode(fake_b)
            cycle_a, cycle_b = gen.a.decode(noisy(mean_a_again)), gen.b.decode(noisy(mean_b_again))

            loss.image = p.lambda_image * (nn.l1(own_a, a) + nn.l1(own_b, b))
            loss.kl = p.lambda_kl * (mean_a.square().mean() + mean_b.square().mean())
            loss.cycle = p.lambda_cycle * (nn.l1(cycle_a, a) + nn.l1(cycle_b, b))
            loss.cycle_kl = p.lambda_cycle_kl * (mean_a_again.square().mean() + mean_b_again.square().mean())
            fooled = nn.gan_loss(dis.a(fake_a), True, "lsgan") + nn.gan_loss(dis.b(fake_b), True, "lsgan")
            loss.gan = p.lambda_gan * fooled
            if self.perceptual:
                loss.perceptual = p.lambda_perceptual * (self.perceptual(fake_a, b) + self.perceptual(fake_b, a))

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator.b.decode(self.generator.a.encode(a))

    def translate_back(self, b: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator.a.decode(self.generator.b.encode(b))


def noisy(mean: Tensor) -> Tensor:
    """A draw from N(mean, I)."""
    return mean + nn.normal(tuple(mean.shape), mean)

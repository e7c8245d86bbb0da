"""StarGAN: one generator for all domains, told where to go.

Choi, Choi, Kim, Ha, Kim and Choo, "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image
Translation", CVPR 2018, arXiv:1711.09020. G(x, c) takes an image and a target domain; D gives a verdict and a guess of
the domain. For images x of domain c' that go to c,

    L_D = -D(x) + D(G(x, c)) + lambda_gp (|grad D| - 1)^2  +  lambda_class (-log D(c' | x))
    L_G = -D(G(x, c))  +  lambda_class (-log D(c | G(x, c)))  +  lambda_cycle |G(G(x, c), c') - x|_1

with the Wasserstein loss and gradient penalty of Gulrajani et al. 2017; G learns in every fifth step of D. Where the
authors shuffle the domains of a batch to draw its targets, here each image goes to the domain of its partner, which is
never its own. On a data set of two domains it learns both directions, like CycleGAN, with one network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from i2ibench import nn
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Method, Task, Turn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class StarGAN(Method):
    """StarGAN (Choi et al. 2018): one conditional generator, a Wasserstein critic that also classifies domains."""

    paper = "Choi et al., CVPR 2018, arXiv:1711.09020"
    year = 2018
    pairing = "multi-domain"
    players = ("generator", "discriminator")
    bidirectional = True

    class Params(Method.Params):
        width: int = Field(64, ge=1, description="channels of the first layer of both networks")
        blocks: int = Field(6, ge=1, description="residual blocks of the generator")
        halvings: int = Field(6, ge=1, description="how often the discriminator halves an image, doubling its channels")
        lambda_class: float = Field(1.0, ge=0, description="weight of the domain classification")
        lambda_cycle: float = Field(10.0, ge=0, description="weight of the reconstruction after going there and back")
        lambda_gp: float = Field(10.0, ge=0, description="weight of the critic's gradient penalty")
        every: int = Field(5, ge=1, description="steps of the discriminator for each of the generator")
        lr: float = Field(1e-4, gt=0, description="Adam's learning rate")

    # A batch holds batch_size images twice over: 8 are the 16 of the paper. Tiny has a thousand steps for its 200,000:
    # its critic gives an image one score, so that none of the slope it may have is lost in a mean over several, and the
    # domains weigh more against the cycle.
    presets: ClassVar = {
        "tiny": {
            "width": 16,
            "blocks": 2,
            "halvings": 5,
            "lambda_class": 4.0,
            "lambda_cycle": 5.0,
            "every": 2,
            "lr": 1e-3,
            "training": {"steps": 1000, "batch_size": 4},
        },
        "small": {"width": 32, "blocks": 4, "halvings": 5, "training": {"steps": 60_000, "batch_size": 8}},
        "paper": {"training": {"steps": 200_000, "batch_size": 8}},
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        multiple = 2 ** max(params.halvings, 2)
        if task.size % multiple:
            raise ConfigError(
                f"size {task.size} must be divisible by {multiple}; change the size of the data, or halvings"
            )

    def build(self, task: Task) -> None:
        p, channels = self.params, task.channels_a
        self.generator = nn.DomainGenerator(channels, task.domains, p.width, p.blocks)
        self.discriminator = nn.DomainDiscriminator(channels, task.size, task.domains, p.width, p.halvings)

    def step(self, batch: Batch, turn: Turn) -> None:
        p, generator, discriminator = self.params, self.generator, self.discriminator
        of_a, of_b = batch.domains
        x, source, target = nn.rows(batch.a, batch.b), nn.rows(of_a, of_b), nn.rows(of_b, of_a)

        with turn("discriminator") as loss:
            fake = generator(x, target).detach()
            (real_scores, real_domain), (fake_scores, _) = nn.calls(discriminator, x, fake)
            loss.real = nn.gan_loss(real_scores, True, "wgan")
            loss.fake = nn.gan_loss(fake_scores, False, "wgan")
            loss.penalty = p.lambda_gp * nn.gradient_penalty(lambda image: discriminator(image)[0], x, fake)
            loss.domain = p.lambda_class * nn.domain_loss(real_domain, source)

        if (batch.step + 1) % p.every == 0:
            with turn("generator") as loss:
                fake = generator(x, target)
                scores, domain = discriminator(fake)
                loss.gan = nn.gan_loss(scores, True, "wgan")
                loss.domain = p.lambda_class * nn.domain_loss(domain, target)
                loss.cycle = p.lambda_cycle * nn.l1(generator(fake, source), x)

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.to_domain(a, self.task.ends[1])

    def translate_back(self, b: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.to_domain(b, self.task.ends[0])

    def to_domain(self, x: Tensor, domain: int) -> Tensor:
        return self.generator(x, x.new_full((len(x),), domain).long())

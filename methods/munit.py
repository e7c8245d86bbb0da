"""MUNIT: unpaired, multimodal translation by swapping styles (Huang et al., ECCV 2018, arXiv:1804.04732).

An image is a content (a map) and a style (8 numbers). Two auto-encoders, one per domain, share the space of contents;
to translate, keep the content of A and draw a style of B from N(0, 1), or take it from an image of B. The objective is
of the authors' code (github.com/NVlabs/MUNIT): the image itself is reconstructed from its own content and style, the
content and the drawn style are reconstructed from the translation (no target is detached), and a multi-scale LSGAN
judges the translations.
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


class MUNIT(Method):
    paper = "Huang et al., ECCV 2018, arXiv:1804.04732"
    year = 2018
    pairing = "unpaired"
    players = ("generator", "discriminator")
    multimodal = True
    bidirectional = True
    exemplars = True

    class Params(Method.Params):
        width: int = Field(64, ge=1, description="channels of the generator's first layer")
        style_dim: int = Field(8, ge=1, description="numbers in a style code")
        mlp_dim: int = Field(256, ge=1, description="width of the perceptron from style to AdaIN parameters")
        downsamplings: int = Field(2, ge=1, description="halvings between image and content")
        blocks: int = Field(4, ge=1, description="residual blocks in each encoder and each decoder")
        discriminator_width: int = Field(64, ge=1, description="channels of each discriminator's first layer")
        discriminator_norm: Literal["none", "group"] = Field("none", description="the discriminators' normalisation")
        discriminator_layers: int = Field(4, ge=1, description="halvings in each discriminator")
        scales: int = Field(3, ge=1, description="discriminators, each at half the resolution of the one before")
        lambda_gan: float = Field(1.0, ge=0, description="weight of the adversarial loss")
        lambda_image: float = Field(10.0, ge=0, description="weight of |decode(encode(x)) - x|")
        lambda_style: float = Field(1.0, ge=0, description="weight of the drawn style's reconstruction")
        lambda_content: float = Field(1.0, ge=0, description="weight of the content's reconstruction")
        lambda_cycle: float = Field(0.0, ge=0, description="weight of the style-augmented cycle (10 for street scenes)")
        lambda_perceptual: float = Field(0.0, ge=0, description="weight of the domain-invariant perceptual distance")
        lr: float = Field(1e-4, gt=0, description="Adam's learning rate")
        weight_decay: float = Field(1e-4, ge=0, description="L2 penalty inside Adam")
        decay: Literal["constant", "linear", "halve"] = Field("halve", description="halved every decay_every steps")

    # Tiny has a thousand steps for the paper's million: without a norm its discriminator would learn nothing in them.
    presets: ClassVar = {
        "tiny": {
            "width": 8,
            "mlp_dim": 64,
            "downsamplings": 1,
            "blocks": 2,
            "discriminator_width": 24,
            "discriminator_norm": "group",
            "discriminator_layers": 3,
            "scales": 2,
            "lr": 1e-3,
            "decay": "linear",
            "training": {"steps": 500, "batch_size": 4},
        },
        "small": {
            "width": 32,
            "mlp_dim": 128,
            "discriminator_width": 32,
            "training": {"steps": 30_000, "batch_size": 8},
        },
        "paper": {"training": {"steps": 1_000_000, "batch_size": 1}},
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        in_style_encoder = 5  # four halvings, which leave 2 pixels at least
        smallest = 2 ** max(params.discriminator_layers + params.scales - 1, params.downsamplings + 1, in_style_encoder)
        if task.size % 2**params.downsamplings or task.size < smallest:
            raise ConfigError(
                f"size {task.size} must be divisible by {2**params.downsamplings} and at least {smallest}; "
                "change the data set's size, or downsamplings, scales or discriminator_layers"
            )

    @classmethod
    def assets(cls, params: Any) -> tuple[str, ...]:
        return ("vgg16-features",) if params.lambda_perceptual else ()

    def build(self, task: Task) -> None:
        p = self.params
        for_generator = (p.width, p.style_dim, p.mlp_dim, p.downsamplings, p.blocks)
        for_discriminator = (p.discriminator_width, p.discriminator_layers, p.scales, p.discriminator_norm)
        self.generator = nn.group(
            a=nn.ContentStyleGenerator(task.channels_a, *for_generator),
            b=nn.ContentStyleGenerator(task.channels_b, *for_generator),
        )
        self.discriminator = nn.group(
            a=nn.MultiScaleDiscriminator(task.channels_a, *for_discriminator),
            b=nn.MultiScaleDiscriminator(task.channels_b, *for_discriminator),
        )
        nn.init_weights(self.generator, "kaiming")
        nn.init_weights(self.discriminator, "normal", 0.02)
        self.perceptual = nn.PerceptualLoss() if p.lambda_perceptual else None

    @property
    def verdict_weight(self) -> float:
        return float(self.params.lambda_gan)

    def step(self, batch: Batch, turn: Turn) -> None:
        p, a, b, gen, dis = self.params, batch.a, batch.b, self.generator, self.discriminator

        with turn("discriminator") as loss:  # first, and with styles of its own, as in the authors' code
            content_a, content_b = nn.shared(gen.a.content_encoder, a), nn.shared(gen.b.content_encoder, b)
            fake_a, fake_b = gen.a.decode(content_b, self.style(b)), gen.b.decode(content_a, self.style(a))
            for name, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
                fake_scores, real_scores = nn.calls(dis[name], fake.detach(), real)
                judged = nn.gan_loss(fake_scores, real=False, kind="lsgan") + nn.gan_loss(real_scores, True, "lsgan")
                setattr(loss, name, p.lambda_gan * judged)

        with turn("generator") as loss:
            style_a, style_b = self.style(b), self.style(a)
            content_a, own_style_a = nn.shared(gen.a.content_encoder, a), gen.a.style_encoder(a)
            content_b, own_style_b = nn.shared(gen.b.content_encoder, b), gen.b.style_encoder(b)
            fake_a, own_a = nn.calls(gen.a.decode, (content_b, style_a), (content_a, own_style_a))
            fake_b, own_b = nn.calls(gen.b.decode, (content_a, style_b), (content_b, own_style_b))
            content_b_again, style_a_again = gen.a.encode(fake_a)
            content_a_again, style_b_again = gen.b.encode(fake_b)

            loss.image = p.lambda_image * (nn.l1(own_a, a) + nn.l1(own_b, b))
            loss.style = p.lambda_style * (nn.l1(style_a_again, style_a) + nn.l1(style_b_again, style_b))
            loss.content = p.lambda_content * (nn.l1(content_a_again, content_a) + nn.l1(content_b_again, content_b))
            if p.lambda_cycle:
                cycle_a = gen.a.decode(content_a_again, own_style_a)
                cycle_b = gen.b.decode(content_b_again, own_style_b)
                loss.cycle = p.lambda_cycle * (nn.l1(cycle_a, a) + nn.l1(cycle_b, b))
            fooled = nn.gan_loss(dis.a(fake_a), True, "lsgan") + nn.gan_loss(dis.b(fake_b), True, "lsgan")
            loss.gan = p.lambda_gan * fooled
            if self.perceptual:
                loss.perceptual = p.lambda_perceptual * (self.perceptual(fake_a, b) + self.perceptual(fake_b, a))

    def style(self, like: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """One style per image of `like`, (N, style_dim, 1, 1), drawn from N(0, 1)."""
        return nn.normal((len(like), self.params.style_dim, 1, 1), like, rng)

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator.b.decode(self.generator.a.content_encoder(a), self.style(a, rng))

    def translate_back(self, b: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator.a.decode(self.generator.b.content_encoder(b), self.style(b, rng))

    def translate_like(self, a: Tensor, b: Tensor) -> Tensor:
        return self.generator.b.decode(self.generator.a.content_encoder(a), self.generator.b.style_encoder(b))

    def translate_back_like(self, b: Tensor, a: Tensor) -> Tensor:
        return self.generator.a.decode(self.generator.b.content_encoder(b), self.generator.a.style_encoder(a))

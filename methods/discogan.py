"""DiscoGAN: two GANs that undo each other, with no pairs.

Kim, Cha, Kim, Lee and Kim, "Learning to Discover Cross-Domain Relations with Generative Adversarial Networks",
ICML 2017, arXiv:1703.05192. For the generators G_AB and G_BA, with d(x, y) = |x - y|^2 for images in [0, 1],

    (1 - r) (0.1 [gan_B + gan_A] + 0.9 [match_B + match_A])  +  r (d(G_BA(G_AB(a)), a) + d(G_AB(G_BA(b)), b))

where match is the squared distance between the mean features of real and of fake images in the discriminator. The
authors' code, which this follows, has more than the paper: the feature matching, r = 0.01 for the first 10,000 steps
and 0.5 after, and discriminators that learn in every third step, in which the generators wait. It translates with the
statistics of the test batch in its batch norms; here those of the training serve (`inference`), or an output would hang
on its neighbours. Published at 64 pixels, where a discriminator gives one score; for larger images it gives a map.
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


class DiscoGAN(Method):
    """DiscoGAN (Kim et al. 2017): reconstruction, adversarial and feature-matching losses."""

    paper = "Kim et al., ICML 2017, arXiv:1703.05192"
    year = 2017
    pairing = "unpaired"
    players = ("generator", "discriminator")
    bidirectional = True

    class Params(Method.Params):
        width: int = Field(64, ge=1, description="channels of the first layer of all networks")
        halvings: int = Field(4, ge=2, description="how often all networks halve an image; 4 x 4 or more must be left")
        curriculum: int = Field(10_000, ge=0, description="steps with the weight of the reconstruction at its start")
        rate_start: float = Field(0.01, ge=0, le=1, description="weight r of the reconstruction during the curriculum")
        rate: float = Field(0.5, ge=0, le=1, description="weight r of the reconstruction after it")
        matching: float = Field(0.9, ge=0, le=1, description="share of feature matching in what is left; GAN: the rest")
        every: int = Field(3, ge=2, description="the discriminators learn once in so many steps, else the generators")
        weight_decay: float = Field(1e-5, ge=0, description="L2 penalty inside Adam")
        decay: Literal["constant", "linear", "halve"] = Field("constant", description="the published rate is constant")

    presets: ClassVar = {
        "tiny": {
            "width": 16,
            "halvings": 3,
            "curriculum": 200,
            "lr": 1e-3,
            "decay": "linear",
            "training": {"steps": 900, "batch_size": 16},
        },
        "small": {"curriculum": 2_000, "training": {"steps": 40_000, "batch_size": 16}},
        "paper": {"training": {"steps": 60_000, "batch_size": 64}},  # the paper names no end; its code has 5,000 epochs
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        multiple = 2**params.halvings
        if task.size % multiple or task.size < 4 * multiple:
            raise ConfigError(
                f"size {task.size} must be divisible by {multiple} and at least {4 * multiple}; "
                "change the size of the data, or halvings"
            )

    def build(self, task: Task) -> None:
        p, a, b = self.params, task.channels_a, task.channels_b
        self.generator = nn.group(
            ab=nn.EncoderDecoder(a, b, p.width, p.halvings), ba=nn.EncoderDecoder(b, a, p.width, p.halvings)
        )
        self.discriminator = nn.group(
            a=nn.FeatureDiscriminator(a, p.width, p.halvings), b=nn.FeatureDiscriminator(b, p.width, p.halvings)
        )

    def step(self, batch: Batch, turn: Turn) -> None:
        a, b = (batch.a + 1) / 2, (batch.b + 1) / 2
        if batch.step % self.params.every:
            self.generators_learn(a, b, batch.step, turn)
        else:
            self.discriminators_learn(a, b, turn)

    def generators_learn(self, a: Tensor, b: Tensor, step: int, turn: Turn) -> None:
        p, to_b, to_a, dis = self.params, self.generator.ab, self.generator.ba, self.discriminator
        rate = p.rate_start if step < p.curriculum else p.rate
        with turn("generator") as loss:
            fake_b, fake_a = to_b(a), to_a(b)
            loss.cycle_a = rate * nn.mse(to_a(fake_b), a)
            loss.cycle_b = rate * nn.mse(to_b(fake_a), b)
            for name, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
                (_, real_features), (scores, fake_features) = nn.calls(dis[name], real, fake)
                setattr(loss, f"gan_{name}", (1 - rate) * (1 - p.matching) * nn.gan_loss(scores, True, "vanilla"))
                matching = nn.feature_matching(real_features, fake_features)
                setattr(loss, f"match_{name}", (1 - rate) * p.matching * matching)

    def discriminators_learn(self, a: Tensor, b: Tensor, turn: Turn) -> None:
        with turn("discriminator") as loss:
            fakes = self.generator.ba(b), self.generator.ab(a)
            for name, real, fake in zip(("a", "b"), (a, b), fakes, strict=True):
                (real_scores, _), (fake_scores, _) = nn.calls(self.discriminator[name], real, fake.detach())
                setattr(loss, f"real_{name}", 0.5 * nn.gan_loss(real_scores, True, "vanilla"))
                setattr(loss, f"fake_{name}", 0.5 * nn.gan_loss(fake_scores, False, "vanilla"))

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return 2 * self.generator.ab((a + 1) / 2) - 1

    def translate_back(self, b: Tensor, *, rng: torch.Generator) -> Tensor:
        return 2 * self.generator.ba((b + 1) / 2) - 1

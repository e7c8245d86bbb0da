"""CUT: unpaired translation in one direction, held together by contrasting patches.

Park, Efros, Zhang and Zhu, "Contrastive Learning for Unpaired Image-to-Image Translation", ECCV 2020,
arXiv:2007.15651. A patch of the output shall be recognised among all patches of its own input by its place: with
features z = H(encoder of G) of output and z' of input, at the places s of layer l,

    NCE(a, G(a)) = sum_l sum_s  -log  exp(z_s . z'_s / tau) / sum_r exp(z_s . z'_r / tau)

    CUT:      L(G, D)  +  (NCE(a, G(a)) + NCE(b, G(b))) / 2          (the second keeps G from changing B)
    FastCUT:  L(G, D)  +  10 NCE(a, G(a)),  with inputs mirrored in half of all steps and features mirrored back

with a least-squares GAN. Networks and weights are those of the authors' code. Different here: G moves before D, so that
one forward pass serves both, and FastCUT's learning rate falls over the second half of the training, as CUT's does
(theirs over the last quarter, and their FastCUT has half the steps of `paper`, 266,800).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from i2ibench import nn
from i2ibench.method import Batch, Method, Task, Turn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class CUT(Method):
    """CUT and FastCUT (Park et al. 2020): a GAN and a patchwise contrastive loss."""

    paper = "Park et al., ECCV 2020, arXiv:2007.15651"
    year = 2020
    pairing = "unpaired"
    players = ("generator", "discriminator")

    class Params(Method.Params):
        variant: Literal["cut", "fastcut"] = Field("cut", description="fastcut: no NCE on B, mirrored inputs")
        width: int = Field(64, gt=0, description="channels of the first layer of both networks")
        blocks: int = Field(9, gt=0, description="residual blocks of the generator")
        discriminator_layers: int = Field(3, gt=0, description="halvings in the discriminator")
        gan: Literal["vanilla", "lsgan"] = Field("lsgan", description="cross-entropy or least squares")
        lambda_nce: float | None = Field(None, ge=0, description="weight of the contrast; default 1, for fastcut 10")
        patches: int = Field(256, gt=1, description="places to compare in each layer")
        projection: int = Field(256, gt=0, description="numbers that describe a patch")
        temperature: float = Field(0.07, gt=0, description="tau of the contrast")

    presets: ClassVar = {
        "tiny": {
            "width": 16,
            "blocks": 3,
            "discriminator_layers": 2,
            "patches": 64,
            "projection": 64,
            "lr": 5e-4,
            "training": {"steps": 400, "batch_size": 4},
        },
        "small": {"blocks": 6, "training": {"steps": 40_000, "batch_size": 4}},
        "paper": {"training": {"steps": 533_600, "batch_size": 1}},  # 400 epochs of horse2zebra, 1,334 images
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        nn.check_size(task.size, "resnet", params.discriminator_layers)

    def build(self, task: Task) -> None:
        p = self.params
        network = nn.BlurResNet(task.channels_a, task.channels_b, p.width, p.blocks)
        contrast = nn.PatchContrast(network.feature_channels, p.projection, p.patches, p.temperature)
        self.generator = nn.init_weights(nn.group(network=network, contrast=contrast), "xavier", 0.02)
        judge = nn.BlurPatchGAN(task.channels_b, p.width, p.discriminator_layers)
        self.discriminator = nn.init_weights(judge, "xavier", 0.02)

    def step(self, batch: Batch, turn: Turn) -> None:
        p, a, b = self.params, batch.a, batch.b
        fast = p.variant == "fastcut"
        weight = p.lambda_nce if p.lambda_nce is not None else 10.0 if fast else 1.0

        with turn("generator") as loss:
            if fast:
                mirrored = nn.coin()
                fake = self.generator.network(a.flip(3) if mirrored else a)
                loss.nce = weight * self.contrast(fake, a, mirrored)
            else:
                fake, same = nn.calls(self.generator.network, a, b)
                loss.nce = 0.5 * weight * self.contrast(fake, a)
                loss.nce_identity = 0.5 * weight * self.contrast(same, b)
            loss.gan = nn.gan_loss(self.discriminator(fake), True, p.gan)

        with turn("discriminator") as loss:
            real_scores, fake_scores = nn.calls(self.discriminator, b, fake.detach())
            loss.real = 0.5 * nn.gan_loss(real_scores, True, p.gan)
            loss.fake = 0.5 * nn.gan_loss(fake_scores, False, p.gan)

    def contrast(self, output: Tensor, source: Tensor, mirrored: bool = False) -> Tensor:
        """NCE(source, output), where the output's features are mirrored back if its input was mirrored."""
        of_output = self.generator.network.features(output)
        if mirrored:
            of_output = [feature.flip(3) for feature in of_output]
        return self.generator.contrast(of_output, self.generator.network.features(source))

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator.network(a)

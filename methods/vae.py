"""VAE: an image-to-image variational auto-encoder (Kingma & Welling, ICLR 2014, arXiv:1312.6114).

The encoder sees the input image A, the decoder makes the output image B:

    log p(B) >= E_{q(z|A)} [log p(B|z)] - KL(q(z|A) || N(0, I))

which holds for any q, also for one that looks at A and not at B. Maximised over pairs it is the variational
information bottleneck (Alemi et al. 2017): keep of A what tells of B, and pay for each nat. p(B|z) is a Laplace (or
Gaussian) around the decoder's image, whose one scale is the best for each batch (sigma-VAE, Rybkin et al. 2021,
arXiv:2006.13202), so the balance of the two terms is learned and beta = 1 is the bound itself. The code is a map, not
a vector: each patch keeps its place, or the output would blur. Beta grows from 0 at first (Bowman et al. 2016), or the
KL would be paid off by forgetting A before the decoder has use for it. `translate` decodes the posterior's mean.

How `tiny` was chosen: benchmarks/vae-settings.yaml, on other fonts than those of the default benchmark (Sans to Bold,
500 steps, seed 0). Laplace against Gaussian at beta 1: LPIPS 0.019 against 0.047, the Gaussian being blurred for its
PSNR of 15.9 against 15.1 dB. Beta 0.3, 1 and 3 under Laplace: LPIPS 0.0177, 0.0190, 0.0204, PSNR 15.4, 15.1, 14.9.
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


class VAE(Method):
    paper = "Kingma & Welling, ICLR 2014, arXiv:1312.6114"
    year = 2014
    pairing = "paired"
    players = ("generator",)

    class Params(Method.Params):
        width: int = Field(64, ge=1, description="channels of the first layer")
        latent: int = Field(8, ge=1, description="latent numbers per place of the code's map")
        downsamplings: int = Field(2, ge=1, description="halvings between image and code")
        blocks: int = Field(4, ge=1, description="residual blocks in the encoder and in the decoder")
        likelihood: Literal["laplace", "gaussian"] = Field("laplace", description="noise around the decoder's image")
        scale: float | None = Field(None, gt=0, description="scale of that noise (images in [-1, 1]); null: learned")
        beta: float = Field(1.0, ge=0, description="weight of the KL (beta-VAE); 1 is the evidence lower bound")
        warmup: float = Field(0.2, ge=0, le=1, description="share of the training over which beta grows from 0")
        free_bits: float = Field(0.0, ge=0, description="nats that each latent number has for free")

    presets: ClassVar = {
        "tiny": {
            "width": 24,
            "latent": 4,
            "beta": 0.3,
            "downsamplings": 1,
            "blocks": 2,
            "lr": 2e-3,
            "training": {"steps": 1000, "batch_size": 16},
        },
        "small": {"width": 32, "training": {"steps": 30_000, "batch_size": 16}},
        "paper": {"training": {"steps": 200_000, "batch_size": 4}},
    }

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        unit = 2**params.downsamplings
        if task.size % unit or task.size < 2 * unit:
            raise ConfigError(
                f"size {task.size} must be divisible by {unit} and at least {2 * unit}; "
                "change the data set's size or downsamplings"
            )

    def build(self, task: Task) -> None:
        p = self.params
        self.generator = nn.SpatialVAE(task.channels_a, task.channels_b, p.width, p.latent, p.downsamplings, p.blocks)

    def step(self, batch: Batch, turn: Turn) -> None:
        p = self.params
        beta = p.beta * min(1.0, batch.progress / p.warmup) if p.warmup else p.beta
        with turn("generator") as loss:  # both terms in nats per value of B
            posterior = self.generator.encode(batch.a)
            output = self.generator.decode(nn.sample(posterior))
            loss.nll = nn.nll(output, batch.b, p.likelihood, p.scale)
            loss.kl = beta * nn.kl(posterior, free_bits=p.free_bits) / batch.b[0].numel()

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return self.generator(a)

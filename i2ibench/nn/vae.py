"""Networks and loss terms of the variational methods: posteriors, likelihoods, and decoders with a latent code.

A Gaussian is a pair (mean, log variance) everywhere.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from .functional import full
from .losses import l1, mse
from .norms import InstanceNorm2d
from .strided import Doubling, Halving

Gaussian = tuple[Tensor, Tensor]
Likelihood = Literal["gaussian", "laplace"]


def normal(shape: tuple[int, ...], like: Tensor, rng: torch.Generator | None = None) -> Tensor:
    """N(0, 1) numbers on the device and of the type of `like`; drawn from torch's global generator if `rng` is None."""
    return torch.randn(shape, generator=rng, device=rng.device if rng else like.device).to(like)


def sample(gaussian: Gaussian, rng: torch.Generator | None = None) -> Tensor:
    """z = mean + deviation * N(0, 1), differentiable in both (Kingma & Welling 2014, section 2.4)."""
    mean, log_var = gaussian
    return mean + torch.exp(0.5 * log_var) * normal(tuple(mean.shape), mean, rng)


def kl(posterior: Gaussian, prior: Gaussian | None = None, free_bits: float = 0.0) -> Tensor:
    """KL(posterior || prior) in nats per image, the mean over the batch; prior None is N(0, 1).

    With `free_bits` each latent variable costs at least that many nats (the batch's mean counts), so that none is
    pressed to carry nothing (Kingma et al. 2016, arXiv:1606.04934, equation 15).
    """
    mean, log_var = posterior
    prior_mean, prior_log_var = prior or (torch.zeros_like(mean), torch.zeros_like(log_var))
    ratio = log_var - prior_log_var
    nats = 0.5 * (ratio.exp() + (mean - prior_mean) ** 2 * torch.exp(-prior_log_var) - 1 - ratio)
    return nats.mean(0).clamp(min=free_bits).sum()


def nll(output: Tensor, target: Tensor, likelihood: Likelihood, scale: float | None = None) -> Tensor:
    """-log p(target | output) in nats per value, with a Gaussian or Laplace of one common deviation or scale.

    `scale` None takes the maximum-likelihood one of each batch, the optimal sigma of sigma-VAE (Rybkin et al. 2021,
    arXiv:2006.13202): then the loss is log(scale) + constant, and no weight between it and the KL is left to choose.
    """
    if likelihood == "laplace":
        error = l1(output, target)
        return error.clamp(min=1e-3).log() + math.log(2) + 1 if scale is None else error / scale + math.log(2 * scale)
    error = mse(output, target)
    half_log_2pi = 0.5 * math.log(2 * math.pi)
    if scale is None:
        return 0.5 * error.clamp(min=1e-6).log() + 0.5 + half_log_2pi
    return 0.5 * error / scale**2 + math.log(scale) + half_log_2pi


class NormBlock(nn.Module):
    """Pre-activation residual block: twice (group norm, SiLU, 3x3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            groups = math.gcd(channels, 8)
            layers += [nn.GroupNorm(groups, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, 1, 1)]
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


class SpatialVAE(nn.Module):
    """An encoder of A to a map of latent Gaussians, and a decoder of such a map to B.

    The code keeps a place for each patch of 2^downs x 2^downs pixels, `latent` numbers deep: a single vector would
    have to remember where everything is, which is what makes image VAEs blur. No layer works at full resolution
    (strided convolutions in, pixel shuffles out), which keeps it cheap.
    """

    def __init__(self, inputs: int, outputs: int, width: int, latent: int, downs: int = 2, blocks: int = 4) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(downs)]
        self.encoder = nn.Sequential()
        for n, m in pairwise([inputs, *widths]):
            self.encoder.extend([nn.Conv2d(n, m, 4, 2, 1), NormBlock(m)])
        self.encoder.extend([*(NormBlock(widths[-1]) for _ in range(blocks)), nn.Conv2d(widths[-1], 2 * latent, 1)])
        self.decoder = nn.Sequential(nn.Conv2d(latent, widths[-1], 1), *(NormBlock(widths[-1]) for _ in range(blocks)))
        for n, m in pairwise([*widths[::-1], outputs]):
            self.decoder.extend([NormBlock(n), nn.Conv2d(n, 4 * m, 3, 1, 1), nn.PixelShuffle(2)])
        self.decoder.append(nn.Tanh())

    def encode(self, a: Tensor) -> Gaussian:
        """q(z | a): mean and log variance, each (N, latent, H / 2^downs, W / 2^downs)."""
        mean, log_var = full(self.encoder(a)).chunk(2, dim=1)
        return mean, log_var

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def forward(self, a: Tensor) -> Tensor:
        return self.decode(self.encode(a)[0])


class LatentUNet(nn.Module):
    """A U-Net for p(B | A, z), where the vector z joins the features at every level (BicycleGAN's G_Unet_add_all).

    `forward(a, z)`: images (N, inputs, H, W) and codes (N, latent) to (N, outputs, H, W). The U-Net halves its input
    `depth` times, by which `size` must be divisible; at 256 pixels the published depth is 8 (down to one pixel).
    """

    def __init__(
        self, inputs: int, outputs: int, width: int, latent: int, depth: int = 8, dropout: bool = False
    ) -> None:
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(depth)]
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for i, wide in enumerate(widths):
            first, last = i == 0, i == depth - 1
            down = Halving((inputs if first else widths[i - 1]) + latent, wide)
            up = Doubling(wide if last else 2 * wide, outputs if first else widths[i - 1])
            before = [] if first else [nn.LeakyReLU(0.2)]
            after = [] if first or last else [InstanceNorm2d(wide)]
            self.downs.append(nn.Sequential(*before, down, *after))
            end = [nn.Tanh()] if first else [InstanceNorm2d(widths[i - 1])]
            drop = [nn.Dropout(0.5)] if dropout and 4 <= i < depth - 1 else []
            self.ups.append(nn.Sequential(nn.ReLU(), up, *end, *drop))

    def forward(self, a: Tensor, z: Tensor) -> Tensor:
        z, x, skips = z[:, :, None, None], a, []
        for down in self.downs:
            x = down(torch.cat([x, z.expand(-1, -1, *x.shape[2:])], 1))
            skips.append(x)
        x = self.ups[-1](skips.pop())
        for up in reversed(self.ups[:-1]):  # type: ignore[misc]
            x = up(torch.cat([x, skips.pop()], 1))
        return x


class PoolBlock(nn.Module):
    """Pre-activation residual block that halves the image by mean pooling, on both branches."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        layers = [InstanceNorm2d(inputs), nn.LeakyReLU(0.2), nn.Conv2d(inputs, inputs, 3, 1, 1)]
        layers += [InstanceNorm2d(inputs), nn.LeakyReLU(0.2), nn.Conv2d(inputs, outputs, 3, 1, 1), nn.AvgPool2d(2)]
        self.main = nn.Sequential(*layers)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x) + self.shortcut(x)


class VectorEncoder(nn.Module):
    """Mean and log variance, each (N, latent), of a Gaussian given an image (BicycleGAN's E_ResNet).

    The authors take 5 halvings at 256 pixels and 4 at 128, which leaves 8 x 8 before the mean over all places.
    """

    def __init__(self, channels: int, width: int, latent: int, halvings: int = 5) -> None:
        super().__init__()
        widths = [width * min(i, 4) for i in range(1, halvings + 1)]
        blocks = [PoolBlock(widths[i - 1], widths[i]) for i in range(1, halvings)]
        self.body = nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), *blocks, nn.LeakyReLU(0.2))
        self.mean = nn.Linear(widths[-1], latent)
        self.log_var = nn.Linear(widths[-1], latent)

    def forward(self, x: Tensor) -> Gaussian:
        features = self.body(x).mean((2, 3))
        return full(self.mean(features)), full(self.log_var(features))

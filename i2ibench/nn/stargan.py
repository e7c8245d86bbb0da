"""StarGAN's networks: a generator that is told the target domain, and a discriminator that tells the domain as well.

Architecture and parameter counts are those of the authors' code (github.com/yunjey/stargan, model.py), whose instance
norms keep running statistics that it never uses: it translates in training mode.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2ibench.policy import current

from .functional import full
from .norms import InstanceNorm2d
from .winograd import Conv3x3


class _Residual(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), padded with zeros."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_normed(Conv3x3(channels, channels, bias=False), channels))
        self.body.extend(_normed(Conv3x3(channels, channels, bias=False), channels)[:2])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class DomainGenerator(nn.Module):
    """Images (N, channels, S, S) and target domains (N,) to images in [-1, 1]; S is a multiple of 4.

    The domain is laid beside the image as one map of ones and k - 1 of zeros. Padding is with zeros: with reflection
    these maps would be flat, and the instance norm after them would forget them.
    """

    def __init__(self, channels: int, domains: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.domains = domains
        layers = _normed(nn.Conv2d(channels + domains, width, 7, 1, 3, bias=False), width)
        for wide in (2 * width, 4 * width):
            layers += _normed(nn.Conv2d(wide // 2, wide, 4, 2, 1, bias=False), wide)
        layers += [_Residual(4 * width) for _ in range(blocks)]
        for wide in (2 * width, width):
            layers += _normed(nn.ConvTranspose2d(2 * wide, wide, 4, 2, 1, bias=False), wide)
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 7, 1, 3, bias=False), nn.Tanh())

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        maps = F.one_hot(domain, self.domains).to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.layers(torch.cat([x, maps], dim=1))


class DomainDiscriminator(nn.Module):
    """Images (N, channels, S, S) to a map of scores (N, 1, P, P), unbounded, and logits of the domain (N, k).

    `P = S / 2**halvings`; S is a multiple of `2**halvings`. Published at 128 pixels with 6 halvings, which leave 2 x 2.
    """

    def __init__(self, channels: int, size: int, domains: int, width: int = 64, halvings: int = 6) -> None:
        super().__init__()
        widths = [channels, *(width * 2**level for level in range(halvings))]
        layers: list[nn.Module] = []
        for level in range(halvings):
            layers += [nn.Conv2d(widths[level], widths[level + 1], 4, 2, 1), nn.LeakyReLU(0.01)]
        self.trunk = nn.Sequential(*layers)
        self.score = nn.Conv2d(widths[-1], 1, 3, 1, 1, bias=False)
        self.classify = nn.Conv2d(widths[-1], domains, size // 2**halvings, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(x)
        return self.score(features), self.classify(features).flatten(1)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Mean of (|grad critic(x)| - 1)^2 at random places x between real and fake images (Gulrajani et al. 2017).

    The gradient is that of the sum of an image's scores, as in StarGAN's code; computed in float32.
    """
    with torch.autocast(real.device.type, enabled=False):
        real, fake = full(real.detach()), full(fake.detach())
        share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
        between = (share * real + (1 - share) * fake).requires_grad_()
        with current().differentiable_twice():
            scores = critic(between)
        (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def domain_loss(logits: Tensor, domain: Tensor) -> Tensor:
    """Cross-entropy of logits (N, k) with the true domains (N,)."""
    return F.cross_entropy(full(logits), domain)


def _normed(layer: nn.Module, channels: int) -> list[nn.Module]:
    return [layer, InstanceNorm2d(channels, affine=True), nn.ReLU()]

"""Networks of MUNIT and UNIT: content and style encoders, AdaIN decoder, VAE generator, multi-scale discriminator.

Architecture and parameter counts are those of the authors' code (github.com/NVlabs/MUNIT, networks.py). One thing
is done differently: AdaIN's weights are passed along as an argument, not written into the layers before each call.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .enlarging import Enlarging
from .functional import full
from .norms import InstanceNorm2d, instance_norm
from .winograd import Conv3x3


class LayerNorm(nn.Module):
    """Normalises each whole image (C, H, W) to mean 0, deviation 1, then scales and shifts each channel.

    Unlike `nn.GroupNorm(1, C)` it divides by the unbiased deviation plus epsilon and starts with scales drawn from
    U(0, 1), both as in the authors' code.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.rand(channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = full(x)
        std, mean = torch.std_mean(_in_memory_order(x).flatten(1), dim=1)
        scale = self.gamma / (std + self.eps)[:, None, None, None]
        return torch.addcmul(self.beta - mean[:, None, None, None] * scale, x, scale)  # one pass in place of four


def _in_memory_order(x: Tensor) -> Tensor:
    """x (N, C, H, W), or (N, H, W, C) if its channels lie last: torch goes through a row of numbers much faster."""
    return x.permute(0, 2, 3, 1) if x.is_contiguous(memory_format=torch.channels_last) else x


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, padding_mode="reflect" if padding else "zeros")


class ResBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), without a non-linearity after the sum; 3x3, reflection padding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv3x3(channels, channels, "reflect")
        self.conv2 = Conv3x3(channels, channels, "reflect")

    def forward(self, x: Tensor) -> Tensor:
        return x + instance_norm(self.conv2(F.relu(instance_norm(self.conv1(x)))))


class AdaINResBlock(ResBlock):
    """A ResBlock that takes the shift and the scale of its two normalisations from the style: (N, 2, 2, C)."""

    def forward(self, x: Tensor, affine: Tensor) -> Tensor:  # type: ignore[override]
        (shift1, scale1), (shift2, scale2) = (norm.unbind(1) for norm in full(affine).unbind(1))
        out = F.relu(instance_norm(self.conv1(x), scale1, shift1))
        return x + instance_norm(self.conv2(out), scale2, shift2)


class ContentEncoder(nn.Sequential):
    """Image (N, C, H, W) -> content map (N, width * 2^downs, H / 2^downs, W / 2^downs), instance-normalised."""

    def __init__(self, channels: int, width: int, downs: int, blocks: int) -> None:
        layers: list[nn.Module] = [conv(channels, width, 7, 1, 3), InstanceNorm2d(width), nn.ReLU(True)]
        for _ in range(downs):
            layers += [conv(width, 2 * width, 4, 2, 1), InstanceNorm2d(2 * width), nn.ReLU(True)]
            width *= 2
        super().__init__(*layers, *(ResBlock(width) for _ in range(blocks)))


class StyleEncoder(nn.Sequential):
    """Image -> style code (N, style, 1, 1). No normalisation: it would erase the means and deviations that count."""

    def __init__(self, channels: int, width: int, style: int, downs: int = 4) -> None:
        layers: list[nn.Module] = [conv(channels, width, 7, 1, 3), nn.ReLU(True)]
        widths = [width, 2 * width] + [4 * width] * (downs - 1)
        for inputs, outputs in pairwise(widths):
            layers += [conv(inputs, outputs, 4, 2, 1), nn.ReLU(True)]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), conv(widths[-1], style, 1))


def upsampler(channels: int, outputs: int, ups: int) -> nn.Sequential:
    """The second half of both decoders: `ups` times (nearest x2, 5x5, LayerNorm, ReLU), then 7x7 and tanh."""
    layers: list[nn.Module] = []
    for _ in range(ups):
        # The identity stands where the authors' code has its upsampling, so that weights have the names of before.
        layers += [nn.Identity(), Enlarging(channels, channels // 2), LayerNorm(channels // 2), nn.ReLU(True)]
        channels //= 2
    return nn.Sequential(*layers, conv(channels, outputs, 7, 1, 3), nn.Tanh())


class ContentStyleGenerator(nn.Module):
    """MUNIT's auto-encoder of one domain: `encode` splits an image into (content, style), `decode` joins the two.

    The style goes through a 3-layer perceptron to the shifts and scales of the decoder's AdaIN layers.
    """

    def __init__(
        self, channels: int, width: int = 64, style: int = 8, mlp: int = 256, downs: int = 2, blocks: int = 4
    ) -> None:
        super().__init__()
        self.style_encoder = StyleEncoder(channels, width, style)
        self.content_encoder = ContentEncoder(channels, width, downs, blocks)
        wide = width * 2**downs
        self.blocks = nn.ModuleList(AdaINResBlock(wide) for _ in range(blocks))
        self.upsample = upsampler(wide, channels, downs)
        layers = [nn.Linear(style, mlp), nn.ReLU(True), nn.Linear(mlp, mlp), nn.ReLU(True)]
        self.mlp = nn.Sequential(*layers, nn.Linear(mlp, blocks * 4 * wide))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.content_encoder(x), self.style_encoder(x)

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        """`content` as from `encode`, `style` (N, style, 1, 1) from an image or from N(0, 1)."""
        affine = self.mlp(style.flatten(1)).view(len(style), len(self.blocks), 2, 2, -1)
        for i, block in enumerate(self.blocks):
            content = block(content, affine[:, i])
        return self.upsample(content)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(*self.encode(x))


class VAEGenerator(nn.Module):
    """UNIT's variational auto-encoder of one domain. The posterior has unit variance, so its mean is the whole code."""

    def __init__(self, channels: int, width: int = 64, downs: int = 2, blocks: int = 4) -> None:
        super().__init__()
        self.encoder = ContentEncoder(channels, width, downs, blocks)
        wide = width * 2**downs
        self.decoder = nn.Sequential(*(ResBlock(wide) for _ in range(blocks)), upsampler(wide, channels, downs))

    def encode(self, x: Tensor) -> Tensor:
        """Mean of q(z|x): (N, width * 2^downs, H / 2^downs, W / 2^downs)."""
        return full(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class MultiScaleDiscriminator(nn.Module):
    """`scales` patch discriminators, each on the image at half the size of the one before: score maps, finest first.

    The published `norm` is "none"; "group" normalises all but the first layer, and unlike instance norm leaves it
    the sight of an inverted contrast. The image must be at least 2^(layers + scales - 1) pixels, below which reflection
    padding has nothing to reflect.
    """

    def __init__(self, channels: int, width: int = 64, layers: int = 4, scales: int = 3, norm: str = "none") -> None:
        super().__init__()
        self.scales = nn.ModuleList(self._scale(channels, width, layers, norm) for _ in range(scales))
        self.shrink = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    @staticmethod
    def _scale(channels: int, width: int, layers: int, norm: str) -> nn.Sequential:
        widths = [channels, *(width * 2**i for i in range(layers))]
        stack: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            stack.append(conv(inputs, outputs, 4, 2, 1))
            if norm == "group" and len(stack) > 1:
                stack.append(nn.GroupNorm(math.gcd(8, outputs), outputs))
            stack.append(nn.LeakyReLU(0.2, True))
        return nn.Sequential(*stack, conv(widths[-1], 1, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        scores = []
        for i, scale in enumerate(self.scales):
            x = self.shrink(x) if i else x
            scores.append(scale(x))
        return scores

"""Networks for super-resolution: SRCNN, EDSR, SRResNet and SRGAN's discriminator, and the small image that they see."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import log2

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .functional import full
from .init import init_weights

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)  # of RGB in [0, 1], over the training images; from EDSR's code


class Shrink(nn.Module):
    """The small image (N, C, H / scale, W / scale) that an image of the task `super-resolve` was enlarged from.

    The task enlarges by a matrix U (cubic, as MATLAB's imresize), U x U', so the small image x is the least-squares
    solution for the enlarged one, rounded to the 256 levels that it had. That is exact (at x2 but for a pixel in a
    hundred, one level off) where the enlarged image was not clipped at black or white: measured on photographs, 0.85 to
    1 of all pixels, the others off by 10 levels at most. Shrinking bicubically instead would blur, and be off by 2 to 4
    levels everywhere. On other images it is a smooth reduction.

    Args:
        size: width and height of the images that are trained on; others may have any that the scale divides.
    """

    inverse: Tensor

    def __init__(self, size: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("inverse", reduction(size, scale), persistent=False)  # hangs on the size: no weight

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = full(x)
            rows, columns = (self._inverse(edge).to(x) for edge in x.shape[-2:])
            small = rows @ x @ columns.T
            return small.add(1).mul(127.5).round().clamp(0, 255).div(127.5).sub(1)

    def _inverse(self, edge: int) -> Tensor:
        return self.inverse if edge == self.inverse.shape[1] else reduction(edge, self.scale)


@lru_cache(maxsize=32)
def reduction(edge: int, scale: int) -> Tensor:
    """(edge / scale, edge), float32 on the CPU: what undoes the enlargement of an edge.

    Raises:
        ValueError: the scale does not divide it.
    """
    if edge % scale:
        raise ValueError(f"an edge of {edge} pixels cannot be divided by {scale}")
    with torch.device("cpu"):
        return torch.linalg.pinv(enlargement(edge // scale, scale)).float()


def enlargement(size: int, scale: int) -> Tensor:
    """(size * scale, size), float64: the matrix of cubic interpolation (a = -0.5), the image mirrored at its border."""
    rows = torch.eye(size, dtype=torch.float64)
    mirrored = torch.cat([rows.flip(1), rows, rows.flip(1)], 1)[None, None]
    # antialias: nothing to do where it enlarges, but with it the kernel is Keys' own, a = -0.5, and not a = -0.75.
    enlarged = interpolate(mirrored, size=(size, 3 * size * scale), mode="bicubic", antialias=True)
    return enlarged[0, 0, :, size * scale : 2 * size * scale].T


class SRCNN(nn.Sequential):
    """(N, channels, S, S) to the same: three convolutions (Dong et al. 2014), whose weights begin at N(0, 0.001).

    Args:
        width: channels after the first convolution (the paper's n1); half as many after the second (n2).
        kernels: edges of the three kernels, (9, 1, 5) in the paper. At the border the image is continued by its edge,
            where the paper's training cut it off.
    """

    def __init__(self, channels: int = 3, width: int = 64, kernels: tuple[int, int, int] = (9, 1, 5)) -> None:
        layers: list[nn.Module] = []
        for (before, after), kernel in zip(pairwise((channels, width, width // 2, channels)), kernels, strict=True):
            layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2, padding_mode="replicate"), nn.ReLU()]
        super().__init__(*layers[:-1])
        init_weights(self, "normal", 0.001)


class EDSR(nn.Module):
    """(N, 3, S, S) to (N, 3, S * scale, S * scale), both in [-1, 1]: residual blocks without normalisation (Lim 2017).

    Names of the layers are those of the authors' code, and inside pixels are 0 to 255 less the mean of DIV2K as there,
    so that their weights fit.

    Args:
        width: channels of all layers: 64 in the baseline, 256 in the full network.
        blocks: residual blocks: 16 and 32.
        residual_scale: factor of what each block adds: 1 and 0.1.
        scale: 2, 4 or 8.
    """

    mean: Tensor

    def __init__(
        self, channels: int = 3, width: int = 64, blocks: int = 16, residual_scale: float = 1.0, scale: int = 4
    ) -> None:
        super().__init__()
        body = [EDSRBlock(width, residual_scale) for _ in range(blocks)]
        up: list[nn.Module] = []
        for _ in range(round(log2(scale))):
            up += [_conv(width, 4 * width), nn.PixelShuffle(2)]
        self.head = nn.Sequential(_conv(channels, width))
        self.body = nn.Sequential(*body, _conv(width, width))
        self.tail = nn.Sequential(nn.Sequential(*up), _conv(width, channels))
        mean = torch.tensor(DIV2K_MEAN if channels == 3 else (0.5,) * channels)
        self.register_buffer("mean", 255 * mean.view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        features = self.head((x + 1) * 127.5 - self.mean)
        return (self.tail(features + self.body(features)) + self.mean) / 127.5 - 1


class EDSRBlock(nn.Module):
    """x + residual_scale * conv(relu(conv(x)))."""

    def __init__(self, width: int, residual_scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(width, width), nn.ReLU(), _conv(width, width))
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual_scale * self.body(x)


class SRResNet(nn.Module):
    """(N, channels, S, S) to (N, channels, S * scale, S * scale) in about [-1, 1]: Ledig et al. 2017, figure 4.

    The paper says nothing of the PReLUs' slopes: here each layer has one.

    Args:
        width: channels of all layers but the enlarging ones.
        blocks: residual blocks, each with two batch normalisations.
        scale: 2, 4 or 8: one enlarging layer for each factor of 2.
    """

    def __init__(self, channels: int = 3, width: int = 64, blocks: int = 16, scale: int = 4) -> None:
        super().__init__()
        up: list[nn.Module] = []
        for _ in range(round(log2(scale))):
            up += [_conv(width, 4 * width), nn.PixelShuffle(2), nn.PReLU()]
        self.head = nn.Sequential(_conv(channels, width, 9), nn.PReLU())
        self.body = nn.Sequential(
            *(SRResNetBlock(width) for _ in range(blocks)), _conv(width, width), nn.BatchNorm2d(width)
        )
        self.tail = nn.Sequential(*up, _conv(width, channels, 9))

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(x)
        return self.tail(features + self.body(features))


class SRResNetBlock(nn.Module):
    """x + norm(conv(prelu(norm(conv(x)))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = _conv(width, width), nn.BatchNorm2d(width), nn.PReLU(), _conv(width, width), nn.BatchNorm2d(width)
        self.body = nn.Sequential(*inner)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class SRGANDiscriminator(nn.Sequential):
    """(N, channels, S, S) to (N, 1): eight convolutions, four of them halving, and two linear layers (Ledig 2017).

    S is a multiple of 16, and one network sees one size. It gives the logit of the paper's probability.
    """

    def __init__(self, channels: int, size: int, width: int = 64) -> None:
        layers: list[nn.Module] = [_conv(channels, width), nn.LeakyReLU(0.2)]
        widths = (width, width, 2 * width, 2 * width, 4 * width, 4 * width, 8 * width, 8 * width)
        for i, (before, after) in enumerate(pairwise(widths)):
            halving = nn.Conv2d(before, after, 3, 2 if i % 2 == 0 else 1, 1)
            layers += [halving, nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        hidden = 16 * width
        flat = 8 * width * (size // 16) ** 2
        super().__init__(*layers, nn.Flatten(), nn.Linear(flat, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))


def _conv(before: int, after: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, padding=kernel // 2)

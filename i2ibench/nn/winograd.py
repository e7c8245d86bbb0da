"""The 3 x 3 convolutions of residual blocks, computed by Winograd's F(4 x 4, 3 x 3).

Each tile of 4 x 4 outputs sees 6 x 6 inputs. Both are polynomials' values at six points, where a convolution is a mere
product: 36 products of matrices (tiles x channels) in place of the 144 that the tile takes by definition (Lavin and
Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). The points are 0, +-1/sqrt(2), +-sqrt(2) and infinity
in place of the paper's 0, +-1, +-2, which halves the rounding error.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from i2ibench.policy import current

OUT, IN = 4, 6  # the sides of a tile, in pixels
POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))
CHANNELS, TILES = 128, 64  # with fewer, transforming images and weights takes as long as is saved
AT_ONCE = 512  # tiles: more leave the processor's caches (8 images of 128 channels at 64 pixels take 1.5 times as long)

Borders = Literal["zeros", "reflect"]


class Conv3x3(nn.Conv2d):
    """(N, channels_in, H, W) to (N, channels_out, H, W), with zeros beyond its borders or what they reflect."""

    def __init__(self, channels_in: int, channels_out: int, borders: Borders = "zeros", bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1, padding_mode=borders, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if not self._pays(x):
            return super().forward(x)
        bordered = pad(x, (1, 1, 1, 1), "constant" if self.padding_mode == "zeros" else self.padding_mode)
        found = winograd(bordered, self.weight)
        return found if self.bias is None else found + self.bias[:, None, None]

    def _pays(self, x: Tensor) -> bool:
        """Whether this is faster (measured: by 1.4 to 2 from so many channels and tiles on), and is wanted.

        Not in bf16, whose products are fast on AMX and whose rounding the transforms would add to. Outside of training
        it is not wanted either: what a trained network gives stays as it is, and so does its export.
        """
        policy = current()
        height, width = x.shape[-2:]
        wanted = policy.rewritten and policy.precision != "bf16" and not policy.compile
        whole = height % OUT == width % OUT == 0 and x.shape[0] * height * width >= TILES * OUT * OUT
        wide = min(self.in_channels, self.out_channels) >= CHANNELS
        return wanted and whole and wide and torch.is_grad_enabled() and x.device.type == "cpu"


def winograd(bordered: Tensor, weight: Tensor) -> Tensor:
    """The convolution (N, C, H + 2, W + 2) by (K, C, 3, 3) to (N, K, H, W), H and W multiples of 4; channels last."""
    to_outputs, of_weights, of_inputs = (torch.tensor(one, dtype=weight.dtype) for one in _transforms())
    kernels = (of_weights @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(IN * IN, -1, len(weight))
    each = (bordered.shape[2] - 2) * (bordered.shape[3] - 2) // OUT**2
    some = bordered.split(max(1, AT_ONCE // each))
    found = [_product(images.permute(0, 2, 3, 1), kernels, to_outputs, of_inputs) for images in some]
    return found[0] if len(found) == 1 else torch.cat(found)


def _product(images: Tensor, kernels: Tensor, to_outputs: Tensor, of_inputs: Tensor) -> Tensor:
    """Of bordered images (N, H + 2, W + 2, C) and transformed weights (36, C, K): (N, K, H, W)."""
    count, rows, columns, channels = images.shape
    high, wide = (rows - 2) // OUT, (columns - 2) // OUT
    tiles = (of_inputs @ _Tiles.apply(images)).view(IN * IN, -1, channels)
    found = (to_outputs @ torch.bmm(tiles, kernels).view(IN * IN, -1)).view(OUT, OUT, count, high, wide, -1)
    return found.permute(2, 3, 0, 4, 1, 5).reshape(count, rows - 2, columns - 2, -1).permute(0, 3, 1, 2)


class _Tiles(torch.autograd.Function):
    """Bordered images (N, H + 2, W + 2, C) as their overlapping tiles, pixel by pixel: (36, N H / 4 W / 4 C)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.shape = images.shape
        return images.unfold(1, IN, OUT).unfold(2, IN, OUT).permute(4, 5, 0, 1, 2, 3).reshape(IN * IN, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Images.apply(gradient, ctx.shape)


class _Images(torch.autograd.Function):
    """The transpose of `_Tiles`: tiles back in their places, added up where they overlap."""

    @staticmethod
    def forward(ctx: Any, tiles: Tensor, shape: torch.Size) -> Tensor:
        count, rows, columns, channels = shape
        high, wide = (rows - 2) // OUT, (columns - 2) // OUT
        each = tiles.reshape(IN, IN, count, high, wide, channels)
        images = tiles.new_zeros(shape)
        for i in range(IN):
            for j in range(IN):
                images[:, i : i + OUT * high : OUT, j : j + OUT * wide : OUT][:, :high, :wide] += each[i, j]
        return images

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Tiles.apply(gradient), None


@cache
def _transforms() -> tuple[np.ndarray, ...]:
    """To outputs (16, 36), of weights (36, 9) and of inputs (36, 36), by Toom and Cook's interpolation."""
    points, infinity = np.array(POINTS), np.eye(IN)[-1:]  # at infinity a polynomial's value is its highest coefficient
    others = [np.delete(points, i) for i in range(len(points))]
    scales = np.array([np.prod(point - other) for point, other in zip(points, others, strict=True)])
    to_outputs = np.vstack([np.vander(points, OUT, increasing=True), infinity[:, -OUT:]]).T
    of_weights = np.vstack([np.vander(points, 3, increasing=True) / scales[:, None], infinity[:, -3:]])
    of_inputs = np.array([np.pad(np.poly(roots)[::-1], (0, len(points) - len(roots))) for roots in (*others, points)])
    return tuple(np.kron(one, one) for one in (to_outputs, of_weights, of_inputs))

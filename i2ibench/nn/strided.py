"""The 4 x 4 convolutions that halve and double an image, as matrix products where it has few pixels.

Near the middle of a U-Net megabytes of weights meet an image of a few pixels. oneDNN brings the weights into a layout
of its own for each call, forwards and twice backwards, which then takes longer than the convolution: on a CPU more than
half of the time of convolutions in a training step of pix2pix at 64 pixels and batch 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, linear, unfold

from i2ibench.policy import current


class Halving(nn.Conv2d):
    """(N, channels_in, H, W) to (N, channels_out, H / 2, W / 2), for even H and W."""

    layout = torch.contiguous_format  # in which the product takes the weights as they lie

    def __init__(self, channels_in: int, channels_out: int, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, 4, 2, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        if not _few(x, count * height * width // 4, self.out_channels):
            return super().forward(x)
        patches = unfold(x, 4, padding=1, stride=2).transpose(1, 2)  # (N, H W / 4, 16 channels_in)
        found = linear(patches.flatten(0, 1), self.weight.flatten(1), self.bias)
        return found.view(count, height // 2, width // 2, -1).permute(0, 3, 1, 2)


class Doubling(nn.ConvTranspose2d):
    """(N, channels_in, H, W) to (N, channels_out, 2 H, 2 W)."""

    layout = torch.contiguous_format

    def __init__(self, channels_in: int, channels_out: int, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, 4, 2, 1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        count, _, height, width = x.shape
        if output_size is not None or not _few(x, count * height * width, self.in_channels):
            return super().forward(x, output_size)
        pixels = x.flatten(2).transpose(1, 2).flatten(0, 1)  # (N H W, channels_in)
        patches = (pixels @ self.weight.flatten(1)).view(count, height * width, -1)
        found = fold(patches.transpose(1, 2), (2 * height, 2 * width), 4, padding=1, stride=2)
        return found if self.bias is None else found + self.bias[:, None, None]


def _few(x: Tensor, pixels: int, channels: int) -> bool:
    """Whether a product is faster (measured: by 1.1 to 4 from half as many pixels as channels on), and is wanted.

    Outside of training it is not: what a trained network gives stays as it is, and so does its export.
    """
    wanted = current().rewritten and torch.is_grad_enabled() and x.device.type == "cpu"
    return wanted and 2 * pixels <= channels

"""Discriminators that judge patches of an image."""

from __future__ import annotations

from torch import nn

from .norms import Norm, norm_layer


class PatchGAN(nn.Sequential):
    """(N, channels_in, S, S) to a map of scores (N, 1, P, P), unbounded, `P = S / 2**layers - 2; S >= 3 * 2**layers`.

    Each score sees a patch: 70x70 pixels with 3 layers (Isola et al. 2017, section 6.1.2), 34x34 with 2, 16x16 with 1.

    Args:
        width: channels after the first convolution; they double with each layer up to 8 times that.
        norm: "batch" or "instance"; none after the first convolution.
        layers: strided convolutions.
    """

    def __init__(self, channels_in: int, width: int = 64, norm: Norm = "batch", layers: int = 3) -> None:
        modules: list[nn.Module] = [nn.Conv2d(channels_in, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        wide = width
        for layer in range(1, layers + 1):
            narrow, wide = wide, width * min(2**layer, 8)
            stride = 2 if layer < layers else 1
            modules += [
                nn.Conv2d(narrow, wide, 4, stride, 1, bias=norm == "instance"),
                norm_layer(norm, wide),
                nn.LeakyReLU(0.2),
            ]
        super().__init__(*modules, nn.Conv2d(wide, 1, 4, 1, 1))

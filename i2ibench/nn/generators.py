"""The generators that pix2pix and CycleGAN choose from, by name."""

from __future__ import annotations

from torch import nn

from .init import init_weights
from .norms import Norm
from .pix2pixhd import HDGenerator
from .resnet import ResNetGenerator
from .sizes import Generator
from .unet import UNet


def generator(
    kind: Generator,
    channels_in: int,
    channels_out: int,
    size: int,
    *,
    width: int,
    norm: Norm,
    dropout: float,
    blocks: int,
    attention: bool,
) -> nn.Module:
    """A fresh `UNet`, `ResNetGenerator` or `HDGenerator`; weights from N(0, 0.02), as the authors of all three do.

    `blocks` are residual blocks, which a U-Net does not have; in an `HDGenerator`, those of its coarse network.
    """
    if kind == "unet":
        return init_weights(UNet(channels_in, channels_out, size, width, norm, dropout, attention=attention))
    if kind == "resnet":
        return init_weights(ResNetGenerator(channels_in, channels_out, width, norm, blocks, dropout, attention))
    if kind == "hd":
        return init_weights(HDGenerator(channels_in, channels_out, size, width, norm, blocks, dropout, attention))
    raise ValueError(f"unknown generator '{kind}'; available: hd, resnet, unet")

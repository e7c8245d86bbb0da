"""The generators that pix2pix and CycleGAN choose from, by name."""

from __future__ import annotations

from torch import nn

from .init import init_weights
from .norms import Norm
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
    """A fresh `UNet` or `ResNetGenerator` (`blocks` is the latter's); weights from N(0, 0.02), as the authors do."""
    if kind == "unet":
        return init_weights(UNet(channels_in, channels_out, size, width, norm, dropout, attention=attention))
    if kind == "resnet":
        return init_weights(ResNetGenerator(channels_in, channels_out, width, norm, blocks, dropout, attention))
    raise ValueError(f"unknown generator '{kind}'; available: resnet, unet")

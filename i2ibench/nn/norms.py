"""The normalisation layers of pix2pix and CycleGAN, chosen by name."""

from __future__ import annotations

from typing import Literal

from torch import nn

Norm = Literal["batch", "instance"]


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """ "batch" (with scale and shift) or "instance" (without, so the convolution before it keeps its bias)."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels)
    raise ValueError(f"unknown norm '{norm}'; available: batch, instance")

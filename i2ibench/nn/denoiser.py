"""The U-Net of diffusion models, told how noisy its input is (ADM: Dhariwal & Nichol 2021, arXiv:2105.05233).

Palette, DDIB and BBDM are built on it. Layers and parameter counts are those of openai/guided-diffusion's `UNetModel`
with `resblock_updown` and `use_scale_shift_norm`, as all of them take them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import full


def embed(level: Tensor, width: int) -> Tensor:
    """Cosines and sines of (N,) numbers at frequencies from 1 down to nearly 1/10,000: (N, width), width even."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=level.device) / half)
    angles = level.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(32, channels), channels)


def _zero(layer: nn.Conv2d | nn.Conv1d) -> nn.Module:
    """Begin with nothing: a branch as if it were absent, a network with an image of 0."""
    assert layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class LevelBlock(nn.Module):
    """A residual block whose second norm is scaled and shifted by the noise level; may halve or double the image."""

    def __init__(
        self, inputs: int, outputs: int, embedding: int, dropout: float, resize: Literal["up", "down"] | None = None
    ) -> None:
        super().__init__()
        self.resize = resize
        self.norm1, self.conv1 = _norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.affine = nn.Linear(embedding, 2 * outputs)
        self.norm2, self.dropout = _norm(outputs), nn.Dropout(dropout)
        self.conv2 = _zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = F.silu(self.norm1(x))
        if self.resize == "up":
            h, x = (F.interpolate(y, scale_factor=2.0, mode="nearest") for y in (h, x))
        elif self.resize == "down":
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        scale, shift = self.affine(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        h = self.norm2(self.conv1(h)) * (1 + scale) + shift
        return self.skip(x) + self.conv2(self.dropout(F.silu(h)))


class HeadedAttention(nn.Module):
    """Each place of a map looks at all others, in several heads of `head` channels."""

    def __init__(self, channels: int, head: int) -> None:
        super().__init__()
        self.heads = max(1, channels // head)
        self.norm, self.qkv = _norm(channels), nn.Conv1d(channels, 3 * channels, 1)
        self.out = _zero(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        n, channels, *_ = x.shape
        qkv = self.qkv(self.norm(x.flatten(2))).view(n, self.heads, 3, channels // self.heads, -1).transpose(3, 4)
        found = F.scaled_dot_product_attention(*qkv.unbind(2)).transpose(2, 3)
        return x + self.out(found.reshape(n, channels, -1)).view(x.shape)


class Denoiser(nn.Module):
    """Images (N, channels_in, S, S) and their noise levels (N,) to (N, channels_out, S, S), unbounded.

    S is a multiple of 2 ** (len(multipliers) - 1).

    Args:
        width: channels at full size, even; `multipliers` of them at each halving.
        blocks: residual blocks at each size on the way down; one more on the way up.
        attention: how much smaller than the input the maps are (1, 2, 4, ...) that get attention; the innermost always.
        head: channels in each head of the attention.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 4, 8),
        blocks: int = 2,
        attention: Sequence[int] = (),
        head: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.width, embedding = width, 4 * width
        self.embed = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))

        def stage(inputs: int, outputs: int, level: int) -> list[nn.Module]:
            attend = [HeadedAttention(outputs, head)] if 2**level in attention else []
            return [LevelBlock(inputs, outputs, embedding, dropout), *attend]

        channels, skips = multipliers[0] * width, [multipliers[0] * width]
        self.first = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.down = nn.ModuleList()
        for level, multiplier in enumerate(multipliers):
            for _ in range(blocks):
                self.down.append(nn.ModuleList(stage(channels, multiplier * width, level)))
                channels = multiplier * width
                skips.append(channels)
            if level < len(multipliers) - 1:
                self.down.append(nn.ModuleList([LevelBlock(channels, channels, embedding, dropout, "down")]))
                skips.append(channels)
        self.middle = nn.ModuleList(
            [
                LevelBlock(channels, channels, embedding, dropout),
                HeadedAttention(channels, head),
                LevelBlock(channels, channels, embedding, dropout),
            ]
        )
        self.up = nn.ModuleList()
        for level, multiplier in reversed([*enumerate(multipliers)]):
            for number in range(blocks + 1):
                layers = stage(channels + skips.pop(), multiplier * width, level)
                channels = multiplier * width
                if level and number == blocks:
                    layers.append(LevelBlock(channels, channels, embedding, dropout, "up"))
                self.up.append(nn.ModuleList(layers))
        self.last = nn.Sequential(_norm(channels), nn.SiLU(), _zero(nn.Conv2d(channels, channels_out, 3, padding=1)))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        embedding = self.embed(embed(level, self.width).to(x.dtype))
        x = self.first(x)
        skips = [x]
        for layers in self.down:
            for layer in layers:  # type: ignore[attr-defined]
                x = layer(x, embedding)
            skips.append(x)
        for layer in self.middle:
            x = layer(x, embedding)
        for layers in self.up:
            x = torch.cat([x, skips.pop()], 1)
            for layer in layers:  # type: ignore[attr-defined]
                x = layer(x, embedding)
        return full(self.last(x))

"""The U-Net generator of pix2pix (Isola et al. 2017, arXiv:1611.07004, section 6.1.1)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from .attention import SelfAttention
from .norms import Norm, norm_layer
from .sizes import unet_depth
from .strided import Doubling, Halving


class UNet(nn.Module):
    """(N, channels_in, S, S) to (N, channels_out, S, S) in [-1, 1], each scale's features handed across.

    Depth 8 at width 64 is the authors' `unet_256`, depth 7 their `unet_128`. A block that goes down is LeakyReLU,
    strided convolution, norm; one that goes up is ReLU, transposed convolution, norm, and dropout where the code
    has it: between the innermost block and the fourth, so there is none at depth 5 (32 pixels).

    Args:
        size: of the images; a multiple of 2 ** depth.
        width: channels after the first convolution; they double with each scale up to 8 times that.
        norm: "batch" or "instance".
        dropout: probability in the dropout blocks, 0 for none.
        depth: how often the image is halved; None: `unet_depth(size)`, down to one pixel at 32 to 256.
        attention: a self-attention block at an eighth of the size (SAGAN).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        width: int = 64,
        norm: Norm = "batch",
        dropout: float = 0.5,
        depth: int | None = None,
        attention: bool = False,
    ) -> None:
        super().__init__()
        depth = unet_depth(size) if depth is None else depth
        if depth < 2 or size % 2**depth:
            raise ValueError(f"a U-Net of depth {depth} cannot take {size} pixels; it halves them that often")
        bias = norm == "instance"
        widths = [channels_in] + [width * min(2**level, 8) for level in range(depth)]
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        for level, (outer, inner) in enumerate(pairwise(widths)):
            outermost, innermost = level == 0, level == depth - 1
            down: list[nn.Module] = [] if outermost else [nn.LeakyReLU(0.2)]
            down += [Halving(outer, inner, bias)]
            down += [] if outermost or innermost else [norm_layer(norm, inner)]
            down += [SelfAttention(inner)] if attention and level == 2 else []
            self.down.append(nn.Sequential(*down))

            joined = inner if innermost else 2 * inner
            if outermost:
                up = [nn.ReLU(), Doubling(joined, channels_out), nn.Tanh()]
            else:
                up = [nn.ReLU(), Doubling(joined, outer, bias), norm_layer(norm, outer)]
                up += [nn.Dropout(dropout)] if dropout and 4 <= level < depth - 1 else []
            self.up.append(nn.Sequential(*up))

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in reversed(self.up):
            x = up(x)
            if skips:
                x = torch.cat([skips.pop(), x], dim=1)
        return x

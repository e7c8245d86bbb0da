"""The residual generator of CycleGAN (Zhu et al. 2017; architecture of Johnson et al. 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from .attention import SelfAttention
from .norms import Norm, norm_layer
from .winograd import Conv3x3


class ResidualBlock(nn.Module):
    """x + conv(conv(x)) with reflection padding; no activation after the sum."""

    def __init__(self, channels: int, norm: Norm, dropout: float = 0.0) -> None:
        super().__init__()
        bias = norm == "instance"
        self.body = nn.Sequential(
            Conv3x3(channels, channels, "reflect", bias),
            norm_layer(norm, channels),
            nn.ReLU(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            Conv3x3(channels, channels, "reflect", bias),
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResNetGenerator(nn.Sequential):
    """(N, channels_in, S, S) to (N, channels_out, S, S) in [-1, 1]: twice down, residual blocks, twice up.

    S is a multiple of 4. With 9 blocks it is the authors' `resnet_9blocks` (256 pixels), with 6 `resnet_6blocks` (128).

    Args:
        width: channels after the first convolution; four times as many in the blocks.
        norm: "batch" or "instance".
        blocks: number of residual blocks.
        dropout: probability inside the blocks, 0 for none.
        attention: a self-attention block (SAGAN) amid the residual blocks.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        width: int = 64,
        norm: Norm = "instance",
        blocks: int = 9,
        dropout: float = 0.0,
        attention: bool = False,
    ) -> None:
        bias = norm == "instance"
        layers: list[nn.Module] = [
            nn.Conv2d(channels_in, width, 7, padding=3, padding_mode="reflect", bias=bias),
            norm_layer(norm, width),
            nn.ReLU(),
        ]
        for wide in (width, 2 * width):
            layers += [nn.Conv2d(wide, 2 * wide, 3, 2, 1, bias=bias), norm_layer(norm, 2 * wide), nn.ReLU()]
        trunk: list[nn.Module] = [ResidualBlock(4 * width, norm, dropout) for _ in range(blocks)]
        if attention:
            trunk.insert(blocks // 2, SelfAttention(4 * width))
        layers += trunk
        for wide in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(wide, wide // 2, 3, 2, 1, output_padding=1, bias=bias)
            layers += [up, norm_layer(norm, wide // 2), nn.ReLU()]
        layers += [nn.Conv2d(width, channels_out, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
        super().__init__(*layers)

"""The coarse-to-fine generator of pix2pixHD (Wang et al., CVPR 2018, arXiv:1711.11585, section 3.1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .attention import SelfAttention
from .norms import Norm, norm_layer
from .resnet import ResidualBlock
from .sizes import hd_halvings


class HDGenerator(nn.Module):
    """(N, channels_in, S, S) to (N, channels_out, S, S) in [-1, 1]: one network at half the size, one around it.

    The coarse network sees the image at half its size and gives features of it; the fine one adds its own and draws the
    image. With the defaults it is the authors' `netG local` with ngf 32 (github.com/NVIDIA/pix2pixHD, LocalEnhancer);
    they train the coarse one alone first, here both learn together.

    Args:
        size: of the images; a multiple of 4. The coarse network halves them `hd_halvings(size)` times.
        width: channels after the coarse network's first convolution; half as many in the fine network.
        blocks: residual blocks of the coarse network; the fine one has `fine_blocks`.
        norm: of both networks, as in `ResNetGenerator`.
        dropout: likewise, in the coarse network's trunk.
        attention: likewise.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        width: int = 64,
        norm: Norm = "instance",
        blocks: int = 9,
        dropout: float = 0.0,
        attention: bool = False,
        fine_blocks: int = 3,
    ) -> None:
        super().__init__()
        fine = max(1, width // 2)
        coarse, wide = self._stem(channels_in, width, norm), width
        for _ in range(hd_halvings(size)):
            coarse += self._halve(wide, 2 * wide, norm)
            wide *= 2
        trunk: list[nn.Module] = [ResidualBlock(wide, norm, dropout) for _ in range(blocks)]
        if attention:
            trunk.insert(blocks // 2, SelfAttention(wide))
        coarse += trunk
        while wide > width:
            coarse += self._double(wide, wide // 2, norm)
            wide //= 2
        self.coarse = nn.Sequential(*coarse)
        self.fine_in = nn.Sequential(*self._stem(channels_in, fine, norm), *self._halve(fine, width, norm))
        self.fine_out = nn.Sequential(
            *(ResidualBlock(width, norm) for _ in range(fine_blocks)),
            *self._double(width, fine, norm),
            nn.Conv2d(fine, channels_out, 7, padding=3, padding_mode="reflect"),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        half = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return self.fine_out(self.fine_in(x) + self.coarse(half))

    @staticmethod
    def _stem(inputs: int, outputs: int, norm: Norm) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 7, padding=3, padding_mode="reflect", bias=norm == "instance")
        return [conv, norm_layer(norm, outputs), nn.ReLU()]

    @staticmethod
    def _halve(inputs: int, outputs: int, norm: Norm) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=norm == "instance")
        return [conv, norm_layer(norm, outputs), nn.ReLU()]

    @staticmethod
    def _double(inputs: int, outputs: int, norm: Norm) -> list[nn.Module]:
        conv = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1, bias=norm == "instance")
        return [conv, norm_layer(norm, outputs), nn.ReLU()]

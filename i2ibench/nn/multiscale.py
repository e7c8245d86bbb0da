"""BicycleGAN's discriminator: PatchGANs that look at the image and at smaller copies of it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .discriminators import PatchGAN


class MultiScalePatchGAN(nn.Module):
    """(N, channels, S, S) to one map of scores per scale, as `PatchGAN` gives (the authors' D_NLayersMulti).

    Instance norm. Each scale sees the image at half the size of the one before, and has half the width; the smallest
    image must still suit a PatchGAN of so many `layers`.
    """

    def __init__(self, channels: int, width: int = 64, layers: int = 3, scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchGAN(channels, max(1, round(width / 2**scale)), "instance", layers) for scale in range(scales)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        scores = []
        for number, scale in enumerate(self.scales):
            if number:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            scores.append(scale(x))
        return scores

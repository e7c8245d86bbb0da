"""Self-attention for generators (SAGAN: Zhang et al., ICML 2019, arXiv:1805.08318)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Lets every place of a feature map (N, C, H, W) look at all others; adds gamma times what it finds.

    gamma starts at zero, so a network begins as if the block were not there. Queries and keys have C / 8 channels
    and are not scaled, as in the paper.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.query = nn.Conv2d(channels, inner, 1)
        self.key = nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (layer(x).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value))
        found = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.gamma * found.transpose(1, 2).reshape(x.shape)

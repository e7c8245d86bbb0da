"""DiscoGAN's networks: a plain convolutional encoder-decoder, and a discriminator that shows its features.

Architecture and parameter counts are those of the authors' code (github.com/SKTBrain/DiscoGAN, model.py).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from .strided import Doubling, Halving


def _widths(width: int, halvings: int) -> list[int]:
    return [width * min(2**level, 8) for level in range(halvings)]


class EncoderDecoder(nn.Sequential):
    """(N, channels_in, S, S) to (N, channels_out, S, S) in [0, 1], with no path around the bottleneck; batch norm.

    S is a multiple of `2**halvings`. Published at 64 pixels with 4 halvings, which leave 4 x 4.
    """

    def __init__(self, channels_in: int, channels_out: int, width: int = 64, halvings: int = 4) -> None:
        widths = _widths(width, halvings)
        layers: list[nn.Module] = []
        for level, (outer, inner) in enumerate(pairwise([channels_in, *widths])):
            layers += [Halving(outer, inner, bias=False)]
            layers += [nn.BatchNorm2d(inner)] if level else []
            layers += [nn.LeakyReLU(0.2)]
        for inner, outer in pairwise(widths[::-1]):
            layers += [Doubling(inner, outer, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]
        super().__init__(*layers, Doubling(width, channels_out, bias=False), nn.Sigmoid())


class FeatureDiscriminator(nn.Module):
    """(N, channels, S, S) to scores (N, 1, P, P), unbounded, and the features of all layers but the first.

    `P = S / 2**halvings - 3`: one score at the published 64 pixels and 4 halvings; batch norm.
    """

    def __init__(self, channels: int, width: int = 64, halvings: int = 4) -> None:
        super().__init__()
        widths = _widths(width, halvings)
        self.first = nn.Sequential(Halving(channels, width, bias=False), nn.LeakyReLU(0.2))
        self.layers = nn.ModuleList(
            nn.Sequential(Halving(outer, inner, bias=False), nn.BatchNorm2d(inner), nn.LeakyReLU(0.2))
            for outer, inner in pairwise(widths)
        )
        self.score = nn.Conv2d(widths[-1], 1, 4, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, features = self.first(x), []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return self.score(x), features


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Sum over layers of the squared difference of the batches' mean features (Salimans et al. 2016)."""
    first, *others = ((r.mean(0) - f.mean(0)).square().mean() for r, f in zip(real, fake, strict=True))
    return sum(others, start=first)

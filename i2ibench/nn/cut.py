"""Networks and loss of CUT: an anti-aliased residual generator and PatchGAN, and the patchwise contrastive loss.

Architecture and parameter counts are those of the authors' code (github.com/taesungp/contrastive-unpaired-translation,
networks.py and patchnce.py): nothing is strided, each halving and doubling is a fixed blur (Zhang 2019,
arXiv:1904.11486).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .norms import InstanceNorm2d, instance_norm
from .resnet import ResidualBlock


class BlurDown(nn.Module):
    """(N, C, S, S) to half the size (rounded up), by [1, 2, 1] in both directions with reflection at the rim."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(line, line)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.to(x).expand(x.shape[1], -1, -1, -1)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=x.shape[1])


class BlurUp(nn.Module):
    """(N, C, S, S) to twice the size, by [1, 3, 3, 1] in both directions with the rim repeated."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(line, line)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.to(x).expand(x.shape[1], -1, -1, -1)
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(padded, kernel, stride=2, padding=2, groups=x.shape[1])[..., 1:-1, 1:-1]


class BlurResNet(nn.Module):
    """The generator of CUT: (N, channels_in, S, S) to (N, channels_out, S, S) in [-1, 1]; S is a multiple of 4.

    With 9 blocks it is the authors' `resnet_9blocks`: CycleGAN's with blurs in place of strides, instance norm.
    """

    def __init__(self, channels_in: int, channels_out: int, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        self.width = width
        self.stem = nn.Conv2d(channels_in, width, 7, padding=3, padding_mode="reflect")
        self.down = nn.ModuleList(nn.Conv2d(wide, 2 * wide, 3, padding=1) for wide in (width, 2 * width))
        self.blocks = nn.ModuleList(ResidualBlock(4 * width, "instance") for _ in range(blocks))
        self.up = nn.ModuleList(nn.Conv2d(wide, wide // 2, 3, padding=1) for wide in (4 * width, 2 * width))
        self.head = nn.Conv2d(width, channels_out, 7, padding=3, padding_mode="reflect")
        self.blur_down, self.blur_up = BlurDown(), BlurUp()
        self.taps = sorted({0, min(4, blocks - 1)})  # residual blocks whose outputs are compared

    @property
    def feature_channels(self) -> list[int]:
        """Channels of each of the `features`."""
        return [self.stem.in_channels, 2 * self.width, 4 * self.width, *(4 * self.width for _ in self.taps)]

    def forward(self, x: Tensor) -> Tensor:
        _, x = self._halve(x)
        for block in self.blocks:
            x = block(x)
        for conv in self.up:
            x = F.relu(instance_norm(conv(self.blur_up(x))))
        return self.head(x).tanh()

    def features(self, x: Tensor) -> list[Tensor]:
        """What the contrastive loss compares (layers 0, 4, 8, 12 and 16 of the code), from small patches to large.

        The padded image, both halving convolutions before their norm, and the first and fifth residual block (or the
        last, if there are fewer).
        """
        seen, x = self._halve(x)
        for number, block in enumerate(self.blocks[: self.taps[-1] + 1]):
            x = block(x)
            if number in self.taps:
                seen.append(x)
        return seen

    def _halve(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The first three of the features, and what the residual blocks get."""
        seen = [F.pad(x, (3, 3, 3, 3), mode="reflect")]
        x = F.relu(instance_norm(self.stem(x)))
        for conv in self.down:
            x = conv(x)
            seen.append(x)
            x = self.blur_down(F.relu(instance_norm(x)))
        return seen, x


class BlurPatchGAN(nn.Sequential):
    """The discriminator of CUT, instance norm: (N, channels_in, S, S) to scores (N, 1, P, P); S >= 3 * 2**layers.

    A `PatchGAN` whose halvings are blurs. `layers`: how many of them; the code has 3.
    """

    def __init__(self, channels_in: int, width: int = 64, layers: int = 3) -> None:
        modules: list[nn.Module] = [nn.Conv2d(channels_in, width, 4, padding=1), nn.LeakyReLU(0.2), BlurDown()]
        wide = width
        for layer in range(1, layers + 1):
            narrow, wide = wide, width * min(2**layer, 8)
            modules += [nn.Conv2d(narrow, wide, 4, padding=1), InstanceNorm2d(wide), nn.LeakyReLU(0.2)]
            modules += [BlurDown()] if layer < layers else []
        super().__init__(*modules, nn.Conv2d(wide, 1, 4, padding=1))


class PatchContrast(nn.Module):
    """The patchwise contrastive loss with its two-layer perceptrons H_l, one per layer of features (PatchNCE).

    Args:
        channels: of each layer of features.
        width: numbers that each patch is described by, on a sphere.
        patches: places drawn at random in each layer, the same in all images; all places where there are fewer.
        temperature: by which the cosine similarities are divided.
    """

    def __init__(self, channels: list[int], width: int = 256, patches: int = 256, temperature: float = 0.07) -> None:
        super().__init__()
        self.patches, self.temperature = patches, temperature
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(c, width), nn.ReLU(), nn.Linear(width, width)) for c in channels
        )

    def forward(self, output: list[Tensor], source: list[Tensor]) -> Tensor:
        """How badly each patch of the output picks the source's patch at its own place among those of the same image.

        Both are features of images, (N, C_l, H_l, W_l) for each layer l. The mean cross-entropy over patches and
        layers; only the output's features get gradients.
        """
        layers = zip(self.heads, output, source, strict=True)
        return torch.stack([self._layer(head, out, src) for head, out, src in layers]).mean()

    def _layer(self, head: nn.Module, output: Tensor, source: Tensor) -> Tensor:
        output, source = output.flatten(2).transpose(1, 2), source.flatten(2).transpose(1, 2)  # (N, places, C)
        places = torch.randperm(output.shape[1], device=output.device)[: self.patches]
        with torch.no_grad():
            keys = F.normalize(head(source[:, places]).float(), dim=2)
        queries = F.normalize(head(output[:, places]).float(), dim=2)
        return patch_nce(queries, keys, self.temperature)


def patch_nce(queries: Tensor, keys: Tensor, temperature: float = 0.07) -> Tensor:
    """InfoNCE within each image: unit vectors (N, patches, D), whose right answer for query i is key i; a scalar."""
    with torch.autocast(queries.device.type, enabled=False):  # a rounded cosine, divided by 0.07, is far off
        similarities = torch.bmm(queries.float(), keys.detach().float().transpose(1, 2)) / temperature
    answers = torch.arange(similarities.shape[1], device=similarities.device).expand(similarities.shape[:2])
    return F.cross_entropy(similarities.flatten(0, 1), answers.flatten())

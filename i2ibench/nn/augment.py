"""DiffAugment: what the discriminator sees is disturbed at random, fakes as much as real images.

Zhao, Liu, Lin, Zhu and Han, "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020,
arXiv:2006.10738. With little data a discriminator learns the images by heart; here it never sees one twice. As the
disturbances are differentiable, the generator learns through them. Strengths are those of the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Augmentation = Literal["color", "translation", "cutout"]

SHIFT = 1 / 8  # of the width and height, the farthest that an image is moved
HOLE = 1 / 2  # of the width and height that is cut out


def diffaugment(x: Tensor, policy: Sequence[Augmentation]) -> Tensor:
    """Disturb images (N, C, H, W) in [-1, 1], each by its own draw from torch's global generator.

    Several images of three channels that stand one upon the other (a condition and its image, say) share the draw.
    """
    for name in policy:
        x = _AUGMENTATIONS[name](x)
    return x


def color(x: Tensor) -> Tensor:
    """Brightness plus U(-0.5, 0.5), saturation times U(0, 2), contrast times U(0.5, 1.5)."""
    n, channels, height, width = x.shape
    stack = x.reshape(n, -1, 3 if channels % 3 == 0 else channels, height, width)
    brightness, saturation, contrast = torch.rand(3, n, 1, 1, 1, 1, dtype=x.dtype, device=x.device)
    stack = stack + brightness - 0.5
    grey = stack.mean(2, keepdim=True)
    stack = grey + (stack - grey) * (2 * saturation)
    level = stack.mean((2, 3, 4), keepdim=True)
    return (level + (stack - level) * (contrast + 0.5)).reshape(x.shape)


def translation(x: Tensor) -> Tensor:
    """Moved by up to an eighth in both directions; zeros (grey) come in from the rim."""
    size = x.shape[2:]
    far = [int(edge * SHIFT + 0.5) for edge in size]
    rows, columns = (
        torch.arange(edge, device=x.device) + torch.randint(-most, most + 1, (len(x), 1), device=x.device)
        for edge, most in zip(size, far, strict=True)
    )
    inside = ((rows >= 0) & (rows < size[0]))[:, :, None] & ((columns >= 0) & (columns < size[1]))[:, None, :]
    each = torch.arange(len(x), device=x.device)[:, None, None]
    moved = x.movedim(1, 3)[each, rows.clamp(0, size[0] - 1)[:, :, None], columns.clamp(0, size[1] - 1)[:, None, :]]
    return moved.movedim(3, 1) * inside[:, None].to(x.dtype)


def cutout(x: Tensor) -> Tensor:
    """A square of half the width and height, anywhere and partly outside, is set to zero (grey)."""
    holes = []
    for edge in x.shape[2:]:
        hole = int(edge * HOLE + 0.5)
        start = torch.randint(0, edge + 1 - hole % 2, (len(x), 1), device=x.device) - hole // 2
        place = torch.arange(edge, device=x.device)
        holes.append((place >= start) & (place < start + hole))
    return x * ~(holes[0][:, :, None] & holes[1][:, None, :])[:, None]


_AUGMENTATIONS = {"color": color, "translation": translation, "cutout": cutout}

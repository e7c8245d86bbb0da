"""Colour jitter of training images, for a whole batch at once and on its device."""

from __future__ import annotations

import numpy as np
from torch import Tensor

GREY = (0.2989, 0.587, 0.114)  # of R, G and B, as torchvision has it


def factors(seed: int, step: int, stream: int, count: int, strength: float) -> np.ndarray:
    """Of each image of a step's batch, how much of brightness, contrast and saturation to keep: float32 (count, 3).

    Each is drawn evenly from 1 - strength to 1 + strength, as a pure function of the other arguments.
    """
    rng = np.random.default_rng([seed, stream, step, 3])
    return rng.uniform(1 - strength, 1 + strength, (count, 3)).astype(np.float32)


def jittered(images: Tensor, kept: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [-1, 1] with brightness, contrast and saturation changed in this order by (N, 3) factors.

    As torchvision's `adjust_brightness`, `adjust_contrast` and `adjust_saturation` on images in [0, 1].
    """
    x = (images + 1) / 2
    brightness, contrast, saturation = kept[:, :, None, None, None].unbind(1)
    x = (brightness * x).clamp(0, 1)
    x = (contrast * x + (1 - contrast) * _grey(x).mean((1, 2, 3), keepdim=True)).clamp(0, 1)
    x = (saturation * x + (1 - saturation) * _grey(x)).clamp(0, 1)
    return 2 * x - 1


def _grey(x: Tensor) -> Tensor:
    # By numbers: a tensor of them would have to be sent to the device each time, and wait for it.
    return sum(weight * channel for weight, channel in zip(GREY, x.split(1, dim=1), strict=True))  # type: ignore[return-value]

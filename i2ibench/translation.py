"""Puts images through a trained method, and lets nothing pass that is not an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from i2ibench.data.batches import to_float, to_uint8
from i2ibench.errors import TrialError
from i2ibench.method import Method

TRANSLATE_BATCH = 32


def translate(
    method: Method, images: np.ndarray, seed: int, device: torch.device, *, backward: bool = False
) -> np.ndarray:
    """Translate uint8 images (N, H, W, 3), from A to B or backward.

    Noise, and dropout where the method keeps it on, come from the seed.
    A method whose batch statistics stay on sees one image at a time, so that an output depends on its input alone.

    Raises:
        TrialError: the method gave no image, one of another shape, or values that are not finite and in [-1, 1].
    """
    rng = torch.Generator(device).manual_seed(seed)
    torch.manual_seed(seed)
    size = 1 if method.inference == "train" else TRANSLATE_BATCH
    for module in method.modules().values():
        module.train(method.inference == "train")
    go: Any = method.translate_back if backward else method.translate
    outputs = []
    with torch.inference_mode():
        for start in range(0, len(images), size):
            batch = to_float(images[start : start + size], device)
            output = _checked(go(batch, rng=rng), batch, start)
            outputs.append(to_uint8(output))
    return np.concatenate(outputs)


def _checked(output: Any, batch: torch.Tensor, first: int) -> torch.Tensor:
    """The output of a method, if it is one image in [-1, 1] for each of the batch's."""
    if not isinstance(output, torch.Tensor) or output.shape != batch.shape:
        got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise TrialError(f"translate() gave {got} for images of shape {tuple(batch.shape)}; one image each, please")
    if not torch.isfinite(output).all():
        raise TrialError(f"translate() gave NaN or infinite values for a test image from number {first} on")
    low, high = float(output.min()), float(output.max())
    if low < -1.001 or high > 1.001:  # a hair beyond is rounding
        raise TrialError(f"translate() gave values from {low:.3g} to {high:.3g}; images lie in [-1, 1] (tanh or clamp)")
    return output

"""The resize of the clean protocol: what the clean-fid package does before the network sees an image."""

from __future__ import annotations

import numpy as np
from PIL import Image


def clean(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 (N, H, W, 3) -> float32 (N, size, size, 3) in [0, 255], not rounded to whole grey levels.

    Bicubic and antialiased, each channel alone as float32, by PIL (Parmar et al., On Aliased Resizing, CVPR 2022).
    """

    def channel(values: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(values).resize((size, size), Image.Resampling.BICUBIC))

    resized = [np.stack([channel(values) for values in image], axis=-1) for image in _channels(images)]
    return np.clip(np.stack(resized), 0, 255)


def _channels(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(images, -1, 1), dtype=np.float32)

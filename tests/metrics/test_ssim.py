"""SSIM is scikit-image's to the rounding of float64, at any size and number of channels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from i2ibench.metrics.ssim import ssim


@pytest.mark.parametrize("shape", [(11, 11), (11, 43, 3), (58, 26, 1), (64, 64, 3), (37, 90)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_it_is_scikit_images(shape: tuple[int, ...], dtype: type) -> None:
    rng = np.random.default_rng(0)
    a, noise = (255 * gaussian_filter(rng.random(shape), (1, 1, 0)[: len(shape)]) for _ in range(2))
    a, b = a.astype(dtype), (0.7 * a + 0.3 * noise).astype(dtype)
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = structural_similarity(a, b, channel_axis=-1 if len(shape) == 3 else None, **window)
    assert 0.1 < expected < 0.95
    assert ssim(a, b) == pytest.approx(expected, rel=1e-12)


def test_images_without_structure_and_its_opposite() -> None:
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    assert ssim(white, white) == ssim(black, black) == 1
    assert ssim(black, white) == pytest.approx((0.01 * 255) ** 2 / (255**2 + (0.01 * 255) ** 2))
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    assert ssim(noise, 255 - noise) < -0.9

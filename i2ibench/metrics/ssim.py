"""SSIM as Wang et al. (TIP 2004) define it and scikit-image computes it, to the rounding of float64, in less time."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from i2ibench.metrics.catalog import SSIM_WINDOW

SIGMA = 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BLOCK = 32  # means that one matrix product gives along an axis: a whole row's would multiply by zeros for the most part


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over channels and over the 11 x 11 Gaussian windows within two images (H, W) or (H, W, C) in 0 to 255.

    `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)` of
    scikit-image, where what the border is filled with counts for nothing either. Variances enter as their sum alone,
    so four planes are filtered and not five.
    """
    x, y = (np.atleast_3d(image).transpose(2, 0, 1).astype(np.float64) for image in (a, b))
    mean_x, mean_y, product, squares = _means(np.stack([x, y, x * y, x * x + y * y]))
    of_means, squared_means = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    above = (2 * of_means + C1) * (2 * (product - of_means) + C2)
    below = (squared_means + C1) * (squares - squared_means + C2)
    return float((above / below).mean())


def _means(planes: np.ndarray) -> np.ndarray:
    """Gaussian means (..., H - 10, W - 10) of planes (..., H, W), along one axis after the other."""
    margin = SSIM_WINDOW - 1
    *others, height, width = planes.shape
    tall, found = np.empty((*others, height - margin, width)), np.empty((*others, height - margin, width - margin))
    for start in range(0, height - margin, BLOCK):
        rows = slice(start, min(start + BLOCK, height - margin))
        seen = slice(start, rows.stop + margin)
        tall[..., rows, :] = _band(rows.stop - start) @ planes[..., seen, :]
    for start in range(0, width - margin, BLOCK):
        columns = slice(start, min(start + BLOCK, width - margin))
        seen = slice(start, columns.stop + margin)
        found[..., columns] = tall[..., seen] @ _band(columns.stop - start).T
    return found


@lru_cache
def _band(count: int) -> np.ndarray:
    """The window's weights in each of `count` places, (count, count + 10)."""
    window = np.exp(-0.5 * ((np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2) / SIGMA) ** 2)
    band = np.zeros((count, count + SSIM_WINDOW - 1))
    for place in range(count):
        band[place, place : place + SSIM_WINDOW] = window / window.sum()
    return band

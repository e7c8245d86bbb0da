"""PSNR and SSIM as papers on super-resolution report them: on luminance, with the border cut off."""

from __future__ import annotations

from functools import partial

import numpy as np
from skimage.color import rgb2ycbcr
from skimage.metrics import structural_similarity

from i2ibench.data.images import ImageSet
from i2ibench.metrics.images import PSNR_CAP


def luminance(image: np.ndarray, border: int) -> np.ndarray:
    """Y of BT.601 in 16 to 235, float64 (H - 2 border, W - 2 border), of an image uint8 (H, W, 3).

    As MATLAB's `255 * rgb2ycbcr(im2double(image))`, which is not rounded to 8 bits; so do RCAN's scripts and BasicSR.
    """
    inside = image[border : image.shape[0] - border, border : image.shape[1] - border]
    return rgb2ycbcr(inside)[..., 0]


def psnr_y_values(generated: ImageSet, reference: ImageSet, border: int) -> np.ndarray:
    """PSNR of each pair in dB against a peak of 255, at most 100, float64 (N,)."""
    pairs = zip(generated, reference, strict=True)
    errors = np.array([np.square(luminance(a, border) - luminance(b, border)).mean() for a, b in pairs])
    with np.errstate(divide="ignore"):  # identical images
        return np.minimum(10 * np.log10(255**2 / errors), PSNR_CAP)


def ssim_y_values(generated: ImageSet, reference: ImageSet, border: int) -> np.ndarray:
    """SSIM of each pair, float64 (N,): mean over the 11 x 11 Gaussian windows within the image (Wang et al. 2004)."""
    ssim = partial(structural_similarity, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    pairs = zip(generated, reference, strict=True)
    return np.array([ssim(luminance(b, border), luminance(a, border)) for a, b in pairs])

"""PSNR and SSIM as papers on super-resolution report them: on luminance, with the border cut off."""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2ycbcr

from i2ibench.data.images import ImageSet
from i2ibench.data.resize import resample, to_bytes
from i2ibench.metrics.images import PSNR_CAP
from i2ibench.metrics.ssim import ssim


def luminance(image: np.ndarray, border: int) -> np.ndarray:
    """Y of BT.601 in 16 to 235, float64 (H - 2 border, W - 2 border), of an image uint8 (H, W, 3).

    As MATLAB's `255 * rgb2ycbcr(im2double(image))`, which is not rounded to 8 bits; so do RCAN's scripts and BasicSR.
    Older papers rounded it: see benchmarks/bicubic.py, and benchmarks/RESULTS.md for what that moves.
    """
    inside = image[border : image.shape[0] - border, border : image.shape[1] - border]
    return rgb2ycbcr(inside)[..., 0]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR of two planes (H, W) in dB against a peak of 255, at most 100."""
    with np.errstate(divide="ignore"):  # identical images
        return min(float(10 * np.log10(255**2 / np.square(np.subtract(a, b, dtype=np.float64)).mean())), PSNR_CAP)


def bicubic(plane: np.ndarray, scale: int, border: int) -> tuple[float, float]:
    """PSNR and SSIM of the row "bicubic" of published tables: a plane shrunk by `scale`, enlarged, against itself.

    They go back to SRCNN's code: luminance alone, rounded to 8 bits before it is shrunk and again when it is enlarged,
    but not between. On Set5 these are theirs to the last digit: 33.66 / 0.9299 at x2, 30.39 / 0.8682 at x3 and 28.42 /
    0.8104 at x4 (EDSR, table 3).

    Args:
        plane: uint8 (H, W): `rounded` of an RGB image, a grey one as it is; cropped to a multiple of the scale here.
    """
    height, width = (edge // scale for edge in plane.shape)
    original = plane[: height * scale, : width * scale]
    enlarged = to_bytes(resample(resample(original, (height, width)), (height * scale, width * scale)))
    inside = (slice(border, original.shape[0] - border), slice(border, original.shape[1] - border))
    return psnr(enlarged[inside], original[inside]), ssim(enlarged[inside], original[inside])


def rounded(image: np.ndarray) -> np.ndarray:
    """Y of BT.601, uint8 (H, W), as MATLAB's rgb2ycbcr of an image uint8 (H, W, 3) gives it."""
    return to_bytes(luminance(image, 0))


def psnr_y_values(generated: ImageSet, reference: ImageSet, border: int) -> np.ndarray:
    """PSNR of the luminance of each pair in dB, float64 (N,)."""
    pairs = zip(generated, reference, strict=True)
    return np.array([psnr(luminance(a, border), luminance(b, border)) for a, b in pairs])


def ssim_y_values(generated: ImageSet, reference: ImageSet, border: int) -> np.ndarray:
    """SSIM of the luminance of each pair, float64 (N,)."""
    pairs = zip(generated, reference, strict=True)
    return np.array([ssim(luminance(a, border), luminance(b, border)) for a, b in pairs])

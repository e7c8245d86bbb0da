"""Bicubic resizing as the super-resolution benchmarks do it: MATLAB's imresize, antialiased, mirrored at the border."""

from __future__ import annotations

from i2ibench.lazy import np


def imresize(image: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3) -> (size, size, 3), rounded at the end only, as MATLAB's `imresize(image, [size size])`.

    `size` may be (height, width) too.

    Cubic kernel with a = -0.5 (Keys 1981), widened by the scale where it shrinks. Pillow's BICUBIC has the same kernel,
    but cuts it off at the border where MATLAB mirrors the image, and rounds once more between its two passes.
    """
    return to_bytes(resample(image, size))


def resample(image: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """The same without rounding: (H, W) or (H, W, C) -> float64 of that size, as MATLAB's imresize of doubles."""
    height, width = image.shape[:2]
    to_height, to_width = (size, size) if isinstance(size, int) else size
    rows, columns = _weights(height, to_height), _weights(width, to_width)
    pixels = np.einsum("yh,hw...->yw...", rows, image.astype(np.float64), optimize=True)
    return np.einsum("xw,yw...->yx...", columns, pixels, optimize=True)


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Floats in 0 to 255 as uint8; MATLAB rounds halves up."""
    return np.clip(np.floor(pixels + 0.5), 0, 255).astype(np.uint8)


def _weights(length: int, size: int) -> np.ndarray:
    """(size, length): what each input pixel gives to each output pixel. Rows sum to 1."""
    scale = size / length
    widening = max(1.0, 1 / scale)
    centre = (np.arange(size) + 0.5) / scale - 0.5  # of each output pixel, in input pixels
    reach = int(np.ceil(2 * widening)) + 1
    taps = np.floor(centre).astype(int)[:, None] + np.arange(-reach, reach + 1)
    weights = _cubic((centre[:, None] - taps) / widening)
    weights /= weights.sum(axis=1, keepdims=True)
    period = taps % (2 * length)
    mirrored = np.where(period < length, period, 2 * length - 1 - period)
    matrix = np.zeros((size, length))
    np.add.at(matrix, (np.arange(size)[:, None], mirrored), weights)
    return matrix


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))

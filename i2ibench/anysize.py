"""Puts images of any size through a network that takes some sizes only: padded, in tiles that overlap, or resized."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias, get_args

import numpy as np

Fit: TypeAlias = Literal["auto", "pad", "tile", "resize"]
FITS = get_args(Fit)
Run: TypeAlias = Callable[[np.ndarray], np.ndarray]  # uint8 (N, h, w, 3) -> (N, k, h, w, 3), at a size that suits


def least_multiple(run: Run, size: int) -> int | None:
    """What edges must be multiples of, for a network trained at `size`; None: it takes that size alone.

    It is found by trying: an image of the trained size, wider by 1, 2, 4, ... pixels.
    """

    def takes(more: int) -> bool:
        probe = np.random.default_rng(0).integers(0, 256, (1, size, size + more, 3), np.uint8)
        try:
            run(probe)
        except Exception as error:  # a method file may raise anything on a size that it was not written for
            from i2ibench.memory import is_out_of_memory  # which knows torch

            if is_out_of_memory(error):
                raise
            return False
        return True

    return next((multiple for multiple in _candidates(size) if takes(multiple)), None)


def fitted(run: Run, images: np.ndarray, size: int, multiple: int | None) -> np.ndarray:
    """Padded to a multiple, or, where the network takes its own size alone (None), in tiles of that size.

    Args:
        images: uint8 (N, H, W, 3).

    Returns:
        uint8 (N, k, H, W, 3).
    """
    if images.shape[1:3] == (size, size):
        return run(images)
    return tiled(run, images, size, None) if multiple is None else padded(run, images, multiple, size)


def padded(run: Run, images: np.ndarray, multiple: int, least: int) -> np.ndarray:
    """Mirror images at their borders until both edges are multiples and no less than `least`; cut the outputs back.

    Args:
        images: uint8 (N, H, W, 3).

    Returns:
        uint8 (N, k, H, W, 3).
    """
    height, width = images.shape[1:3]
    (top, bottom), (left, right) = (_margins(edge, multiple, least) for edge in (height, width))
    if not top + bottom + left + right:
        return run(images)
    larger = np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), "reflect")
    return run(larger)[:, :, top : top + height, left : left + width]


def tiled(run: Run, images: np.ndarray, size: int, multiple: int | None) -> np.ndarray:
    """Cut images into tiles of `size` pixels that overlap by a quarter or more, and blend the outputs where they do.

    Weights grow linearly from the border of a tile to the end of the overlap. Images smaller than a tile are mirrored
    at their borders. What a network makes of a tile may hang on all of it (instance norm, attention), so that tiles
    of one image can differ in tone. They begin on the grid of a network that shrinks the image, whose edges must be
    multiples of `multiple`, as far as the overlap allows.

    Args:
        images: uint8 (N, H, W, 3).

    Returns:
        uint8 (N, k, H, W, 3).
    """
    grid = min(multiple or 1, max(1, size // 4))
    return np.concatenate(
        [padded(lambda one: _tiled(run, one, size, grid), image[None], grid, size) for image in images]
    )


def resized(run: Run, images: np.ndarray, size: int) -> np.ndarray:
    """Squash images to `size` x `size` pixels as training did, and bring the outputs to the images' size (bicubic).

    Args:
        images: uint8 (N, H, W, 3).

    Returns:
        uint8 (N, k, H, W, 3).
    """
    height, width = images.shape[1:3]
    outputs = run(np.stack([_scaled(image, size, size) for image in images]))
    flat = [_scaled(output, height, width) for styles in outputs for output in styles]
    return np.stack(flat).reshape(*outputs.shape[:2], height, width, 3)


def _candidates(size: int) -> Iterator[int]:
    """1, 2, 4, ... as long as they divide the size; and the size."""
    power = 1
    while size % power == 0 and power < size:
        yield power
        power *= 2
    yield size


def _margins(edge: int, multiple: int, least: int) -> tuple[int, int]:
    """Pixels to add before and after an edge: those before keep the image on the grid of a network that shrinks it."""
    missing = max(-(-edge // multiple) * multiple, -(-least // multiple) * multiple) - edge
    before = missing // 2 // multiple * multiple
    return before, missing - before


def _tiled(run: Run, image: np.ndarray, size: int, grid: int) -> np.ndarray:
    """One image (1, H, W, 3), no smaller than a tile."""
    height, width = image.shape[1:3]
    places = [(y, x) for y in _starts(height, size, grid) for x in _starts(width, size, grid)]
    if len(places) == 1:
        return run(image)
    outputs = run(np.stack([image[0, y : y + size, x : x + size] for y, x in places]))
    ramp = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).clip(max=max(1, size // 4)).astype(np.float32)
    weight = np.outer(ramp, ramp)[..., None]
    total = np.zeros((outputs.shape[1], height, width, 3), np.float32)
    weights = np.zeros((height, width, 1), np.float32)
    for (y, x), output in zip(places, outputs, strict=True):
        total[:, y : y + size, x : x + size] += output * weight
        weights[y : y + size, x : x + size] += weight
    return np.rint(total / weights).astype(np.uint8)[None]


def _starts(length: int, size: int, grid: int) -> list[int]:
    """Where tiles begin: evenly spaced but on the grid, from 0 to the end, about a quarter of a tile or more shared."""
    count = 1 + -(-(length - size) // max(1, size - size // 4))
    return [i * (length - size) // max(1, count - 1) // grid * grid for i in range(count - 1)] + [length - size]


def _scaled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))

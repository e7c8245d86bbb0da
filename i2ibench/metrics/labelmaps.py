"""Label maps: colours become classes by the nearest colour of a palette, and are compared as in FCN and pix2pix.

With n_ij pixels of class i that are taken for class j, over all pixels of all images (Long, Shelhamer and Darrell, CVPR
2015, section 5, and their score.py; the FCN-score of Isola et al., CVPR 2017, is the same on segmented outputs):

    pixel accuracy    sum_i n_ii / sum_ij n_ij
    class accuracy    mean of n_ii / sum_j n_ij over the classes that the truth has
    mean IoU          mean of n_ii / (sum_j n_ij + sum_j n_ji - n_ii) over the classes that the truth or the output has

pix2pix's own code (scripts/eval_cityscapes/util.py) counts a class that no image has as 0 in the means; FCN's leaves it
out, as is done here. They are the same where every class occurs.
"""

from __future__ import annotations

import numpy as np

from i2ibench.data.labels import Palette


def decode(images: np.ndarray, palette: Palette) -> np.ndarray:
    """The class of each pixel, uint8 (N, H, W): that of the nearest colour in RGB, the first of equally near ones.

    Args:
        images: uint8 (N, H, W, 3).
    """
    found = np.empty(images.shape[:-1], np.uint8)
    for out, image in zip(found, images, strict=True):  # one at a time: they may be large, or memory-mapped
        pixels = image.astype(np.int32)
        nearest = np.full(out.shape, np.iinfo(np.int32).max, np.int32)
        for i, colour in enumerate(palette.colours):
            distance = ((pixels - np.array(colour, np.int32)) ** 2).sum(axis=-1)
            out[distance < nearest] = i
            np.minimum(nearest, distance, out=nearest)
    return found


def confusions(truth: np.ndarray, output: np.ndarray, classes: int) -> np.ndarray:
    """How many pixels of class i are taken for class j in each image: int64 (N, classes, classes) as [n, i, j].

    Args:
        truth, output: class indices (N, H, W).
    """
    both = zip(truth, output, strict=True)
    counts = [np.bincount(classes * t.ravel().astype(np.int64) + o.ravel(), minlength=classes**2) for t, o in both]
    return np.stack(counts).reshape(-1, classes, classes)


def scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Pixel accuracy, class accuracy and mean IoU in [0, 1] from confusions (..., classes, classes), of shape (...)."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    truth, output = confusion.sum(axis=-1), confusion.sum(axis=-2)
    return {
        "pixel_accuracy": right.sum(axis=-1) / truth.sum(axis=-1),
        "class_accuracy": _mean_where(right, truth),
        "mean_iou": _mean_where(right, truth + output - right),
    }


def score(confusion: np.ndarray, name: str) -> np.ndarray:
    """One of `scores`."""
    return scores(confusion)[name]


def _mean_where(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The mean over the last axis of part / whole, where there is a whole."""
    shares = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return shares.sum(axis=-1) / (whole > 0).sum(axis=-1)

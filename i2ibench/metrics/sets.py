"""Metrics that compare two sets of images through their features, with their intervals; and KID itself."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from i2ibench.metrics import frechet, intervals, manifold
from i2ibench.metrics.intervals import Interval
from i2ibench.metrics.protocol import Protocol

ROWS = 1024  # of a kernel matrix that are in memory at once
OF_MANIFOLDS = ("precision", "recall", "density", "coverage")


def scores(
    generated: Tensor, reference: Tensor, metrics: Collection[str], protocol: Protocol, *, paired: bool
) -> tuple[dict[str, float], dict[str, Interval]]:
    """Those of `metrics` that compare features (N, D) and (M, D), and their intervals.

    Args:
        paired: generated[i] was made for reference[i], so that they are drawn together.
    """
    values: dict[str, float] = {}
    spread: dict[str, Interval] = {}
    if "fid" in metrics:
        fid = frechet.compare(generated, reference)
        drawn = [fid.of_generated, fid.of_reference]
        values["fid"] = fid.value
        spread["fid"] = intervals.of_influences(fid.value, *([drawn[0] + drawn[1]] if paired else drawn))
    if "kid" in metrics:
        subsets = kid(generated, reference, protocol)
        values["kid"] = float(subsets.mean())
        spread["kid"] = intervals.of_subsets(subsets, protocol.kid_size(len(generated), len(reference)))
    if wanted := [name for name in OF_MANIFOLDS if name in metrics]:
        found = manifold.compare(generated, reference, protocol.neighbours, protocol.density_neighbours)
        for name in wanted:
            of_images = getattr(found, name)
            values[name] = float(of_images.mean())
            spread[name] = intervals.of_mean(of_images, "bootstrap over images, neighbourhoods held fixed")
    return values, spread


def kid(generated: Tensor, reference: Tensor, protocol: Protocol) -> np.ndarray:
    """Unbiased MMD² under the kernel (x·y / D + 1)³ of random subsets of features (N, D) and (M, D); KID is their mean.

    torch-fidelity's `kid_features_to_metric` on the same subsets, in float64 (in the features' float32 the sums cancel
    to about four digits) and many times faster: a pair of images meets once, not once in each subset that has both.
    """
    x, y = generated.double(), reference.double()
    size = protocol.kid_size(len(x), len(y))
    rng = np.random.RandomState(protocol.kid_seed)
    in_x, in_y = torch.zeros(protocol.kid_subsets, len(x)).double(), torch.zeros(protocol.kid_subsets, len(y)).double()
    for i in range(protocol.kid_subsets):  # in torch-fidelity's order of drawing
        in_x[i, rng.choice(len(x), size, replace=False)] = 1
        in_y[i, rng.choice(len(y), size, replace=False)] = 1
    within = _pair_sums(x, x, in_x, in_x) + _pair_sums(y, y, in_y, in_y) - in_x @ _diagonal(x) - in_y @ _diagonal(y)
    across = _pair_sums(x, y, in_x, in_y)
    return (within / (size * (size - 1)) - 2 * across / size**2).numpy()


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x·y / D + 1)³ of each of the features (N, D) with each of (M, D): (N, M)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def _pair_sums(x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor) -> Tensor:
    """Sum of the kernel over each subset's pairs, (S,); `in_x` (S, N) and `in_y` (S, M) are 1 for members, else 0."""
    total = x.new_zeros(len(in_x))
    for rows in (slice(start, start + ROWS) for start in range(0, len(x), ROWS)):
        total += ((in_x[:, rows] @ kernel(x[rows], y)) * in_y).sum(dim=1)
    return total


def _diagonal(x: Tensor) -> Tensor:
    return ((x * x).sum(dim=1) / x.shape[1] + 1) ** 3

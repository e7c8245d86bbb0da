"""Metrics that compare two sets of images through their features: FID and KID, as torch-fidelity defines them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from i2ibench.metrics.protocol import Protocol

ROWS = 1024  # of a kernel matrix that are in memory at once


def fid(generated: Tensor, reference: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to features (N, D) and (M, D); by torch-fidelity."""
    statistics = (fid_features_to_statistics(features) for features in (generated, reference))
    return fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]


def kid(generated: Tensor, reference: Tensor, protocol: Protocol) -> float:
    """Mean unbiased MMD² under the kernel (x·y / D + 1)³ over random subsets of features (N, D) and (M, D).

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
    return float((within / (size * (size - 1)) - 2 * across / size**2).mean())


def _pair_sums(x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor) -> Tensor:
    """Sum of the kernel over each subset's pairs, (S,); `in_x` (S, N) and `in_y` (S, M) are 1 for members, else 0."""
    total = x.new_zeros(len(in_x))
    for rows in (slice(start, start + ROWS) for start in range(0, len(x), ROWS)):
        kernel = (x[rows] @ y.T / x.shape[1] + 1) ** 3
        total += ((in_x[:, rows] @ kernel) * in_y).sum(dim=1)
    return total


def _diagonal(x: Tensor) -> Tensor:
    return ((x * x).sum(dim=1) / x.shape[1] + 1) ** 3

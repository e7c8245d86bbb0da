"""Precision, recall, density and coverage: which features of one set lie in the neighbourhoods of the other's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

ROWS = 1024  # of a matrix of distances that are in memory at once
ROUNDING = 1e-10  # of the squared lengths: what is left of the distance between equal images, seen in other batches


@dataclass(frozen=True)
class Manifold:
    """What each image says; the scores are the means. precision and density: (N,) outputs; recall, coverage: (M,)."""

    precision: np.ndarray
    recall: np.ndarray
    density: np.ndarray
    coverage: np.ndarray


def compare(generated: Tensor, reference: Tensor, neighbours: int, density_neighbours: int) -> Manifold:
    """Compare features (N, D) of outputs with (M, D) of real images.

    Args:
        neighbours: k of precision and recall, as torch-fidelity's `prc_neighborhood` (Kynkäänniemi et al., NeurIPS
            2019): the ball around an image reaches to its k-th neighbour in its own set, and includes its surface.
        density_neighbours: k of density and coverage, as prdc's `nearest_k` (Naeem et al., ICML 2020): likewise, the
            surface left out.

    torch-fidelity and prdc, but in float64 and by blocks: 10,000 x 10,000 distances take 80 MB, not 2.4 GB. A set of k
    images or fewer takes its farthest as the k-th.
    """
    origin = reference.double().mean(dim=0)  # near 0 less is lost where lengths cancel
    x, y = generated.double() - origin, reference.double() - origin
    (of_x,) = _radii(x, neighbours)
    of_y, of_y_density = _radii(y, neighbours, density_neighbours)
    precision, density = [], []
    recall = torch.zeros(len(y), dtype=torch.bool)
    nearest = torch.full((len(y),), torch.inf, dtype=torch.float64)
    for rows, squared in _blocks(x, y):
        precision.append((squared <= of_y).any(dim=1))
        density.append((squared < of_y_density).sum(dim=1).double() / density_neighbours)
        recall |= (squared <= of_x[rows, None]).any(dim=0)
        nearest = torch.minimum(nearest, squared.min(dim=0).values)
    found = torch.cat(precision), recall, torch.cat(density), nearest < of_y_density
    return Manifold(*(values.double().numpy() for values in found))


def _radii(x: Tensor, *neighbours: int) -> list[Tensor]:
    """Squared distance of each x (N, D) to its k-th neighbour among the others, (N,), for each k of `neighbours`."""
    found: list[list[Tensor]] = [[] for _ in neighbours]
    for _, squared in _blocks(x, x):
        for parts, k in zip(found, neighbours, strict=True):
            parts.append(squared.kthvalue(min(k + 1, len(x)), dim=1).values)  # the first is the image itself
    return [torch.cat(parts) for parts in found]


def _blocks(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances (rows, M) of slices of x (N, D) to all of y (M, D), free of rounding where they are 0."""
    of_x, of_y = (x * x).sum(dim=1), (y * y).sum(dim=1)
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        lengths = of_x[rows, None] + of_y
        squared = torch.addmm(lengths, x[rows], y.T, alpha=-2)
        yield rows, squared.masked_fill_(squared <= ROUNDING * lengths, 0)

"""FID as torch-fidelity defines it, from one decomposition that also tells what each image does to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Frechet:
    """The Fréchet distance of N outputs and M real images, and its derivatives by each image's weight: (N,), (M,)."""

    value: float
    of_generated: np.ndarray
    of_reference: np.ndarray


def compare(generated: Tensor, reference: Tensor) -> Frechet:
    """|μ₁ - μ₂|² + trace(Σ₁ + Σ₂ - 2 √(Σ₁Σ₂)) of Gaussians fitted to features (N, D) and (M, D).

    With centred features as the rows of A and B, each over the root of its count less one, trace √(Σ₁Σ₂) is the sum of
    the singular values of ABᵀ = USVᵀ: for fewer images than dimensions a small matrix, where torch-fidelity takes the
    eigenvalues of one of D x D (17 s for 663 images and D = 2048 on one core, against half a second). And weighting
    the images anew moves it by half the change of weight times diag(USUᵀ), which stands for the N + M decompositions
    of a jackknife over images.
    """
    x, y = (features.double().numpy() for features in (generated, reference))
    a, b = ((features - features.mean(axis=0)) / np.sqrt(len(features) - 1) for features in (x, y))
    shift = x.mean(axis=0) - y.mean(axis=0)
    (rows_a, back_a), (rows_b, back_b) = _reduced(a), _reduced(b)
    left, stretch, right = np.linalg.svd(rows_a @ rows_b.T, full_matrices=False)
    value = shift @ shift + (a**2).sum() + (b**2).sum() - 2 * stretch.sum()

    def derivative(centred: np.ndarray, share: np.ndarray, towards: np.ndarray) -> np.ndarray:
        spread = len(centred) * ((centred**2).sum(axis=1) - share**2 @ stretch)
        return spread - spread.mean() + 2 * np.sqrt(len(centred) - 1) * centred @ towards

    return Frechet(
        max(0.0, float(value)),  # the rounding of equal sets
        derivative(a, back_a(left), shift),
        derivative(b, back_b(right.T), -shift),
    )


def _reduced(rows: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """At most D rows (N, D) with the same inner products between columns, and the way back to the N."""
    if len(rows) <= rows.shape[1]:
        return rows, lambda reduced: reduced
    turn, triangle = np.linalg.qr(rows)
    return triangle, lambda reduced: turn @ reduced

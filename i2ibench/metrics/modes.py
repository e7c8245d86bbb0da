"""How many of an input's true answers a method finds, where all of them are known (`source: shapes`)."""

from __future__ import annotations

import numpy as np

NEAR = (
    0.5  # an answer counts as a mode's if it is nearer to it than this share of the distance to the nearest other one
)


def mode_values(styles: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and validity of several translations of each input.

    A translation belongs to the true answer that it is nearest to (root mean square over the pixels in which answers
    differ), if it is nearer to it than half the way from there to the next true answer; else it is no valid answer.

    Args:
        styles: n translations of each of M inputs, uint8 (M, n, H, W, 3).
        truths: the K true answers to each, all equally likely, uint8 (K, M, H, W, 3).

    Returns:
        For each input, float64 (M,): the share of its K answers that some translation belongs to, over the share that
        n independent draws from the truth reach on average (so that their mean is 1, though single inputs may have
        more); and the share of translations that belong to any answer.
    """
    answers, inputs = truths.shape[:2]
    count = styles.shape[1]
    attainable = 1 - (1 - 1 / answers) ** count
    coverage, validity = np.empty(inputs), np.empty(inputs)
    for i in range(inputs):
        told = (truths[:, i] != truths[0, i]).any(axis=(0, -1))  # (H, W): where the answers differ
        true = truths[:, i, told].reshape(answers, -1).astype(np.float64)
        given = styles[i][:, told].reshape(count, -1).astype(np.float64)
        apart = _distances(true, true) + np.diag(np.full(answers, np.inf))
        away = _distances(given, true)
        nearest = away.argmin(axis=1)
        valid = away[np.arange(count), nearest] < NEAR * apart.min(axis=1)[nearest]
        found = len(np.unique(nearest[valid])) / answers
        coverage[i], validity[i] = found / attainable, valid.mean()
    return coverage, validity


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean squared difference of each row of a (n, D) to each of b (k, D): (n, k)."""
    return np.stack([np.sqrt(((a - row) ** 2).mean(axis=1)) for row in b], axis=1)

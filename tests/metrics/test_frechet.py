"""FID equals torch-fidelity's and its closed form; its derivatives are those of its definition, and of a jackknife."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from i2ibench.metrics import frechet, intervals

Features = Callable[..., torch.Tensor]


@pytest.mark.parametrize(
    ("n", "m", "dimension"), [(2, 2, 5), (40, 50, 6), (40, 9, 12), (9, 40, 12), (60, 60, 200), (300, 280, 100)]
)
def test_value_equals_torch_fidelity(n: int, m: int, dimension: int, network_features: Features) -> None:
    """Also where there are fewer images than dimensions, in either set."""
    x, y = network_features(n, dimension, 1, 0.5), network_features(m, dimension, 2)
    statistics = (fid_features_to_statistics(features.double()) for features in (x, y))
    expected = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    assert frechet.compare(x, y).value == pytest.approx(expected, rel=1e-6)


def test_value_of_gaussians_has_its_closed_form() -> None:
    """Independent dimensions: |Δμ|² + Σ (σ₁ - σ₂)², here with the samples' own moments."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3))
    x = np.linalg.qr(x - x.mean(axis=0))[0] * np.sqrt(399)  # mean 0, covariance 1, exactly
    y = x * [1.0, 2.0, 0.5] + [0.3, 0.0, -0.4]
    found = frechet.compare(torch.from_numpy(x), torch.from_numpy(y))
    assert found.value == pytest.approx(0.25 + 1.0 + 0.25, rel=1e-9)


def test_equal_sets_are_at_no_distance(network_features: Features) -> None:
    x = network_features(50, 20, 1)
    assert 0 <= frechet.compare(x, x.flip(0)).value < 1e-9


def weighted(x: torch.Tensor, y: torch.Tensor, weights: np.ndarray) -> float:
    """FID by its definition, with a weight on each image of x."""
    x, y = x.double().numpy(), y.double().numpy()
    mean = weights @ x
    covariance = (x - mean).T @ np.diag(weights) @ (x - mean) * len(x) / (len(x) - 1)
    other = np.cov(y, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(covariance @ other).astype(complex)).real.sum()
    return ((mean - y.mean(axis=0)) ** 2).sum() + np.trace(covariance) + np.trace(other) - 2 * roots


@pytest.mark.parametrize(("n", "m", "dimension"), [(40, 50, 6), (40, 9, 12), (9, 40, 12), (9, 8, 12)])
def test_derivatives_are_those_of_the_definition(n: int, m: int, dimension: int, network_features: Features) -> None:
    x, y = network_features(n, dimension, 1, 0.5), network_features(m, dimension, 2)
    found, swapped = frechet.compare(x, y), frechet.compare(y, x)
    step = 1e-4
    for i in range(0, n, 4):
        towards = (np.arange(n) == i) * 1.0
        ahead, behind = (weighted(x, y, (1 - s) / n + s * towards) for s in (step, -step))
        assert found.of_generated[i] == pytest.approx((ahead - behind) / (2 * step), rel=1e-3, abs=1e-3)
    np.testing.assert_allclose(found.of_generated, swapped.of_reference, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.of_reference, swapped.of_generated, rtol=1e-6, atol=1e-6)


def test_standard_error_is_that_of_the_jackknife(network_features: Features) -> None:
    """Images left out one after the other, from each set in its turn."""
    x, y = network_features(60, 5, 3, 0.8), network_features(50, 5, 4)
    variance = 0.0
    for kept, other in ((x, y), (y, x)):
        without = [torch.cat([kept[:i], kept[i + 1 :]]) for i in range(len(kept))]
        values = np.array([frechet.compare(part, other).value for part in without])
        variance += (len(kept) - 1) / len(kept) * ((values - values.mean()) ** 2).sum()
    fid = frechet.compare(x, y)
    found = intervals.of_influences(fid.value, fid.of_generated, fid.of_reference)
    assert found["std"] == pytest.approx(np.sqrt(variance), rel=0.1)

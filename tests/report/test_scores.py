"""The figures of scores: what they compute themselves is what the library gives that takes a second to import."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from i2ibench.report.scores import density


@pytest.mark.parametrize("count", [2, 7, 400])
def test_the_density_of_single_images_is_scipys(count: int) -> None:
    values = np.random.default_rng(count).gamma(2.0, 0.1, count)
    places = np.linspace(values.min(), values.max(), 60)
    ours, theirs = density(values, places), gaussian_kde(values)(places)
    np.testing.assert_allclose(ours / ours.max(), theirs / theirs.max(), rtol=1e-9)

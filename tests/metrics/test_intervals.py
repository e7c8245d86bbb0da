"""Intervals: they hold the truth as often as they say, and equal what they are derived from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import norm

from i2ibench.metrics import frechet, intervals


@pytest.mark.parametrize("paired", [False, True])
def test_fids_interval_is_as_wide_as_its_spread_over_new_images(
    paired: bool, network_features: Callable[..., torch.Tensor]
) -> None:
    """300 sets of new images against the mean of the intervals that each gives by itself; caution is allowed."""
    values, errors = [], []
    for trial in range(300):
        y = network_features(150, 4, 2 * trial)
        x = (
            0.7 * y + 0.5 * network_features(150, 4, 2 * trial + 1)
            if paired
            else network_features(150, 4, 2 * trial + 1, 1.0)
        )
        fid = frechet.compare(x, y)
        values.append(fid.value)
        if trial < 50:
            of_x, of_y = fid.of_generated, fid.of_reference
            errors.append(intervals.of_influences(1.0, *([of_x + of_y] if paired else [of_x, of_y]))["std"])
    assert 0.85 < np.mean(errors) / np.std(values) < 1.4


def test_bootstrap_of_a_mean_is_near_the_normal_one_and_repeats_itself() -> None:
    values = np.random.default_rng(0).gamma(2.0, 1.0, 600)
    found = intervals.of_mean(values)
    reach = norm.ppf(0.975) * values.std(ddof=1) / np.sqrt(len(values))
    assert (found["low"], found["high"]) == pytest.approx((values.mean() - reach, values.mean() + reach), rel=0.02)
    assert found == intervals.of_mean(values)
    assert (found["kind"], found["level"]) == ("bootstrap over images", 0.95)


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.float64, st.integers(2, 40), elements=st.floats(-100, 100)))
def test_bootstrap_lies_within_the_values(values: np.ndarray) -> None:
    found = intervals.of_mean(values)
    room = 1e-9
    assert values.min() - room <= found["low"] <= found["high"] <= values.max() + room


def test_interval_of_subsets_holds_its_share() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    found = intervals.of_subsets(values, 50)
    assert ((found["low"] <= values) & (values <= found["high"])).mean() == pytest.approx(0.95, abs=0.002)
    assert found["std"] == pytest.approx(values.std())
    assert found["kind"] == "subset spread"

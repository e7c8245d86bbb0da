"""Means, Student t intervals and ranks against numbers that were worked out elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from i2ibench.statistics import mean_ranks, ranks, summarise, t_quantile


def test_interval_by_hand() -> None:
    summary = summarise([10.0, 12.0, 14.0])
    assert summary is not None
    assert (summary.mean, summary.sd, summary.n) == (12.0, 2.0, 3)
    assert summary.half_width == pytest.approx(
        4.302652729911275 * 2.0 / 3**0.5
    )  # t table: 4.303 for 2 degrees of freedom


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12).filter(lambda values: np.std(values) > 1e-6))
def test_interval_is_scipys(values: list[float]) -> None:
    summary = summarise(values)
    assert summary is not None
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=scipy.stats.sem(values))
    assert (summary.mean - summary.half_width, summary.mean + summary.half_width) == pytest.approx(
        (low, high), rel=1e-6, abs=1e-6
    )


def test_one_value_has_no_interval_and_none_has_nothing() -> None:
    one = summarise([3.0])
    assert one is not None
    assert (one.mean, one.sd, one.half_width, one.n) == (3.0, None, None, 1)
    assert summarise([]) is None
    assert summarise([float("nan")]) is None


def test_values_that_are_no_numbers_do_not_count() -> None:
    summary = summarise([1.0, float("nan"), 3.0])
    assert summary is not None
    assert (summary.mean, summary.n) == (2.0, 2)


def test_two_seeds_need_nine_standard_deviations() -> None:
    assert t_quantile(2) / 2**0.5 == pytest.approx(8.985, abs=1e-3)


def test_overlap() -> None:
    near, far, single = summarise([1.0, 2.0]), summarise([500.0, 500.1]), summarise([1.5])
    assert near
    assert near.overlaps(summarise([2.0, 3.0])) is True
    assert near.overlaps(far) is False
    assert near.overlaps(single) is None


def test_ranks_follow_the_direction_of_each_metric() -> None:
    means = pd.DataFrame({"fid": [10.0, 20.0, 20.0], "ssim": [0.5, 0.9, 0.7]}, index=["a", "b", "c"])
    result = ranks(means, {"fid": False, "ssim": True})
    assert result["fid"].tolist() == [1.0, 2.5, 2.5]
    assert result["ssim"].tolist() == [3.0, 1.0, 2.0]


def test_mean_rank_orders_and_punishes_what_is_missing() -> None:
    means = pd.DataFrame({"fid": [10.0, 20.0, 1.0], "ssim": [0.5, 0.9, np.nan]}, index=["a", "b", "hidden"])
    result = mean_ranks(means, {"fid": False, "ssim": True})
    assert list(result.index) == ["a", "b", "hidden"]
    assert np.isnan(result["hidden"])
    assert result["a"] == 2.0
    assert result["b"] == 2.0

"""Means, intervals and ranks over seeds: pure functions, so that a claim can be checked without a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # what scipy.stats.t.ppf calls; scipy.stats alone takes a second to import

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """What is known of one quantity from its independent repetitions (seeds).

    `sd` is the sample standard deviation (n - 1 in the denominator); `half_width` that of the two-sided Student t
    interval of the mean. Both are None where n = 1: one run says nothing about the spread.
    """

    mean: float
    sd: float | None
    half_width: float | None
    n: int
    values: tuple[float, ...]

    def overlaps(self, other: Summary) -> bool | None:
        """Whether the two intervals share a value; None where either has no interval."""
        if self.half_width is None or other.half_width is None:
            return None
        return abs(self.mean - other.mean) <= self.half_width + other.half_width


def t_quantile(n: int, confidence: float = CONFIDENCE) -> float:
    """Two-sided quantile of Student's t for a mean of `n` values: half-width = quantile * sd / sqrt(n)."""
    return float(stdtrit(n - 1, 0.5 + confidence / 2))


def summarise(values: Iterable[float], confidence: float = CONFIDENCE) -> Summary | None:
    """Summary of the values that are numbers; None if there is none.

    >>> summarise([1.0, 2.0, 3.0])
    Summary(mean=2.0, sd=1.0, half_width=2.4841377118194677, n=3, values=(1.0, 2.0, 3.0))
    """
    array = np.array([value for value in values if value is not None and np.isfinite(value)], dtype=float)
    if not len(array):
        return None
    if len(array) == 1:
        return Summary(float(array[0]), None, None, 1, (float(array[0]),))
    sd = float(array.std(ddof=1))
    half_width = t_quantile(len(array), confidence) * sd / len(array) ** 0.5
    return Summary(float(array.mean()), sd, half_width, len(array), tuple(array.tolist()))


def ranks(means: pd.DataFrame, higher_is_better: Mapping[str, bool]) -> pd.DataFrame:
    """Rank of each row (method) per column (metric), 1 the best; equal means share the average of their ranks.

    A missing mean has no rank. `higher_is_better` names the direction of every column.
    """
    return pd.DataFrame(
        {
            metric: means[metric].rank(ascending=not higher_is_better[metric], method="average")
            for metric in means.columns
        },
        index=means.index,
    )


def mean_ranks(means: pd.DataFrame, higher_is_better: Mapping[str, bool]) -> pd.Series:
    """Mean rank of each row over all columns, best first: the order of the leaderboard.

    Each metric counts the same. A row that lacks a metric has no mean rank (NaN) and comes last: to leave a metric
    out must not pay. Equal mean ranks keep the order of the rows.
    """
    per_metric = ranks(means, higher_is_better)
    return per_metric.mean(axis=1, skipna=False).rename("mean_rank").sort_values(kind="stable", na_position="last")

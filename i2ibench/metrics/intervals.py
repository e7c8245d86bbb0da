"""How far a score could lie from what other test images would have given: its 95 % interval, and how that was got."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import bootstrap, norm

LEVEL = 0.95
RESAMPLES = 2000
SEED = 0
BATCH = 100  # resamples in memory at once

Interval = dict[str, Any]


def of_mean(values: np.ndarray, kind: str = "bootstrap over images") -> Interval:
    """Percentile bootstrap interval of the mean of `values` (N,), one per image (Efron 1979; by scipy)."""
    if np.ptp(values) == 0:
        low = high = values[0]
    else:
        low, high = bootstrap(
            (values,),
            np.mean,
            n_resamples=RESAMPLES,
            batch=BATCH,
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(SEED),
        ).confidence_interval
    return _interval(low, high, kind, f"percentile, {RESAMPLES} resamples, seed {SEED}")


def of_sums(per_image: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> Interval:
    """Percentile bootstrap interval of a score of sums over images, such as a table of pixel counts.

    Args:
        per_image: what is summed, (N, ...).
        score: sums (R, ...) to scores (R,).
    """
    rng, count = np.random.default_rng(SEED), len(per_image)
    flat = per_image.reshape(count, -1).astype(np.float64)
    found = []
    for _ in range(0, RESAMPLES, BATCH):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=BATCH).astype(np.float64)  # times of each image
        found.append(score((drawn @ flat).reshape(BATCH, *per_image.shape[1:])))
    low, high = np.quantile(np.concatenate(found), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return _interval(low, high, "bootstrap over images", f"percentile, {RESAMPLES} resamples, seed {SEED}")


def of_influences(value: float, *influences: np.ndarray) -> Interval:
    """Infinitesimal jackknife interval of a score that is a smooth function of the images' weights, and is never < 0.

    Args:
        influences: for each independent sample the derivative of the score by each image's weight, (N,).

    Its standard error is that of a mean of influences (Jaeckel 1972; Efron, The Jackknife, 1982, chapter 6), and is on
    the side of caution where the score is close to 0.
    """
    error = float(np.sqrt(sum(values.var() / len(values) for values in influences)))
    reach = norm.ppf((1 + LEVEL) / 2) * error
    interval = _interval(max(0.0, value - reach), value + reach, "jackknife over images", "infinitesimal, normal")
    return interval | {"std": error}


def of_subsets(values: np.ndarray, size: int) -> Interval:
    """The range of the middle 95 % of a score's values on random subsets, and their standard deviation."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    how = f"quantiles of {len(values)} subsets of {size} images"
    return _interval(low, high, "subset spread", how) | {"std": float(values.std())}


def _interval(low: float, high: float, kind: str, how: str) -> Interval:
    return {"low": float(low), "high": float(high), "level": LEVEL, "kind": kind, "how": how}

"""Intervals, ranks and tests: pure functions, so that a claim can be checked without a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import (  # what scipy.stats.t.ppf calls; scipy.stats alone takes a second to import
    ndtr,
    stdtr,
    stdtrit,
)

CONFIDENCE = 0.95
SAME = 1e-9  # spread over size of what differs by rounding alone
EXACT = 50  # images up to which scipy takes the exact distribution of signed ranks


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


@dataclass(frozen=True)
class Comparison:
    """What is known of the difference between two methods by one metric.

    difference: mean of `a` less mean of `b`, over seeds; low, high: its 95 % Student t interval.
    paired: whether they are compared by the seeds that both have. Where these are fewer than two, and each has two or
        more, all that each has count, as independent samples.
    seeds: so many pairs; or of independent samples the size of the smaller.
    effect: matched-pairs rank-biserial correlation over images (Kerby 2014), in [-1, 1]; above 0: `a` is better.
    p_images: Wilcoxon's signed-rank test over images, each the mean over the seeds that both have: other images, these
        trained networks.
    p_seeds: paired t test over the seeds that both have (Welch's where they are independent samples): other trainings,
        these images. None where nothing varies: scores that come in steps (k of N images) coincide by chance, and then
        nothing is known of the spread.
    p: the larger of the two that there are (Berger 1982: both must hold, and say the same), after Holm's correction
        over all pairs; 1 where the images speak for one method and the mean for the other.
    """

    metric: str
    a: str
    b: str
    difference: float
    a_is_better: bool
    images: int
    seeds: int
    paired: bool = True
    low: float | None = None
    high: float | None = None
    effect: float | None = None
    p_images: float | None = None
    p_seeds: float | None = None
    p: float | None = None

    @property
    def significant(self) -> bool:
        return self.p is not None and self.p < 1 - CONFIDENCE

    @property
    def winner(self) -> str | None:
        """Who is significantly better."""
        return (self.a if self.a_is_better else self.b) if self.significant else None


def compare(
    metric: str,
    scores: Mapping[str, Mapping[int, float]],
    images: Mapping[str, Mapping[int, np.ndarray]],
    higher_is_better: bool,
    pairs: Iterable[tuple[str, str]] | None = None,
) -> list[Comparison]:
    """Every pair of methods by one metric, or some pairs, corrected for their number (Holm).

    Where some pairs are tested over seeds (shared ones, or two of each method's own), those that are not have no p: one
    training must not count for more than several. Where none are, p is over images alone.

    Args:
        scores: method -> seed -> score.
        images: method -> seed -> value of each test image (N,); empty for a metric of sets.
        pairs: those to compare, of methods that have scores.
    """
    found = [
        _compare_two(metric, a, b, scores, images, 1.0 if higher_is_better else -1.0)
        for a, b in (itertools.combinations(scores, 2) if pairs is None else pairs)
    ]
    several = any(one.seeds > 1 for one in found)  # then what stands on one training is not tested
    ps = [None if several and one.p_seeds is None else _both_hold(one) for one in found]
    tested = [i for i, p in enumerate(ps) if p is not None]
    for i, p in zip(tested, holm([p for p in ps if p is not None]), strict=True):
        found[i] = replace(found[i], p=float(p))
    return found


def _both_hold(one: Comparison) -> float | None:
    """p that the difference holds for other images and for other trainings, as far as each was tested."""
    if one.effect and (one.effect > 0) != one.a_is_better:
        return 1.0  # a few images carry the mean against most of them
    return max((p for p in (one.p_images, one.p_seeds) if p is not None), default=None)


def _compare_two(
    metric: str,
    a: str,
    b: str,
    scores: Mapping[str, Mapping[int, float]],
    images: Mapping[str, Mapping[int, np.ndarray]],
    sign: float,
) -> Comparison:
    shared = sorted(scores[a].keys() & scores[b].keys())
    samples = [np.array([*scores[label].values()]) for label in (a, b)]
    fewest = min(map(len, samples))
    paired = len(shared) > 1 or fewest < 2
    if not paired:
        shared = []
    by_seed = np.array([scores[a][seed] - scores[b][seed] for seed in shared])
    difference = float(by_seed.mean() if shared else samples[0].mean() - samples[1].mean())
    made = Comparison(metric, a, b, difference, sign * difference > 0, 0, len(shared) if paired else fewest, paired)
    if tested := _paired_t(by_seed) if paired else _welch(*samples):
        p, half_width = tested
        made = replace(made, low=difference - half_width, high=difference + half_width, p_seeds=p)
    ours, theirs = (_mean_image(images.get(label, {}), shared) for label in (a, b))
    if len(ours) and len(ours) == len(theirs):
        p, effect = signed_rank(sign * (ours - theirs))
        made = replace(made, images=len(ours), effect=effect, p_images=p)
    return made


def _mean_image(by_seed: Mapping[int, np.ndarray], shared: Sequence[int]) -> np.ndarray:
    """Value of each image (N,), the mean over the seeds that the scores are of: the shared ones, or all without any."""
    chosen = [by_seed[seed] for seed in shared if seed in by_seed] if shared else [*by_seed.values()]
    return np.mean(chosen, axis=0) if chosen else np.empty(0)


def _paired_t(differences: np.ndarray) -> tuple[float, float] | None:
    """Two-sided p that their mean is 0, and the half-width of its interval.

    None where there are fewer than two, or they do not vary, but for rounding, and are not all 0.
    """
    found = summarise(differences)
    if found is None or found.sd is None or found.half_width is None:
        return None
    if found.sd <= SAME * abs(found.mean):
        return None if found.mean else (1.0, found.half_width)
    return float(2 * stdtr(found.n - 1, -abs(found.mean) / (found.sd / found.n**0.5))), found.half_width


def _welch(a: np.ndarray, b: np.ndarray) -> tuple[float, float] | None:
    """Welch's t test (Biometrika 1947) that two independent samples have one mean, whatever their variances.

    Returns:
        Two-sided p, and the half-width of the interval of the difference; None where neither varies, and they differ.
    """
    errors = np.array([sample.var(ddof=1) / len(sample) for sample in (a, b)])
    error, gap = float(errors.sum() ** 0.5), abs(float(a.mean() - b.mean()))
    if error <= SAME * max(abs(a.mean()), abs(b.mean())):
        return None if gap > SAME * abs(a.mean()) else (1.0, 0.0)
    freedom = float(errors.sum() ** 2 / (errors**2 / np.array([len(a) - 1, len(b) - 1])).sum())
    return float(2 * stdtr(freedom, -gap / error)), float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * error


def signed_rank(differences: np.ndarray) -> tuple[float, float]:
    """Wilcoxon's signed-rank test of paired differences: two-sided p, and the rank-biserial correlation.

    Differences of 0 are left out; if all are, p is 1 and the correlation 0. p is that of `scipy.stats.wilcoxon`, whose
    normal approximation for more than EXACT differences is spelled out here: a large report makes thousands of them.
    """
    nonzero = differences[differences != 0]
    n = len(nonzero)
    if not n:
        return 1.0, 0.0
    _, places, ties = np.unique(np.abs(nonzero), return_inverse=True, return_counts=True)
    ranked = (np.cumsum(ties) - (ties - 1) / 2)[places]  # equal ones share the mean of their ranks
    above, total = float(ranked[nonzero > 0].sum()), n * (n + 1) / 2
    effect = 2 * above / total - 1
    if n <= EXACT:
        from scipy.stats import wilcoxon  # takes a second to import

        return float(wilcoxon(nonzero).pvalue), effect
    variance = n * (n + 1) * (2 * n + 1) / 24 - float((ties.astype(float) ** 3 - ties).sum()) / 48
    return float(2 * ndtr(-abs(above - total / 2) / variance**0.5)), effect


def holm(ps: Sequence[float]) -> np.ndarray:
    """p-values corrected for their number (Holm 1979): any true null is rejected with less than that chance."""
    values = np.asarray(ps, dtype=float)
    order = np.argsort(values)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    return corrected


@dataclass(frozen=True)
class Friedman:
    """Friedman's test over data sets, and the critical difference of two mean ranks (Nemenyi; Demšar, JMLR 2006)."""

    data: int  # n
    mean_ranks: Mapping[str, float]  # best first
    statistic: float
    p: float
    critical_difference: float

    def groups(self) -> list[tuple[str, ...]]:
        """The longest runs of methods, best first, whose mean ranks lie within the critical difference."""
        names, places = list(self.mean_ranks), list(self.mean_ranks.values())
        runs: list[tuple[int, int]] = []
        for first, place in enumerate(places):
            last = max(i for i, other in enumerate(places) if other - place <= self.critical_difference)
            if last > first and (not runs or last > runs[-1][1]):
                runs.append((first, last))
        return [tuple(names[first : last + 1]) for first, last in runs]


FEWEST_DATA, FEWEST_METHODS = 5, 3  # for Friedman's test; its chi-square is an approximation that few data sets strain


def friedman(places: pd.DataFrame) -> Friedman | None:
    """Test whether methods differ over data sets, from their ranks (one row per data set, one column per method).

    Methods that lack a rank somewhere are left out. None where fewer than FEWEST_DATA data sets or FEWEST_METHODS
    methods are left.
    """
    whole = places.dropna(axis=0, how="all").dropna(axis=1).rank(axis=1)
    n, k = whole.shape
    if n < FEWEST_DATA or k < FEWEST_METHODS:
        return None
    from scipy.stats import friedmanchisquare, studentized_range

    statistic, p = friedmanchisquare(*(whole[name] for name in whole))
    q = studentized_range.isf(1 - CONFIDENCE, k, np.inf) / 2**0.5
    ranked = whole.mean().sort_values(kind="stable")
    return Friedman(
        n,
        {str(name): float(rank) for name, rank in ranked.items()},
        float(statistic),
        float(p),
        float(q * (k * (k + 1) / (6 * n)) ** 0.5),
    )


def pareto(costs: np.ndarray) -> np.ndarray:
    """Which of the points (N, D) no other point beats: at most as costly in everything, and less in something."""
    dominated = [
        bool(((costs <= point).all(axis=1) & (costs < point).any(axis=1)).any()) for point in np.asarray(costs)
    ]
    return ~np.array(dominated, dtype=bool)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Spearman's rho of two lists over the places where both have a number, and how many those are.

    NaN below three of them, or where one list does not vary.
    """
    both = np.isfinite(a) & np.isfinite(b)
    ranked = pd.DataFrame({"a": np.asarray(a)[both], "b": np.asarray(b)[both]}).rank()
    n = int(both.sum())
    return (float(ranked["a"].corr(ranked["b"])) if n > 2 and (ranked.std() > 0).all() else float("nan")), n

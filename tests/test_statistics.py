"""Means, Student t intervals and ranks against numbers that were worked out elsewhere."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from i2ibench.statistics import (
    Friedman,
    compare,
    friedman,
    holm,
    mean_ranks,
    pareto,
    rank_correlation,
    ranks,
    signed_rank,
    summarise,
    t_quantile,
)


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


# -- tests between methods -----------------------------------------------------------------------------------------

LEVELS = st.lists(st.floats(1e-6, 1), min_size=1, max_size=7)


def closed_testing(ps: list[float], level: float) -> list[bool]:
    """Holm's procedure by its definition: reject what every intersection that holds it rejects by Bonferroni."""
    m = len(ps)
    subsets = [s for n in range(1, m + 1) for s in itertools.combinations(range(m), n)]
    return [all(min(ps[j] for j in s) * len(s) < level for s in subsets if i in s) for i in range(m)]


@given(LEVELS, st.floats(0.01, 0.2))
def test_holm_is_the_closed_test_of_bonferroni(ps: list[float], level: float) -> None:
    assert (holm(ps) < level).tolist() == closed_testing(ps, level)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])  # R: p.adjust(…, "holm")
    assert holm([]).tolist() == []


def test_signed_rank_is_scipys_and_its_effect_is_kerbys() -> None:
    differences = np.array([1.5, -0.5, 2.0, 3.0, -1.0, 0.0, 4.0])
    p, effect = signed_rank(differences)
    assert p == pytest.approx(scipy.stats.wilcoxon(differences[differences != 0]).pvalue)
    assert effect == pytest.approx((21 - 2 * 3) / 21)  # ranks 1 and 2 of 21 are against
    assert signed_rank(np.zeros(9)) == (1.0, 0.0)


@pytest.mark.parametrize("seed", range(8))
def test_signed_rank_of_many_differences_is_scipys_with_ties_and_without(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tied = rng.integers(-9 + seed, 10, int(rng.integers(80, 200))).astype(float)  # some are 0
    for differences in (tied, rng.normal(0.1 * seed, 1, 51 + seed)):
        nonzero = differences[differences != 0]
        p, effect = signed_rank(differences)
        assert p == pytest.approx(scipy.stats.wilcoxon(nonzero, method="asymptotic", correction=False).pvalue)
        ranks = scipy.stats.rankdata(np.abs(nonzero))
        assert effect == pytest.approx(float(ranks @ np.sign(nonzero) / ranks.sum()))


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8).filter(lambda values: np.std(values) > 1e-3))
def test_the_test_over_seeds_is_scipys_paired_t(values: list[float]) -> None:
    scores = {"a": dict(enumerate(values)), "b": dict.fromkeys(range(len(values)), 0.0)}
    (one,) = compare("m", scores, {}, higher_is_better=True)
    reference = scipy.stats.ttest_rel(values, np.zeros(len(values)))
    assert one.p_seeds == pytest.approx(reference.pvalue, rel=1e-6)
    interval = reference.confidence_interval(0.95)
    assert (one.low, one.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=6), st.lists(st.integers(-50, 50), min_size=2, max_size=6))
@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, where one of the two does not vary
def test_seeds_of_each_method_s_own_are_tested_by_scipys_welch(ours: list[int], theirs: list[int]) -> None:
    assume(np.std(ours) + np.std(theirs) > 0)
    scores = {
        "a": dict(enumerate(ours)),
        "b": {9 + i: value for i, value in enumerate(theirs)},
    }
    (one,) = compare("m", scores, {}, higher_is_better=True)
    reference = scipy.stats.ttest_ind(ours, theirs, equal_var=False)
    assert (one.paired, one.seeds) == (False, min(len(ours), len(theirs)))
    assert one.difference == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert one.p_seeds == pytest.approx(reference.pvalue, rel=1e-6)
    interval = reference.confidence_interval(0.95)
    assert (one.low, one.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


def test_the_same_method_of_other_seeds_wins_no_more_often_than_promised() -> None:
    """Images alone would tell nearly any two trainings apart."""
    rng, won, over_images = np.random.default_rng(0), 0, 0
    for trial in range(200):
        first = 2 + trial % 2  # of those of b: one that a has as well, or none
        hard, shifts = rng.normal(20, 3, 100), rng.normal(0, 1, 6)
        images = {
            label: {seed: hard + shifts[seed] + rng.normal(0, 1, 100) for seed in seeds}
            for label, seeds in {"a": range(3), "b": range(first, 6)}.items()
        }
        scores = {label: {seed: float(of.mean()) for seed, of in found.items()} for label, found in images.items()}
        (one,) = compare("psnr", scores, images, higher_is_better=True)
        won += one.significant
        over_images += one.p_images is not None and one.p_images < 0.05
    assert won / 200 < 0.09
    assert over_images / 200 > 0.7


def test_samples_that_do_not_vary_are_not_tested() -> None:
    scores = {"a": {0: 0.8, 1: 0.8}, "b": {2: 0.7, 3: 0.7}, "same": {5: 0.8, 6: 0.8}}
    apart, same, _ = compare("m", scores, {}, higher_is_better=True)
    assert (apart.p_seeds, apart.low, apart.p) == (None, None, None)
    assert same.p_seeds == 1.0


def test_both_seeds_and_images_must_speak_for_a_difference() -> None:
    rng = np.random.default_rng(0)
    images = {
        "a": dict.fromkeys(range(3), rng.normal(0.0, 1, 300)),
        "b": dict.fromkeys(range(3), rng.normal(3.0, 1, 300)),
    }
    noisy = {"a": {0: 0.0, 1: 5.0, 2: -4.0}, "b": {0: 1.0, 1: 0.0, 2: 9.0}}
    steady = {"a": {0: 0.0, 1: 0.01, 2: 0.02}, "b": {0: 3.0, 1: 3.02, 2: 3.01}}
    (one,) = compare("lpips", noisy, images, higher_is_better=False)
    assert one.p_images is not None
    assert one.p_images < 1e-6
    assert one.winner is None
    (one,) = compare("lpips", steady, images, higher_is_better=False)
    assert one.winner == "a"
    assert one.effect is not None
    assert one.effect > 0.9
    assert (one.images, one.seeds) == (300, 3)


def test_images_and_mean_must_speak_for_the_same_method() -> None:
    """Skewed scores: most images are better by a little, a few worse by much, and both tests are sure of it."""
    rng = np.random.default_rng(0)
    better = np.where(rng.random(200) < 0.85, rng.normal(0.5, 0.1, 200), rng.normal(-4, 0.3, 200))
    images = {"a": dict.fromkeys(range(3), 25 + better), "b": dict.fromkeys(range(3), np.full(200, 25.0))}
    noise = (0.01, -0.01, 0.005)
    for seeds in (1, 3):
        scores = {
            "a": {seed: float(25 + better.mean()) + noise[seed] for seed in range(seeds)},
            "b": dict.fromkeys(range(seeds), 25.0),
        }
        (one,) = compare("psnr", scores, images, higher_is_better=True)
        assert one.p_images is not None
        assert one.p_images < 0.01
        assert one.effect is not None
        assert one.effect > 0 > one.difference
        assert (one.p, one.winner) == (1.0, None)


def test_images_are_those_of_the_seeds_that_both_have() -> None:
    rng = np.random.default_rng(0)
    same, other = rng.normal(20, 1, 60), rng.normal(25, 1, 60)
    images = {"first": {0: same, 1: other, 2: other}, "second": {0: same}}
    scores = {label: {seed: float(of.mean()) for seed, of in found.items()} for label, found in images.items()}
    (one,) = compare("psnr", scores, images, higher_is_better=True)
    assert (one.difference, one.seeds, one.p_images, one.effect) == (0.0, 1, 1.0, 0.0), "seed 0 is the same in both"
    images["second"], scores["second"] = {3: other - 9}, {3: float(other.mean() - 9)}
    (one,) = compare("psnr", scores, images, higher_is_better=True)
    assert (one.seeds, one.winner) == (0, "first"), "with no seed in common it is all seeds against all"


@pytest.mark.parametrize("outputs", [32, 100])
@pytest.mark.parametrize("seeds", [2, 3])
def test_scores_in_steps_that_coincide_win_no_more_often_than_promised(outputs: int, seeds: int) -> None:
    """Precision of k in N outputs, six equal methods: with two seeds 8 % of pairs have the same difference twice."""
    rng = np.random.default_rng(0)
    wins = 0
    for _ in range(300):
        scores = {label: {seed: rng.binomial(outputs, 0.85) / outputs for seed in range(seeds)} for label in "abcdef"}
        wins += any(one.significant for one in compare("precision", scores, {}, higher_is_better=True))
    assert wins / 300 < 0.08  # 0.05 and two standard errors and a half


def test_differences_that_do_not_vary_are_not_tested_over_seeds_nor_over_images_alone() -> None:
    scores = {"a": {0: 0.8, 1: 0.9}, "b": {0: 0.7, 1: 0.8}, "same": {0: 0.7, 1: 0.8}}
    images = {label: {seed: np.full(99, s) for seed, s in found.items()} for label, found in scores.items()}
    apart, _, same = compare("precision", scores, images, higher_is_better=True)
    assert (apart.p_seeds, apart.low, apart.high, apart.p, apart.winner) == (None, None, None, None, None)
    assert same.p_seeds == 1.0


def test_chance_alone_wins_no_more_often_than_promised() -> None:
    rng = np.random.default_rng(1)
    wins = 0
    for _ in range(200):
        scores = {label: dict(enumerate(rng.normal(size=5))) for label in "abcd"}
        wins += any(one.significant for one in compare("fid", scores, {}, higher_is_better=False))
    assert wins / 200 < 0.09  # 0.05 and two standard errors and a half


def test_friedman_is_scipys_and_the_critical_difference_is_demsars() -> None:
    rng = np.random.default_rng(3)
    places = pd.DataFrame(rng.random((12, 5)), columns=list("abcde")).rank(axis=1)
    test = friedman(places)
    assert test is not None
    reference = scipy.stats.friedmanchisquare(*places.to_numpy().T)
    assert (test.statistic, test.p) == pytest.approx((reference.statistic, reference.pvalue))
    assert test.critical_difference == pytest.approx(2.728 * (5 * 6 / (6 * 12)) ** 0.5, rel=1e-3)  # q of table 5a
    assert list(test.mean_ranks.values()) == sorted(places.mean())


def test_friedman_needs_whole_data_sets_and_enough_of_them() -> None:
    places = pd.DataFrame({"a": [1.0] * 6, "b": [2.0] * 6, "c": [3.0] * 6, "gone": [np.nan, *[4.0] * 5]})
    test = friedman(places)
    assert test is not None
    assert list(test.mean_ranks) == ["a", "b", "c"]
    assert friedman(places[:4]) is None
    assert friedman(places[["a", "b"]]) is None


def test_groups_are_the_longest_runs_within_the_critical_difference() -> None:
    def groups(*ranks: float) -> list[tuple[str, ...]]:
        return Friedman(9, dict(zip("abcde", ranks, strict=False)), 0.0, 0.0, 1.0).groups()

    assert groups(1.0, 1.5, 2.2, 4.0, 4.5) == [("a", "b"), ("b", "c"), ("d", "e")]
    assert groups(1.0, 3.0, 5.0) == []
    assert groups(1.0, 1.2, 1.4) == [("a", "b", "c")]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_front_holds_what_nobody_beats_and_covers_the_rest(points: list[tuple[int, int]]) -> None:
    array = np.array(points, dtype=float)
    front = pareto(array)
    beats = [[bool((p <= q).all() and (p < q).any()) for p in array] for q in array]
    assert front.tolist() == [not any(row) for row in beats]
    assert all(any(row[j] for j in np.flatnonzero(front)) for i, row in enumerate(beats) if not front[i])


def test_rank_correlation_is_scipys() -> None:
    a, b = np.array([1.0, 5.0, 3.0, np.nan, 4.0]), np.array([2.0, 9.0, 9.0, 1.0, 5.0])
    rho, n = rank_correlation(a, b)
    keep = np.isfinite(a)
    assert (rho, n) == (pytest.approx(scipy.stats.spearmanr(a[keep], b[keep]).statistic), 4)
    assert np.isnan(rank_correlation(a[:2], b[:2])[0])
    assert np.isnan(rank_correlation(np.ones(4), np.arange(4.0))[0])

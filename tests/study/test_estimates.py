"""Shares, strengths and agreement against statsmodels, published numbers, and raters whose minds are known."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from statsmodels.stats.inter_rater import fleiss_kappa as reference_kappa
from statsmodels.stats.proportion import proportion_confint

from i2ibench.study.estimates import PRIOR, bradley_terry, fleiss_kappa, krippendorff_alpha, share, strengths

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", C: four observers, nominal data with gaps, 0.743.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Perfect separation")
@settings(deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(arrays.arrays(int, (4, 4), elements=st.integers(0, 30)))
def test_strengths_are_those_of_a_logistic_regression(wins: np.ndarray) -> None:
    np.fill_diagonal(wins, 0)
    rows, won, lost = [], [], []
    for i in range(4):
        for j in range(i):
            rows.append(np.eye(4)[i] - np.eye(4)[j])
            won.append(wins[i, j] + PRIOR)
            lost.append(wins[j, i] + PRIOR)
    fit = sm.GLM(np.column_stack([won, lost]), np.array(rows)[:, 1:], family=sm.families.Binomial()).fit(tol=1e-12)
    reference = np.concatenate([[0], fit.params])
    np.testing.assert_allclose(bradley_terry(wins), reference - reference.mean(), atol=1e-5)


def test_known_strengths_are_found_and_lie_in_their_intervals() -> None:
    truth = np.array([1.0, 0.3, -0.2, -1.1])
    rng = np.random.default_rng(0)
    raters, images, winners, losers = [], [], [], []
    for rater in range(40):
        for image in range(12):
            a, b = rng.choice(4, 2, replace=False)
            if rng.random() > 1 / (1 + np.exp(truth[b] - truth[a])):
                a, b = b, a
            raters.append(rater), images.append(image), winners.append(a), losers.append(b)
    found, intervals = strengths(*map(np.array, (winners, losers, raters, images)), 4)
    assert intervals is not None
    np.testing.assert_allclose(found, truth, atol=0.35)
    assert ((intervals[:, 0] < truth) & (truth < intervals[:, 1])).all()
    assert (intervals[:, 0] < found).all()
    assert (found < intervals[:, 1]).all()
    assert strengths(*map(np.array, (winners, losers, np.zeros(len(winners)), images)), 4)[1] is None


def test_a_share_of_answers_that_have_nothing_in_common_is_wilsons() -> None:
    yes = np.arange(3000) % 10 < 3
    found = share(yes, np.arange(3000), np.arange(3000))
    assert (found.value, found.n, found.raters) == (0.3, 3000, 3000)
    np.testing.assert_allclose((found.low, found.high), proportion_confint(900, 3000, method="wilson"), atol=2e-4)


def test_an_interval_knows_that_raters_and_images_differ() -> None:
    """Raters with tastes of their own, images that suit one method: 95 % hold the truth; Wilson's alone do not."""
    rng = np.random.default_rng(1)
    raters, images = (grid.ravel() for grid in np.meshgrid(np.arange(12), np.arange(10), indexing="ij"))
    held = naive = 0
    for _ in range(300):
        lean = rng.choice([-0.25, 0.25], 12)[raters] + rng.choice([-0.15, 0.15], 10)[images]
        yes = rng.random(120) < 0.5 + lean
        found = share(yes, raters, images)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.5 <= found.high
        low, high = proportion_confint(yes.sum(), 120, method="wilson")
        naive += low <= 0.5 <= high
    assert held >= 0.93 * 300
    assert naive <= 0.85 * 300


def test_shares_at_the_ends_of_the_scale() -> None:
    raters, images = np.repeat(np.arange(4), 5), np.tile(np.arange(5), 4)
    none = share(np.zeros(20), raters, images)
    assert (none.value, none.low) == (0, pytest.approx(0, abs=1e-9))
    assert 0.2 < none.high < 0.5, "20 answers of 4 raters do not prove that nobody ever would"
    whole = share(np.ones(20), raters, images)
    assert whole.low == pytest.approx(1 - none.high)
    alone = share(np.array([1, 0, 1]), np.zeros(3), np.arange(3))
    assert (alone.low, alone.high) == (None, None), "one rater says nothing of others"


@settings(deadline=None, max_examples=50, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(2, 6), st.integers(2, 20), st.integers(2, 4), st.integers(0, 999))
def test_kappa_is_that_of_statsmodels(raters: int, items: int, categories: int, seed: int) -> None:
    counts = np.random.default_rng(seed).multinomial(raters, np.full(categories, 1 / categories), size=items)
    if np.count_nonzero(counts.sum(axis=0)) < 2:
        counts[0] = np.eye(categories, dtype=int)[0] * (raters - 1) + np.eye(categories, dtype=int)[1]
        counts[1] = np.eye(categories, dtype=int)[1] * raters
    assert fleiss_kappa(counts) == pytest.approx(reference_kappa(counts, method="fleiss"))
    # Of complete data, alpha is kappa less its bias by few ratings (Krippendorff 1970).
    n = items * raters
    assert krippendorff_alpha(counts) == pytest.approx(1 - (1 - fleiss_kappa(counts)) * (n - 1) / n)


def test_alpha_is_the_published_one() -> None:
    counts = np.array([[column.count(k) for k in range(1, 6)] for column in map(list, zip(*PUBLISHED, strict=True))])
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(np.array([[3, 0], [0, 2], [1, 0]])) == 1

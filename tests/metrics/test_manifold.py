"""Precision and recall equal torch-fidelity's, density and coverage the prdc package's, on the same features."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import prdc
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_prc import prc_features_to_metric

from i2ibench.metrics import manifold


def features(count: int, dimension: int, seed: int, spread: float = 1.0) -> torch.Tensor:
    """Far from the origin, as a network's are after a ReLU."""
    drawn = np.random.default_rng(seed).gamma(3.0, spread, (count, dimension)) + 5
    return torch.from_numpy(drawn.astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(8, 70),
    m=st.integers(8, 70),
    k=st.integers(1, 6),
    dimension=st.integers(2, 20),
    spread=st.floats(0.5, 1.5),
    rows=st.sampled_from([7, 1024]),
)
def test_scores_equal_the_libraries(n: int, m: int, k: int, dimension: int, spread: float, rows: int) -> None:
    x, y = features(n, dimension, 1, spread), features(m, dimension, 2)
    with patch.object(manifold, "ROWS", rows):  # in blocks, or in one
        ours = manifold.compare(x, y, k, k)
    theirs = prc_features_to_metric(x.double(), y.double(), prc_neighborhood=k, verbose=False)
    assert ours.precision.mean() == pytest.approx(theirs["precision"])
    assert ours.recall.mean() == pytest.approx(theirs["recall"])
    package = prdc.compute_prdc(y.double().numpy(), x.double().numpy(), nearest_k=k)
    assert ours.density.mean() == pytest.approx(package["density"])
    assert ours.coverage.mean() == pytest.approx(package["coverage"])


def test_scores_are_of_something() -> None:
    """The agreement above is no agreement of zeros and ones."""
    found = manifold.compare(features(60, 3, 1, 1.3), features(50, 3, 2), 3, 5)
    assert 0.2 < found.precision.mean() < 0.95
    assert 0.2 < found.recall.mean() < 0.95
    assert 0.2 < found.density.mean() < 1.2
    assert 0.2 < found.coverage.mean() < 0.95
    assert {len(found.precision), len(found.density)} == {60}
    assert {len(found.recall), len(found.coverage)} == {50}


def test_float32_features_of_a_network_give_the_same_counts() -> None:
    """torch-fidelity computes in the features' float32; no image is so near to a surface that it would matter."""
    x, y = features(300, 64, 1, 1.1), features(280, 64, 2)
    theirs = prc_features_to_metric(x, y, prc_neighborhood=3, verbose=False)
    ours = manifold.compare(x, y, 3, 5)
    assert (ours.precision.mean(), ours.recall.mean()) == pytest.approx((theirs["precision"], theirs["recall"]))


def test_copies_of_one_image_are_at_no_distance() -> None:
    """A generator that gives one image over and over covers that image, though rounding might say otherwise."""
    y = features(30, 40, 2)
    x = y[:1].repeat(20, 1) * (1 + 1e-7 * torch.randn(20, 40, generator=torch.Generator().manual_seed(0)))
    found = manifold.compare(x, y, 3, 5)
    assert found.precision.mean() == 1
    assert found.recall.sum() == 1
    assert found.coverage[0] == 1


def test_the_real_set_itself_scores_perfectly_and_a_far_one_nothing() -> None:
    y = features(40, 10, 2)
    same, far = manifold.compare(y, y, 3, 5), manifold.compare(y + 1000, y, 3, 5)
    assert (same.precision.mean(), same.recall.mean(), same.coverage.mean()) == (1, 1, 1)
    assert same.density.mean() == pytest.approx(1, abs=0.05)  # each has five images nearer than its fifth, and itself
    assert (far.precision.mean(), far.recall.mean(), far.density.mean(), far.coverage.mean()) == (0, 0, 0, 0)


def test_fewer_images_than_neighbours() -> None:
    found = manifold.compare(features(2, 5, 1), features(3, 5, 2), 3, 5)
    assert all(np.isfinite(values).all() for values in vars(found).values())

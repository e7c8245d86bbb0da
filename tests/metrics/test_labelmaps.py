"""Label maps: nearest colours, and the scores of FCN and pix2pix, against their code and plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from i2ibench.data.labels import Palette
from i2ibench.metrics import labelmaps
from i2ibench.metrics.intervals import of_sums

CLASSES = 4
maps = arrays(np.uint8, (3, 4, 5), elements=st.integers(0, CLASSES - 1))


def fcn_score(truth: np.ndarray, output: np.ndarray) -> tuple[float, float, float]:
    """Of github.com/shelhamer/fcn.berkeleyvision.org, score.py: `fast_hist`, and what is printed of it."""
    a, b, n = truth.flatten(), output.flatten(), CLASSES
    k = (a >= 0) & (a < n)
    hist = np.bincount(n * a[k].astype(int) + b[k], minlength=n**2).reshape(n, n)
    with np.errstate(invalid="ignore"):
        acc = np.diag(hist).sum() / hist.sum()
        class_acc = np.nanmean(np.diag(hist) / hist.sum(1))
        iu = np.nanmean(np.diag(hist) / (hist.sum(1) + hist.sum(0) - np.diag(hist)))
    return acc, class_acc, iu


@settings(max_examples=60, deadline=None)
@given(truth=maps, output=maps)
def test_scores_are_those_of_fcn_and_of_sets_of_pixels(truth: np.ndarray, output: np.ndarray) -> None:
    found = labelmaps.scores(labelmaps.confusions(truth, output, CLASSES).sum(axis=0))
    assert (found["pixel_accuracy"], found["class_accuracy"], found["mean_iou"]) == pytest.approx(
        fcn_score(truth, output), abs=1e-12
    )
    where = [(set(np.flatnonzero(truth == c)), set(np.flatnonzero(output == c))) for c in range(CLASSES)]
    assert found["class_accuracy"] == pytest.approx(np.mean([len(t & o) / len(t) for t, o in where if t]))
    assert found["mean_iou"] == pytest.approx(np.mean([len(t & o) / len(t | o) for t, o in where if t | o]))


@settings(max_examples=30, deadline=None)
@given(truth=maps, output=maps)
def test_bounds_and_perfection(truth: np.ndarray, output: np.ndarray) -> None:
    found = labelmaps.scores(labelmaps.confusions(truth, output, CLASSES))
    assert all(((values >= 0) & (values <= 1)).all() for values in found.values())
    assert (found["mean_iou"] <= found["class_accuracy"] + 1e-12).all()
    perfect = labelmaps.scores(labelmaps.confusions(truth, truth, CLASSES))
    assert all((values == 1).all() for values in perfect.values())


def test_a_class_that_only_the_output_has_counts_for_iou_alone() -> None:
    truth, output = np.zeros((1, 2, 2), np.uint8), np.array([[[0, 0], [0, 1]]], np.uint8)
    found = labelmaps.scores(labelmaps.confusions(truth, output, 3)[0])
    assert (found["pixel_accuracy"], found["class_accuracy"], found["mean_iou"]) == (0.75, 0.75, 0.375)


@settings(max_examples=30, deadline=None)
@given(
    images=arrays(np.uint8, (2, 3, 3, 3)),
    colours=st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=2, max_size=6, unique=True),
)
def test_each_pixel_goes_to_the_nearest_colour_and_to_the_first_of_equals(images, colours) -> None:
    found = labelmaps.decode(images, Palette(tuple(map(str, colours)), tuple(colours)))
    distance = ((images[..., None, :].astype(int) - np.array(colours)) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(found, distance.argmin(axis=-1))


def test_ties_go_to_the_first_class() -> None:
    grey = np.full((1, 1, 1, 3), 100, np.uint8)
    for colours in (((90, 100, 100), (110, 100, 100)), ((110, 100, 100), (90, 100, 100))):
        assert labelmaps.decode(grey, Palette(("first", "second"), colours)).item() == 0


def test_256_classes_fit() -> None:
    palette = Palette(tuple(map(str, range(256))), tuple((i, 0, 0) for i in range(256)))
    image = np.zeros((1, 16, 16, 3), np.uint8)
    image[..., 0] = np.arange(256).reshape(16, 16)
    found = labelmaps.decode(image, palette)
    np.testing.assert_array_equal(found[0].ravel(), np.arange(256))
    assert labelmaps.scores(labelmaps.confusions(found, found, 256)[0])["mean_iou"] == 1


def test_the_interval_of_a_score_of_sums_is_scipys_bootstrap() -> None:
    from scipy.stats import bootstrap

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (60, 8, 8))
    wrong = rng.random((60, 1, 1)) * rng.random((60, 8, 8)) > 0.3
    counts = labelmaps.confusions(truth, np.where(wrong, rng.integers(0, 3, truth.shape), truth), 3)

    def score(rows: np.ndarray) -> float:
        return float(labelmaps.scores(counts[rows.astype(int)].sum(axis=0))["mean_iou"])

    expected = bootstrap(
        (np.arange(60),), score, vectorized=False, method="percentile", n_resamples=2000, rng=np.random.default_rng(1)
    ).confidence_interval
    found = of_sums(counts, lambda sums: labelmaps.scores(sums)["mean_iou"])
    width = expected.high - expected.low
    assert found["low"] == pytest.approx(expected.low, abs=0.1 * width)
    assert found["high"] == pytest.approx(expected.high, abs=0.1 * width)
    assert found["low"] < score(np.arange(60)) < found["high"]
    assert found["kind"] == "bootstrap over images"

"""The trained segmentation network: what it learns is known, it is the same on every call, and FCN-scores stand on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from i2ibench.data.labels import Palette
from i2ibench.metrics import segmenter
from i2ibench.metrics.evaluate import evaluate
from i2ibench.metrics.material import Material, RealPairs
from i2ibench.metrics.protocol import Protocol

SIZE, STEPS = 24, 60
PALETTE = Palette(("wall", "window"), ((0, 0, 255), (255, 0, 0)), "a")
PROTOCOL = Protocol(extractor="vgg16-relu5_3", segmenter_steps=STEPS)
METRICS = ["fcn_pixel_accuracy", "fcn_class_accuracy", "fcn_mean_iou"]


def scenes(count: int, seed: int, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """The class of each pixel, (N, H, W), and noisy images of it: a bright window in a dark wall."""
    rng = np.random.default_rng(seed)
    classes = np.zeros((count, size, size), np.uint8)
    for one in classes:
        top, left = rng.integers(0, size // 2, 2)
        one[top : top + size // 2, left : left + size // 2] = 1
    photographs = 60 + 130 * classes[..., None] + rng.integers(-40, 40, (count, size, size, 3))
    return classes, photographs.astype(np.uint8)


def maps(classes: np.ndarray) -> np.ndarray:
    return np.array(PALETTE.colours, np.uint8)[classes]


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    classes, photographs = scenes(40, 0)
    return segmenter.trained(photographs, classes, 2, SIZE, STEPS, None)


def test_it_learns_what_is_to_be_seen_and_nothing_else(weights: np.ndarray) -> None:
    classes, photographs = scenes(20, 1)
    assert (segmenter.segmented(weights, photographs, 2, "cpu") == classes).mean() > 0.97
    blank = segmenter.segmented(weights, np.full_like(photographs, 60), 2, "cpu")
    assert (blank == 0).mean() > 0.95, "a wall alone"


def test_the_same_on_every_call_and_the_callers_random_state_is_left_alone() -> None:
    classes, photographs = scenes(10, 0)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        with torch.inference_mode():
            found.append(segmenter.trained(photographs, classes, 2, SIZE, 3, None))
        assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(*found)


def test_an_image_is_judged_alone_and_at_any_size(weights: np.ndarray) -> None:
    _, photographs = scenes(11, 2, size=30)
    together = segmenter.segmented(weights, photographs, 2, "cpu")
    assert together.shape == (11, 30, 30)
    np.testing.assert_array_equal(together[9:10], segmenter.segmented(weights, photographs[9:10], 2, "cpu"))


def test_training_images_kept_larger_are_brought_to_the_size_of_the_test_images() -> None:
    classes, photographs = scenes(40, 0, size=2 * SIZE)
    weights = segmenter.trained(photographs, classes, 2, SIZE, STEPS, None)
    truth, seen = scenes(20, 1)
    assert (segmenter.segmented(weights, seen, 2, "cpu") == truth).mean() > 0.95


def test_what_is_learned_is_kept_by_what_it_is_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes, photographs = scenes(10, 0)
    first = segmenter.trained(photographs, classes, 2, SIZE, 2, tmp_path)
    learned: list[int] = []
    monkeypatch.setattr(segmenter, "_learned", lambda *of: learned.append(1) or first + 1)
    np.testing.assert_array_equal(first, segmenter.trained(photographs, classes, 2, SIZE, 2, tmp_path))
    assert not learned
    for other in ((photographs, 1 - classes, 2, SIZE, 2), (photographs, classes, 2, SIZE, 3), (photographs, classes, 3, SIZE, 2)):  # fmt: skip
        segmenter.trained(*other, tmp_path)
    assert len(learned) == 3


def test_fcn_scores_stand_between_shuffled_and_real_targets(tmp_path: Path) -> None:
    (classes, photographs), (truth, real) = scenes(40, 0), scenes(20, 1)
    material = Material(inputs=maps(truth), palette=PALETTE, pairs=RealPairs(maps(classes), photographs))

    def scored(outputs: np.ndarray):
        return evaluate(outputs, real, METRICS, PROTOCOL, paired=True, cache=tmp_path, material=material)

    right, wrong = scored(real), scored(np.roll(real, 10, axis=0))
    for name in METRICS:
        assert right.values[name] == pytest.approx(right.bounds[name]["own targets"]), "real ones are the ceiling"
        assert right.values[name] > 0.9
        assert wrong.values[name] == pytest.approx(wrong.bounds[name]["shuffled targets"])
        assert wrong.values[name] < 0.8
        assert right.bounds[name] == wrong.bounds[name]
        entry = right.stamp["metrics"][name]
        assert (entry["segmenter_steps"], entry["segmenter_learned_from"], entry["segmenter_seed"]) == (STEPS, 40, 0)
    assert right.stamp["metrics"] == wrong.stamp["metrics"], "they may stand in one column"
    assert len(list(tmp_path.glob("segmenter-*.npy"))) == 1, "one training for all trials"


def test_an_answer_by_chance_is_scored_as_chance(tmp_path: Path) -> None:
    (classes, photographs), (truth, real) = scenes(40, 0), scenes(60, 1)
    material = Material(inputs=maps(truth), palette=PALETTE, pairs=RealPairs(maps(classes), photographs))
    by_chance = scenes(60, 99)[1]
    found = evaluate(by_chance, real, METRICS, PROTOCOL, paired=True, cache=tmp_path, material=material).values
    drawn = (scenes(60, 99)[0], truth)
    expected = np.mean([(drawn[0] == c)[truth == c].mean() for c in (0, 1)])
    assert found["fcn_class_accuracy"] == pytest.approx(expected, abs=0.03)


def test_steps_are_part_of_the_protocols_key_and_older_keys_stay() -> None:
    plain = Protocol(extractor="vgg16-relu5_3")
    assert plain.key() != PROTOCOL.key()
    assert plain.key() == Protocol(extractor="vgg16-relu5_3", segmenter_steps=500).key()

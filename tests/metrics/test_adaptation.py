"""The adaptation score: a classifier learns what its images show, the same on every call, and bounds are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from i2ibench.metrics import adaptation
from i2ibench.metrics.material import Labelled

STEPS = 30


def tones(count: int, seed: int, *, inverted: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images of two classes, dark and bright; in the inverted domain it is the other way round."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    images = rng.integers(0, 60, (count, 12, 12, 3)) + 180 * (labels ^ inverted)[:, None, None, None]
    return images.astype(np.uint8), labels


@pytest.fixture
def labelled() -> tuple[Labelled, np.ndarray]:
    (a, of_a), (b, of_b) = tones(60, 0), tones(50, 1, inverted=True)
    test, of_test = tones(40, 2, inverted=True)
    return Labelled(2, a, 255 - a, of_a, b, of_b, of_test), test


def test_translations_that_bridge_the_domains_reach_the_ceiling_from_the_floor(labelled) -> None:
    found = adaptation.adaptation_values(*labelled, STEPS, "cpu", None)
    means = {name: values.mean() for name, values in found.items()}
    assert means["source"] < 0.1, "without translation bright and dark mean the wrong class"
    assert means["translated"] > 0.9
    assert means["target"] > 0.9
    assert all(values.shape == (40,) and set(values) <= {0.0, 1.0} for values in found.values())


def test_the_same_twice_whatever_the_random_state_and_leaves_it_alone(labelled) -> None:
    material, test = labelled
    arguments = material.source, material.source_labels, test, material.test_labels, 2, 3, "cpu"
    torch.manual_seed(1)
    first, state = adaptation.recognised(*arguments), torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "no number was drawn"
    torch.manual_seed(2)
    with torch.inference_mode():
        np.testing.assert_array_equal(first, adaptation.recognised(*arguments))


def test_more_steps_are_another_score_and_what_is_known_is_read(labelled, tmp_path: Path, monkeypatch) -> None:
    expected = adaptation.adaptation_values(*labelled, STEPS, "cpu", tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 4
    learned = []
    monkeypatch.setattr(adaptation, "recognised", lambda *arguments: learned.append(arguments) or np.zeros(40))
    again = adaptation.adaptation_values(*labelled, STEPS, "cpu", tmp_path)
    for name, values in expected.items():
        np.testing.assert_array_equal(again[name], values)
    assert not learned
    adaptation.adaptation_values(*labelled, STEPS + 1, "cpu", tmp_path)
    assert len(learned) == 4
    material, test = labelled
    other = Labelled(**(vars(material) | {"translated": material.translated + 1}))
    adaptation.adaptation_values(other, test, STEPS, "cpu", tmp_path)
    assert len(learned) == 5, "what is had without a translation is that of all trials"


@pytest.mark.parametrize("size", [8, 32, 50])
def test_images_of_any_size_are_seen_at_one(size: int) -> None:
    seen = adaptation._seen(np.full((3, size, size, 3), 255, np.uint8), "cpu")
    assert seen.shape == (3, 3, 32, 32)
    assert (seen - 1).abs().max() < 1e-5

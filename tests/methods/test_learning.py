"""Each method learns: a minute of training on glyphs at its preset `tiny` beats returning the input unchanged.

What it must beat `copy` in is what it minimises. A method of pairs that draws what could be (all of these are such): the
squared difference of the target from the mean of several draws. A method without pairs: what a discriminator can tell,
so a classifier of the two fonts that it never met, trained on real glyphs alone, must take more of its outputs than of
its inputs for the target's font, while the output stays nearer to its own target than to another character's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from i2ibench import registry
from i2ibench.config import Training
from i2ibench.data.batches import Batches, to_float
from i2ibench.data.cache import load
from i2ibench.data.glyphs import Glyphs
from i2ibench.data.images import Images
from i2ibench.method import Batch, Method, Task
from i2ibench.randomness import seed_everything
from i2ibench.training import learning_rate
from i2ibench.translation import translate
from i2ibench.turns import Turns

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
SIZE = 32
TESTED = 256  # of the test images
DRAWS = 8


@pytest.fixture(scope="module")
def source() -> Glyphs:
    return Glyphs(Glyphs.Params(size=SIZE))


@pytest.fixture(scope="module")
def glyphs(source: Glyphs, tmp_path_factory: pytest.TempPathFactory) -> Images:
    return load(source, tmp_path_factory.mktemp("cache"))


def trained(name: str, source: Glyphs, glyphs: Images) -> Method:
    """The method at its preset `tiny`, trained as the loop does."""
    method_class = registry.method(name)
    preset = dict(method_class.presets["tiny"])
    settings = Training(**preset.pop("training"))
    seed_everything(0)
    method = method_class(method_class.Params(**preset), Task(3, 3, SIZE))
    turns = Turns(method, settings)
    batches = Batches(glyphs, method_class.pairing, settings.batch_size, 0, source.params)
    for step in range(settings.steps):
        progress = step / settings.steps
        turns.set_learning_rate(learning_rate(method.params, step, progress))
        turns.step(method, Batch(*batches.at(step), progress, step), settings.batch_size)
    turns.options.finish()
    return method


def distance(x: np.ndarray, y: np.ndarray) -> float:
    """Mean absolute difference, of images in [-1, 1]."""
    return float(np.abs(x.astype(float) - y).mean() / 127.5)


@pytest.fixture(scope="module")
def looks_like_b(glyphs: Images) -> Any:
    """images -> the share that a classifier takes for the target font; it saw real training glyphs and nothing else."""
    seed_everything(1)
    widths = (3, 16, 32, 64)
    layers = [
        layer
        for inner, outer in pairwise(widths)
        for layer in (nn.Conv2d(inner, outer, 3, 2, 1), nn.GroupNorm(4, outer), nn.ReLU())
    ]
    classifier = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))
    optimiser = torch.optim.Adam(classifier.parameters(), 3e-3)
    images = np.concatenate([glyphs.train_a, glyphs.train_b])
    is_b = torch.arange(len(images)) >= len(glyphs.train_a)
    for _ in range(300):
        rows = torch.randint(len(images), (64,))
        scores = classifier(to_float(images[rows.numpy()]))[:, 0]
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(scores, is_b[rows].float()).backward()
        optimiser.step()

    @torch.no_grad()
    def share(images: np.ndarray) -> float:
        return float((classifier(to_float(images)) > 0).float().mean())

    assert share(glyphs.test_b[:TESTED]) > share(glyphs.test_a[:TESTED]) + 0.4, "the judge cannot tell the fonts apart"
    return share


@pytest.mark.parametrize("name", ["bicyclegan", "palette", "bbdm"])
def test_the_mean_of_several_draws_comes_nearer_and_one_draw_passes_for_the_target(
    name: str, source: Glyphs, glyphs: Images, looks_like_b: Any
) -> None:
    inputs, targets = glyphs.test_a[:TESTED], glyphs.test_b[:TESTED].astype(float)
    method = trained(name, source, glyphs)
    draws = [translate(method, inputs, seed, CPU) for seed in range(DRAWS)]
    mean = np.mean([draw.astype(float) for draw in draws], axis=0)
    assert np.square(mean - targets).mean() < np.square(inputs - targets).mean()
    assert looks_like_b(draws[0]) > looks_like_b(inputs) + 0.1


@pytest.mark.parametrize("name", ["cut", "discogan", "ddib"])
def test_a_method_without_pairs_passes_for_the_target_with_a_stranger(
    name: str, source: Glyphs, glyphs: Images, looks_like_b: Any
) -> None:
    inputs, targets = glyphs.test_a[:TESTED], glyphs.test_b[:TESTED]
    outputs = translate(trained(name, source, glyphs), inputs, 0, CPU)
    assert looks_like_b(outputs) > looks_like_b(inputs) + 0.1
    assert distance(outputs, targets) < distance(outputs, np.roll(targets, 1, axis=0))

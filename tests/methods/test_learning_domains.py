"""StarGAN learns: half of its preset `tiny` on three fonts, and most outputs pass for the font that they were to be in.

The judge is a classifier of the three fonts that it never met, trained on real glyphs alone.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from i2ibench import registry
from i2ibench.data.batches import to_float
from i2ibench.data.cache import load
from i2ibench.data.domains import DomainBatches
from i2ibench.data.glyphs import Glyphs
from i2ibench.data.images import Images
from i2ibench.method import Batch, Task
from i2ibench.randomness import seed_everything
from i2ibench.sets import pairs_of
from i2ibench.training import learning_rate
from i2ibench.translation import translate
from i2ibench.turns import Turns

FONTS = ("regular", "bold", "serif")
STEPS = 500
TESTED = 256  # of the test images


def judge(train: list[np.ndarray]) -> nn.Module:
    """A classifier of the fonts, trained for a moment."""
    seed_everything(1)
    widths = (3, 16, 32, 64)
    layers = [
        layer
        for inner, outer in pairwise(widths)
        for layer in (nn.Conv2d(inner, outer, 3, 2, 1), nn.GroupNorm(4, outer), nn.ReLU())
    ]
    classifier = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], len(train)))
    optimiser = torch.optim.Adam(classifier.parameters(), 3e-3)
    images = np.concatenate(train)
    fonts = torch.cat([torch.full((len(each),), i) for i, each in enumerate(train)])
    for _ in range(400):
        rows = torch.randint(len(images), (64,))
        optimiser.zero_grad()
        nn.functional.cross_entropy(classifier(to_float(images[rows.numpy()])), fonts[rows]).backward()
        optimiser.step()
    return classifier


def distance(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.abs(x.astype(float) - y).mean())


@pytest.mark.slow
def test_stargan_learns_all_ways_between_three_fonts(tmp_path: Path) -> None:
    params = Glyphs.Params(size=32, domains=FONTS)
    pairs: list[Images] = [load(Glyphs(each), tmp_path) for each in pairs_of(params)]
    train, test = ([getattr(pairs[0], f"{s}_a"), *(getattr(p, f"{s}_b") for p in pairs)] for s in ("train", "test"))
    method_class = registry.method("stargan")
    preset = dict(method_class.presets["tiny"])
    batch_size = preset.pop("training")["batch_size"]
    seed_everything(0)
    method = method_class(method_class.Params(**preset), Task(3, 3, 32, domains=3))
    turns, batches = Turns(method), DomainBatches(pairs, batch_size, 0, params)
    for step in range(STEPS):
        turns.set_learning_rate(learning_rate(method.params, step, step / STEPS))
        a, b, of_a, of_b = batches.at(step)
        turns.step(method, Batch(a, b, step / STEPS, step, of_a, of_b), batch_size)
    classifier = judge(train)

    @torch.no_grad()
    def share(images: np.ndarray, font: int) -> float:
        return float((classifier(to_float(images)).argmax(1) == font).float().mean())

    for start, end in permutations(range(3), 2):
        method.task = replace(method.task, ends=(start, end))
        inputs, targets = test[start][:TESTED], test[end][:TESTED]
        outputs = translate(method, inputs, 0, torch.device("cpu"))
        assert share(targets, end) > share(inputs, end) + 0.5, "the judge cannot tell the fonts apart"
        assert share(outputs, end) > share(inputs, end) + 0.1, f"{FONTS[start]} to {FONTS[end]}"
        assert distance(outputs, targets) < distance(outputs, np.roll(targets, 1, axis=0))

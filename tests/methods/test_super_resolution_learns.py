"""Each method of super-resolution beats the bicubic floor after seconds at `tiny`; SRGAN from SRResNet's weights."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from i2ibench import registry, weights
from i2ibench.config import Training
from i2ibench.data.batches import Batches
from i2ibench.data.images import Images
from i2ibench.data.shapes import Shapes
from i2ibench.data.tasks import SuperResolve
from i2ibench.method import Batch, Method, Task
from i2ibench.metrics.luminance import psnr_y_values
from i2ibench.randomness import seed_everything
from i2ibench.training import learning_rate
from i2ibench.translation import translate
from i2ibench.turns import Turns

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
SOURCE = Shapes(Shapes.Params(kind="sim2real", size=32, train_images=300, test_images=64))


@pytest.fixture(scope="module")
def scenes() -> Images:
    """Lit, textured scenes of 32 pixels, seen at 8."""
    drawn, task = SOURCE.decode(), SuperResolve(scale=4)
    low = [np.stack([task.pair(image, 0)[0] for image in images]) for images in (drawn.train_b, drawn.test_b)]
    return Images(low[0], drawn.train_b, low[1], drawn.test_b, drawn.test_names, paired=True, fingerprint="0" * 64)


def trained(name: str, scenes: Images, begin: Method | None = None, **changed: Any) -> Method:
    """The method at its preset `tiny`, with some of its training settings changed, trained as the loop does."""
    method_class = registry.method(name)
    preset = dict(method_class.presets["tiny"])
    settings = Training(**preset.pop("training") | changed)
    seed_everything(0)
    method = method_class(method_class.Params(**preset), Task(3, 3, 32, 4))
    if begin is not None:
        weights.fill(method, begin.state_dict(), "it", False, logging.getLogger("test"))
    turns, batches = Turns(method), Batches(scenes, "paired", settings.batch_size, 0, SOURCE.params)
    for step in range(settings.steps):
        progress = step / settings.steps
        turns.set_learning_rate(learning_rate(method.params, step, progress))
        method.step(Batch(*batches.at(step), progress, step), turns)
    return method


def psnr(images: np.ndarray, scenes: Images) -> float:
    return float(psnr_y_values(images, scenes.test_b, 4).mean())


@pytest.mark.parametrize("name", ["srcnn", "edsr"])
def test_it_beats_the_bicubic_floor(name: str, scenes: Images) -> None:
    outputs = translate(trained(name, scenes), scenes.test_a, 0, CPU)
    assert psnr(outputs, scenes) > psnr(scenes.test_a, scenes) + 0.1


def test_srresnet_beats_it_and_srgan_goes_on_from_there(scenes: Images) -> None:
    first = trained("srresnet", scenes)
    floor, begun = (psnr(images, scenes) for images in (scenes.test_a, translate(first, scenes.test_a, 0, CPU)))
    assert begun > floor + 0.1
    method = trained("srgan", scenes, first, steps=40)
    assert psnr(translate(method, scenes.test_a, 0, CPU), scenes) > floor + 0.1

"""A store with two trained trials, made once: a method of one layer, and one that goes both ways in several styles."""

from __future__ import annotations

import logging
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2ibench import benchmark, trial

LOG = logging.getLogger("tests.use")

FILE = """
    name: small
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data:
      shapes: {size: 32, train_images: 16, test_images: 6}
    methods:
      plain: {method: {tmp}/plain.py}
      munit: {preset: tiny, training: {steps: 2}}
    training: {steps: 20, batch_size: 4, log_every: 2}
    evaluation: {metrics: [ssim, psnr]}
"""

PLAIN = '''
    """A network of one layer and a discriminator that nobody asks after training."""

    from i2ibench.method import Batch, Method, Task, Turn


    class Plain(Method):
        paper = "none"
        pairing = "unpaired"
        players = ("generator", "discriminator")

        class Params(Method.Params):
            lr: float = 0.01

        def build(self, task: Task) -> None:
            import torch

            self.generator = torch.nn.Conv2d(3, 3, 3, padding=1)
            self.discriminator = torch.nn.Conv2d(3, 1, 3)

        def step(self, batch: Batch, turn: Turn) -> None:
            with turn("generator") as loss:
                loss.l1 = (self.generator(batch.a) - batch.b).abs().mean()
            with turn("discriminator") as loss:
                loss.mean = self.discriminator(batch.b).square().mean()

        def translate(self, a, *, rng):
            return self.generator(a).clamp(-1, 1)
'''


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of trained and scored trials: `plain` and `munit`."""
    folder = tmp_path_factory.mktemp("use")
    (folder / "plain.py").write_text(textwrap.dedent(PLAIN).lstrip(), encoding="utf-8")
    file = folder / "small.yaml"
    file.write_text(textwrap.dedent(FILE).replace("{tmp}", str(folder)), encoding="utf-8")
    plan, store = benchmark.load(file)
    for spec in plan.trials:
        trial.train_and_translate(spec, store, LOG)
        trial.score(spec, store, plan.protocol, plan.metrics(spec), torch.device("cpu"), LOG)
    return store.path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of images of several sizes, modes and formats, one of them in a folder of its own."""
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 9, 3), np.uint8)
    Image.fromarray(coarse).resize((90, 60)).save(folder / "photo.jpg")
    Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(folder / "grey.png")
    Image.new("RGBA", (31, 45), (0, 0, 255, 100)).save(folder / "more" / "clear.png")
    (folder / "notes.txt").write_text("no image")
    return folder

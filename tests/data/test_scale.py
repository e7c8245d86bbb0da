"""The scale of the task super-resolve reaches the crops, the methods and the metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2ibench import benchmark, build, gather
from i2ibench.data.batches import Batches
from i2ibench.data.cache import load
from i2ibench.data.folder import Folder
from i2ibench.dataset import load_images
from i2ibench.metrics.protocol import PROTOCOLS
from i2ibench.spec import TrialSpec

FILE = """
    seeds: [0]
    store: {tmp}/runs
    data:
      photos: {{source: folder, path: {tmp}/photos, layout: images, size: 16, task: {{name: super-resolve, scale: 2}}}}
    methods:
      edsr: {{preset: tiny}}
    evaluation: {{metrics: [psnr_y]}}
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for part in ("train", "test"):
        (tmp_path / "photos" / part).mkdir(parents=True)
        for i in range(2):
            pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / part / f"{i}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_crops_begin_where_a_pixel_of_the_small_image_does(photos: Path, tmp_path: Path, scale: int) -> None:
    task = {"name": "super-resolve", "scale": scale}
    params = Folder.Params(path=str(photos), layout="images", size=16, load_size=40, task=task)
    assert params.scale == scale
    images = load(Folder(params), tmp_path / "cache")
    batches = Batches(images, "paired", 16, 0, params)
    seen = set()
    for step in range(8):
        for crop, row in zip(batches.at(step)[1], batches.indices(step)[0], strict=True):
            pixels = ((crop + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
            windows = np.lib.stride_tricks.sliding_window_view(images.train_b[row], (16, 16, 3))[:, :, 0]
            ((top, left),) = np.argwhere((windows == pixels).all(axis=(2, 3, 4)))
            seen.add((int(top), int(left)))
    starts = range(0, 40 - 16 + 1, scale)
    assert seen <= {(top, left) for top in starts for left in starts}
    assert len(seen) > len(starts), "and not always at the same place"


def test_another_task_crops_anywhere(photos: Path) -> None:
    params = Folder.Params(path=str(photos), layout="images", size=16, task="colorize")
    assert params.scale == 1


def test_a_method_and_its_scores_know_the_scale(
    photos: Path, benchmark_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    the_plan, store = benchmark.load(benchmark_file(FILE))
    (spec,) = the_plan.trials
    method = build.make_method(TrialSpec.from_json(spec.to_json()), store, torch.device("cpu"))
    assert method.task.scale == 2
    assert method.translate(torch.zeros(1, 3, 16, 16), rng=torch.Generator()).shape == (1, 3, 16, 16)
    images = load_images(spec, store)
    offline, cpu = PROTOCOLS["offline"], torch.device("cpu")
    material = gather.material(spec, store, images, images.test_b, ["psnr_y"], offline, cpu)
    assert material.scale == 2

"""A benchmark that looks finished: a real plan, store and data set, with made-up outputs in place of training."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from i2ibench import benchmark
from i2ibench.data import cache

FILE = """
    name: judged
    seeds: 2
    store: {tmp}/runs
    reports: {tmp}/reports
    data:
      shapes: {size: 32, train_images: 4, test_images: 12}
    methods:
      copy:
      cvae: {preset: tiny}
      pix2pix: {preset: tiny}
      "<i>cycle": {method: cyclegan, preset: tiny}
    evaluation: {metrics: [ssim, psnr]}
"""
BLUR = {"cvae": 2.0, "pix2pix": 0.5, "<i>cycle": 1.0}  # pixels by which each method's outputs miss their targets


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """The benchmark file; its store holds outputs of three methods, two seeds each, that are blurred targets."""
    file = tmp_path / "judged.yaml"
    file.write_text(textwrap.dedent(FILE).replace("{tmp}", str(tmp_path)), encoding="utf-8")
    plan, store = benchmark.load(file)
    images = cache.load(plan.data["shapes"].source, store.data_cache)
    for spec in plan.trials:
        trial = store.trial(spec.id)
        trial.write_spec(spec.to_json())
        blur = ImageFilter.GaussianBlur(BLUR.get(spec.label, 0) + spec.seed / 8)
        trial.write_outputs(np.stack([np.asarray(Image.fromarray(image).filter(blur)) for image in images.test_b]))
        trial.write_result({"steps": 1, "seconds": 1.0})
    return file

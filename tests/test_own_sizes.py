"""A benchmark whose test images keep their sizes: trained on squares, scored whole, shown, studied and packed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from i2ibench import benchmark, frames
from i2ibench.data.ragged import Ragged
from i2ibench.dataset import load_images
from i2ibench.metrics.luminance import psnr_y_values
from i2ibench.report import grids

FILE = """
    name: own
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data:
      photos:
        source: folder
        path: {tmp}/photos
        layout: images
        size: 32
        fit: crop
        test_size: own
        task: {{name: super-resolve, scale: 2}}
        metrics: [ssim, psnr_y, ssim_y]
    methods:
      copy:
      oracle:
      edsr: {{preset: tiny, width: 4}}
      pix2pix: {{preset: tiny, width: 4, discriminator_layers: 1}}
    training: {{steps: 2, batch_size: 2}}
"""
SIZES = ((40, 61), (33, 32))  # height, width


@pytest.fixture
def file(benchmark_file: Callable[..., Path], tmp_path: Path) -> Path:
    photo = data.astronaut()
    for part, sizes in (("train", ((32, 32),) * 3), ("test", SIZES)):
        (tmp_path / "photos" / part).mkdir(parents=True)
        for i, (height, width) in enumerate(sizes):
            crop = photo[100 + 20 * i :, 200:][:height, :width]
            Image.fromarray(crop).save(tmp_path / "photos" / part / f"{i}.png")
    return benchmark_file(FILE)


def test_a_whole_run(file: Path, tmp_path: Path, command_line: Callable[..., tuple[int, str, str]]) -> None:
    code, _, said = command_line("run", file, "--executor", "local")
    assert code == 0, said
    the_plan, store = benchmark.load(file)
    assert [skip.label for skip in the_plan.skipped] == ["oracle"]
    assert "keep their own" in the_plan.skipped[0].reason
    specs = {spec.label: spec for spec in the_plan.trials}
    images = load_images(specs["copy"], store)
    assert isinstance(images.test_b, Ragged)
    for label, spec in specs.items():
        outputs = store.trial(spec.id).outputs()
        assert isinstance(outputs, Ragged)
        assert outputs.shapes.tolist() == [[40, 60], [32, 32]], label
        scores = store.trial(spec.id).per_image(spec.score_key(the_plan.key))
        assert scores["psnr_y"] == pytest.approx(psnr_y_values(outputs, images.test_b, 2))
    copied = store.trial(specs["copy"].id).outputs()
    assert copied is not None
    assert all(np.array_equal(one, other) for one, other in zip(copied, images.test_a, strict=True))
    assert set(frames.bounds(the_plan, store)["photos"]) == {"psnr_y", "ssim_y"}
    page = (tmp_path / "reports/own/index.html").read_text()
    assert "bicubic of tables" in page
    assert (tmp_path / "reports/own/figures/samples-photos.png").exists()


def test_what_is_trained_is_used_like_any_other(
    file: Path, tmp_path: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    assert command_line("run", file, "--executor", "local")[0] == 0
    store = tmp_path / "runs"
    for label in ("edsr", "pix2pix"):
        code, _, said = command_line("pack", label, "--store", store, "--to", tmp_path / label)
        assert code == 0, said
        assert (tmp_path / label / "samples.png").exists()
        code, _, said = command_line(
            "translate", label, tmp_path / "photos/test", tmp_path / "out" / label, "--store", store
        )
        assert code == 0, said
        with Image.open(tmp_path / "out" / label / "0.png") as image:
            assert image.size == (61, 40), "any size comes back at its size"


def test_metrics_of_one_size_are_refused_with_their_place(
    file: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    file.write_text(file.read_text().replace("[ssim, psnr_y, ssim_y]", "[ssim, diversity]"))
    code, _, said = command_line("plan", file)
    assert code == 2
    assert "benchmark.yaml:15" in said
    assert "'diversity' is for test images of one size" in said


def test_an_image_too_small_for_a_metric_is_found_before_anything_is_trained(
    file: Path, tmp_path: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    Image.new("RGB", (90, 12)).save(tmp_path / "photos/test/0.png")
    code, _, said = command_line("run", file, "--executor", "local")
    assert code == 2
    assert "metric 'ssim_y' needs images of 15 pixels, and one has an edge of 12" in said
    assert not list((tmp_path).glob("runs/*-s0-*"))


@pytest.mark.skipif("I2IBENCH_SET5" not in os.environ, reason="I2IBENCH_SET5 names no folder with the five images")
def test_a_board_of_set5_has_the_published_floor(file: Path, tmp_path: Path, command_line: Callable[..., Any]) -> None:
    shutil.rmtree(tmp_path / "photos" / "test")
    (tmp_path / "photos" / "test").symlink_to(os.environ["I2IBENCH_SET5"])
    file.write_text(file.read_text().replace("scale: 2", "scale: 4").split("  oracle:")[0])
    assert command_line("run", file, "--executor", "local")[0] == 0
    found = frames.bounds(*benchmark.load(file))["photos"]
    assert round(found["psnr_y"]["bicubic of tables"], 2) == 28.42
    assert round(found["ssim_y"]["bicubic of tables"], 4) == 0.8104
    assert "| 28.42" in (tmp_path / "reports/own/leaderboard.md").read_text()


def test_images_of_several_shapes_stand_in_the_middle_of_their_places() -> None:
    tall, wide = np.zeros((400, 100, 3), np.uint8), np.zeros((30, 60, 3), np.uint8)
    drawing = grids.draw([[tall, wide]], ["tall", "wide"], ["row"], {})
    (canvas,) = [image.get_array() for axes in drawing.axes for image in axes.images]
    dark = np.asarray(canvas).max(axis=2) == 0
    assert canvas.shape[:2] == (grids.LARGEST, 2 * grids.LARGEST + grids.GUTTER)
    heights, widths = (np.flatnonzero(dark[:, : grids.LARGEST].any(axis=axis)) for axis in (1, 0))
    assert (len(heights), len(widths)) == (grids.LARGEST, grids.LARGEST // 4)
    assert widths[0] == grids.LARGEST - 1 - widths[-1]
    heights, widths = (np.flatnonzero(dark[:, grids.LARGEST :].any(axis=axis)) for axis in (1, 0))
    assert len(widths) == 2 * len(heights) == 120, "enlarged by whole pixels"

"""The benchmark files that ship load and plan: every key, method, preset and metric in them is one that there is."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2ibench import config, plan, registry, weights
from i2ibench.data import fetch
from i2ibench.method import Task

NAMES = ("facade-windows", "emoji", "facades/facades", "horse2zebra/horse2zebra")  # the last two as fetched by name
SINGLE = ("div2k/DIV2K_train_HR", "div2k/DIV2K_valid_HR", "set5/Set5_HR")  # and so these, which have no splits
FILES = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.yaml"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders like those that the files speak of, with two images in each."""
    home = tmp_path_factory.mktemp("images")
    gradient = np.linspace(0, 255, 32 * 64 * 3).reshape(32, 64, 3)
    parts = ("train", "test", "trainA", "trainB", "testA", "testB")
    for part in (f"{name}/{part}" for name in NAMES for part in parts):
        (home / part).mkdir(parents=True)
        for i in range(2):
            shade = 40 * len(part) * i + len(part)
            ending = "jpg" if part.startswith(("facade", "horse")) else "png"
            Image.fromarray(((gradient + shade) % 255).astype(np.uint8)).save(home / part / f"{i}.{ending}")
    for part in SINGLE:
        (home / part).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(gradient.astype(np.uint8)[: 30 - i]).save(home / part / f"{i}.png")
    for name in ("facades", "horse2zebra", "div2k", "set5"):
        (home / name / fetch.DONE).touch()
    return home


def made(file: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> plan.Plan:
    monkeypatch.setenv("I2IBENCH_DATA", str(images))
    monkeypatch.setattr(fetch, "home", lambda name: images / name)
    monkeypatch.chdir(tmp_path)  # its store is none
    return plan.make(config.load(file))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_benchmark_file_plans_and_says_what_it_costs(
    file: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_plan = made(file, images, tmp_path, monkeypatch)
    assert the_plan.name == file.stem
    for label in {entry.label for entry in config.load(file).methods}:
        assert any(spec.label == label for spec in the_plan.trials), f"{label} runs nowhere"
    comment = " ".join(line.removeprefix("#") for line in file.read_text("utf-8").split("name:")[0].splitlines())
    assert re.search(r"minutes|GPU-hours|short budget|costs", comment), "what does it cost?"


def test_the_transfer_compares_at_each_budget(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    the_plan = made(next(f for f in FILES if f.stem == "transfer"), images, tmp_path, monkeypatch)
    rows = {(spec.label, spec.data): spec for spec in the_plan.trials if spec.seed == 0}
    for budget in ("serif-25", "serif-50", "serif-100", "serif-300"):
        scratch, transfer = rows["scratch", budget], rows["transfer", budget]
        assert scratch.training == transfer.training
        assert transfer.init_from is not None
        assert transfer.init_from["trial"] == rows["scratch", "bold"].id
    assert {(skip.label, skip.data) for skip in the_plan.skipped} == {
        (label, "bold") for label in ("transfer", "vae-transfer", "vae-frozen")
    }


def test_what_the_files_freeze_is_there(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = {}
    for file in FILES:
        for spec in made(file, images, tmp_path, monkeypatch).trials:
            if spec.freeze:
                frozen[spec.method, spec.freeze] = spec
    assert frozen
    for spec in frozen.values():
        method_class = registry.method(spec.method)
        method = method_class(method_class.Params(**spec.params), Task(3, 3, spec.source_params["size"]))
        weights.freeze(method, spec.freeze)


def test_the_bicubic_floor_of_a_folder_of_any_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plane of constant slope is given back by cubic interpolation, but near the border that is cut off."""
    for height, width in ((67, 90), (50, 44)):
        y, x = np.mgrid[:height, :width]
        plane = np.repeat((40 + y + x)[..., None], 3, axis=2).astype(np.uint8)
        Image.fromarray(plane).save(tmp_path / f"{height}.png")
    monkeypatch.setattr("sys.argv", ["bicubic.py", str(tmp_path), "--scale", "4"])
    runpy.run_path(str(FILES[0].parent / "bicubic.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    for line, name in zip(lines, ("tables", "luminance", "RGB"), strict=True):
        found = re.fullmatch(rf"{name} +x4: PSNR ([\d.]+) dB, SSIM ([\d.]+)", line)
        assert found
        if name != "RGB":  # whose border is not cut off
            assert float(found[1]) > 50, "within half a grey level"
            assert float(found[2]) > 0.99


def test_the_operations_of_a_step_are_those_of_its_convolutions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SRCNN is three of them; each runs forward, for its weights, and for its input but where that is the image."""
    monkeypatch.syspath_prepend(FILES[0].parents[1])
    monkeypatch.setattr(
        "sys.argv",
        ["device_step.py", "--method", "srcnn", "--size", "32", "--batch", "2", "--width", "16", "--steps", "2"],
    )
    with pytest.MonkeyPatch.context() as smaller:
        device_step = importlib.import_module("benchmarks.device_step")
        smaller.setattr(device_step, "EDGES", {"cpu": (256,), "cuda": (4096,)})
        device_step.main()
    line = re.compile(
        r"\| ([\d.]+) ms a step \| (\d+) operators \| ([\d.]+) GFLOP \| \d+ MB \| busy (\d+)% \| ([\d.]+)% of"
    )
    found = line.search(capsys.readouterr().out)
    assert found
    forward = [2 * 2 * 32 * 32 * inputs * outputs * k * k for inputs, outputs, k in ((3, 16, 9), (16, 8, 1), (8, 3, 5))]
    assert float(found[3]) == pytest.approx((3 * sum(forward) - forward[0]) / 1e9, abs=0.005)
    assert int(found[2]) > 20
    assert 0 < int(found[4]) <= 100
    assert float(found[1]) > 0
    assert float(found[5]) > 0


PUBLISHED = {2: (33.66, 0.9299), 3: (30.39, 0.8682), 4: (28.42, 0.8104)}  # bicubic on Set5 (EDSR, table 3)


@pytest.mark.parametrize("scale", PUBLISHED)
def test_the_bicubic_floor_of_set5_is_the_published_one_to_the_last_digit(scale: int) -> None:
    folder = os.environ.get("I2IBENCH_SET5")
    if folder is None:
        pytest.skip("its images may not be shipped: set I2IBENCH_SET5 to the folder that holds the five")
    floors = runpy.run_path(str(FILES[0].parent / "bicubic.py"))["floors"]
    psnr, ssim = floors(Path(folder), scale)["tables"]
    assert (round(psnr, 2), round(ssim, 4)) == PUBLISHED[scale]


def test_a_grey_file_is_its_own_luminance_in_published_tables(tmp_path: Path) -> None:
    """Through RGB its 256 levels would become 16 to 235, and every error smaller: 20 log(255 / 219) = 1.32 dB."""
    grey = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    of_tables = runpy.run_path(str(FILES[0].parent / "bicubic.py"))["of_tables"]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(tmp_path / "rgb.png")
    difference = of_tables(tmp_path / "rgb.png", 2)[0] - of_tables(tmp_path / "grey.png", 2)[0]
    assert difference == pytest.approx(20 * np.log10(255 / 219), abs=0.02)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_what_runs_on_a_gpu() -> None:
    script = Path(__file__).parents[1] / "benchmarks/on_gpu.sh"
    done = subprocess.run(
        ["shellcheck", "--severity=warning", str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout

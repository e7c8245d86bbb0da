"""The benchmark that a new user runs first, whole, by its own command: everything finishes, and every method has learned."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from i2ibench import benchmark
from i2ibench.data.cache import load
from i2ibench.plan import Plan
from i2ibench.store import Store

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the default benchmark ran, as the README says."""
    folder = tmp_path_factory.mktemp("default")
    shutil.copy(ROOT / "benchmark.yaml", folder)
    command = [sys.executable, "-m", "i2ibench", "run", "benchmark.yaml"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "report: reports/glyphs/index.html" in run.stdout
    return folder


@pytest.fixture
def finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Store]:
    monkeypatch.chdir(folder)
    return benchmark.load("benchmark.yaml")


def test_the_report_is_complete(folder: Path) -> None:
    report = folder / "reports" / "glyphs"
    for name in ("index.html", "leaderboard.md", "leaderboard.csv", "results.parquet"):
        assert (report / name).stat().st_size > 0
    pictures = {path.suffix for path in (report / "figures").iterdir()}
    assert pictures == {".png", ".svg", ".pdf"}
    table = pd.read_parquet(report / "results.parquet")
    assert set(table["state"]) == {"done"}
    assert {"copy", "oracle", "vae", "cvae", "pix2pix", "cyclegan", "unit", "munit"} == set(table["label"])


def test_pix2pix_beats_copy(folder: Path) -> None:
    table = pd.read_parquet(folder / "reports" / "glyphs" / "results.parquet")
    mean = table[table["kind"] == "score"].groupby(["label", "metric"])["value"].mean()
    assert mean["pix2pix", "lpips"] < mean["copy", "lpips"]
    assert mean["pix2pix", "fid"] < mean["copy", "fid"]
    assert mean["pix2pix", "ssim"] > mean["copy", "ssim"]
    assert mean["oracle", "fid"] < mean.xs("fid", level="metric").drop("oracle").min(), "real images are the ceiling"


def test_no_methods_output_is_constant_or_noise(finished: tuple[Plan, Store]) -> None:
    plan, store = finished
    targets = load(plan.data["glyphs"].source, store.data_cache).test_b.astype(float)
    for spec in plan.trials:
        if not spec.trained:
            continue
        outputs = np.asarray(store.trial(spec.id).outputs(), dtype=float)
        variety = outputs.std(axis=0).mean() / targets.std(axis=0).mean()
        assert variety > 0.5, f"{spec.id}: outputs hardly depend on the input ({variety:.2f} of the targets' spread)"
        roughness = np.abs(np.diff(outputs, axis=2)).mean() / np.abs(np.diff(targets, axis=2)).mean()
        assert 0.4 < roughness < 2.0, f"{spec.id}: {roughness:.2f} times the targets' pixel-to-pixel change"
        alike = np.corrcoef(outputs.mean(axis=3).ravel(), targets.mean(axis=3).ravel())[0, 1]
        assert alike > 0.4, f"{spec.id}: outputs have little to do with their targets (correlation {alike:.2f})"


def test_running_it_again_answers_from_the_store_without_ray(folder: Path) -> None:
    script = (
        "import json, sys; from i2ibench import benchmark; benchmark.run('benchmark.yaml');"
        "print(json.dumps([name for name in ('ray', 'torch') if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout.splitlines()[-1]) == []

"""Several benchmarks on one board: which rows stay one, what is refused, and that the command writes the page."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from i2ibench import benchmark, joint
from i2ibench.cli import app
from i2ibench.errors import ConfigError
from i2ibench.plan import Plan
from i2ibench.store import Store

TEXT = """
    name: {name}
    seeds: [0, 1, 2]
    store: {tmp}/{name}-runs
    data:
      glyphs: {size: {size}}
    methods:
      copy:
      tiny: {method: {tmp}/tiny.py, lr: {lr}}
      same: {method: {tmp}/tiny.py, lr: 0.5}
    training: {steps: 6, batch_size: 4}
    evaluation: {protocol: {protocol}, metrics: [ssim, psnr]}
"""

Write = Callable[..., Path]


@pytest.fixture
def file(benchmark_file: Callable[..., Path]) -> Write:
    def write(name: str, lr: float, size: int = 16, protocol: str = "offline") -> Path:
        text = textwrap.dedent(TEXT)
        for key, value in {"name": name, "lr": lr, "size": size, "protocol": protocol}.items():
            text = text.replace("{" + key + "}", str(value))
        return benchmark_file(text, f"{name}.yaml")

    return write


def finish(plan: Plan, store: Store, ssim: float) -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 0.02, 40)
    for spec in plan.trials:
        key = spec.score_key(plan.protocol)
        values = (0.5 if spec.label != "tiny" else ssim) + hard + rng.normal(0, 0.001, 40)
        trial = store.trial(spec.id)
        trial.write_result({"id": spec.id, "cost": {"parameters": 84}, "players": {}, "provenance": {}})
        stamp = {"name": "offline", "warnings": [], "metrics": {m: {"revision": 1} for m in ("ssim", "psnr")}}
        scores = {"key": key, "values": {"ssim": float(values.mean()), "psnr": 11.0}, "protocol": stamp}
        trial.write_scores(key, scores, {"ssim": values})


def test_rows_of_the_same_trials_stay_one_and_others_are_told_apart(file: Write) -> None:
    runs = [benchmark.load(file("old", 0.1)), benchmark.load(file("new", 0.2))]
    plan, _, twins = joint.join(runs)
    assert {spec.label for spec in plan.trials} == {"copy", "same", "tiny (old)", "tiny (new)"}
    assert twins == {"tiny (old)": "tiny", "tiny (new)": "tiny"}
    assert len(plan.trials) == 1 + 3 * 3
    assert "# " + runs[0][0].file in plan.text


def test_each_trial_is_found_in_its_own_store(file: Write) -> None:
    runs = [benchmark.load(file("old", 0.1)), benchmark.load(file("new", 0.2))]
    finish(*runs[1], ssim=0.7)
    plan, store, _ = joint.join(runs)
    for spec in plan.trials:
        assert (store.trial(spec.id).result() is not None) == (spec.label != "tiny (old)"), spec.label


def test_the_command_writes_one_page_and_says_what_changed(file: Write, tmp_path: Path) -> None:
    files = [file("old", 0.1), file("new", 0.2)]
    for path, ssim in zip(files, (0.3, 0.6), strict=True):
        finish(*benchmark.load(path), ssim=ssim)
    page, changes = joint.compare(files, tmp_path / "joint")
    assert page == tmp_path / "joint/index.html"
    by_metric = {change.comparison.metric: change.comparison for change in changes}
    assert by_metric["ssim"].winner == "tiny (new)"
    assert by_metric["psnr"].winner is None
    table = pd.read_csv(tmp_path / "joint/leaderboard.csv").set_index("label")
    assert table.loc["tiny (new)", "ssim"] - table.loc["tiny (old)", "ssim"] == pytest.approx(0.3, abs=1e-3)
    said = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["compare", *map(str, files), "--to", str(tmp_path / "again")])
    assert said.exit_code == 0
    assert "is better" in said.output


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"size": 32},
            r"new.yaml:6: data.glyphs: data set 'glyphs' is another than at .*old.yaml:6: data.glyphs \(files, size or direction\)",
        ),
        ({"protocol": "standard"}, r"scored under different protocols \(offline and standard\)"),
    ],
)
def test_what_cannot_stand_in_one_table_is_refused(file: Write, other: dict[str, int], message: str) -> None:
    runs = [benchmark.load(file("old", 0.1)), benchmark.load(file("new", 0.2, **other))]
    with pytest.raises(ConfigError, match=message):
        joint.join(runs)


def test_one_file_is_nothing_to_compare(file: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two benchmark files or more"):
        joint.compare([file("old", 0.1)], tmp_path)

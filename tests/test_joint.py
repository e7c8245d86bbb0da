"""Several benchmarks on one board: which rows stay one, what is refused, and that the command writes the page."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from i2ibench import benchmark, changes, joint, report
from i2ibench.cli import app
from i2ibench.errors import ConfigError, StoreError
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
    hard = np.random.default_rng(0).normal(0, 0.02, 40)
    for spec in plan.trials:
        key = spec.score_key(plan.protocol)
        mean = ssim if spec.label == "tiny" else 0.5  # of which the others are copies
        rng = np.random.default_rng([round(1000 * mean), spec.seed])
        values = mean + hard + rng.normal(0, 0.001, 40)
        trial = store.trial(spec.id)
        trial.write_result({"id": spec.id, "cost": {"parameters": 84}, "players": {}, "provenance": {}})
        stamp = {"name": "offline", "warnings": [], "metrics": {m: {"revision": 1} for m in ("ssim", "psnr")}}
        scores = {"key": key, "values": {"ssim": float(values.mean()), "psnr": 11.0}, "protocol": stamp}
        trial.write_scores(key, scores, {"ssim": values})


def test_rows_of_the_same_trials_stay_one_and_others_are_told_apart(file: Write) -> None:
    runs = [benchmark.load(file("old", 0.1)), benchmark.load(file("new", 0.2))]
    made = joint.join(runs)
    assert {spec.label for spec in made.plan.trials} == {"copy", "same", "tiny (old)", "tiny (new)"}
    assert made.twins == {"tiny": ("tiny (old)", "tiny (new)")}
    assert len(made.plan.trials) == 1 + 3 * 3
    assert f"# old: {runs[0][0].file}" in made.plan.text


def test_each_trial_is_found_in_its_own_store(file: Write) -> None:
    runs = [benchmark.load(file("old", 0.1)), benchmark.load(file("new", 0.2))]
    finish(*runs[1], ssim=0.7)
    made = joint.join(runs)
    for spec in made.plan.trials:
        assert (made.store.trial(spec.id).result() is not None) == (spec.label != "tiny (old)"), spec.label


def test_a_metric_that_one_copy_has_besides_makes_no_other_training_of_it(file: Write, tmp_path: Path) -> None:
    plan, store = benchmark.load(file("old", 0.1))
    finish(plan, store, ssim=0.7)
    shutil.copytree(store.path, tmp_path / "copied")
    spec, copied = next(s for s in plan.trials if s.label == "tiny"), Store(tmp_path / "copied")
    key = spec.score_key(plan.protocol)
    scores = copied.trial(spec.id).scores(key)
    assert scores is not None
    for values, rows in (({"fid": 3.0}, {"tiny"}), ({"psnr": 12.0}, {"tiny (one)", "tiny (two)"})):
        copied.trial(spec.id).write_scores(key, scores | {"values": scores["values"] | values}, {})
        made = joint.join([(plan, store), (plan, copied)], ["one", "two"])
        assert {s.label for s in made.plan.trials} - {"copy", "same"} == rows


def test_a_run_that_is_a_copy_of_another_stands_in_its_rows(file: Write, tmp_path: Path) -> None:
    plan, first = benchmark.load(file("old", 0.1))
    second = Store(tmp_path / "second")
    finish(plan, first, ssim=0.4)
    finish(plan, second, ssim=0.7)
    shutil.copytree(second.path, tmp_path / "third")
    runs = [(plan, first), (plan, second), (plan, Store(tmp_path / "third"))]
    made = joint.join(runs, ["1", "2", "3"])
    assert made.twins["tiny"] == ("tiny (1)", "tiny (2)")
    assert [rows["tiny"] for rows in made.rows] == ["tiny (1)", "tiny (2)", "tiny (2)"]
    assert {spec.label for spec in made.plan.trials} >= {"tiny (1)", "tiny (2)"}
    assert "tiny (3)" not in {spec.label for spec in made.plan.trials}
    assert sum(spec.label.startswith("tiny") for spec in made.plan.trials) == 2 * 3
    assert [rows["copy"] for rows in made.rows] == ["copy"] * 3
    board = report.build(made.plan, made.store).boards[0]
    costs = {one.cost: one.values for one in changes.find(runs, made, [board]).costs}
    assert costs["parameters"] == (84, 84, 84), "and has their costs"


def test_the_command_writes_one_page_and_says_what_changed(file: Write, tmp_path: Path) -> None:
    files = [file("old", 0.1), file("new", 0.2)]
    for path, ssim in zip(files, (0.3, 0.6), strict=True):
        finish(*benchmark.load(path), ssim=ssim)
    page, compared = joint.compare(files, tmp_path / "joint")
    assert page == tmp_path / "joint/index.html"
    by_metric = {change.comparison.metric: change.comparison for change in compared.scores}
    assert by_metric["ssim"].winner == "tiny (new)"
    assert by_metric["psnr"].winner is None
    table = pd.read_csv(tmp_path / "joint/leaderboard.csv").set_index("label")
    assert table.loc["tiny (new)", "ssim"] - table.loc["tiny (old)", "ssim"] == pytest.approx(0.3, abs=1e-3)
    said = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["compare", *map(str, files), "--to", str(tmp_path / "again")])
    assert said.exit_code == 0
    assert "is better" in said.output
    assert [(one.what, one.where, one.values) for one in compared.differences] == [
        ("params.lr", "all shared", ("0.1", "0.2"))
    ]
    said = page.read_text(encoding="utf-8")
    assert "What changed" in said
    assert "holds no images" not in said


def test_scores_that_one_run_lacks_are_named(file: Write) -> None:
    runs = [benchmark.load(file("old", 0.1)), benchmark.load(file("new", 0.2))]
    plan, store = runs[1]
    fewer = {label: replace(data, metrics=("psnr",)) for label, data in plan.data.items()}
    found = changes.find([runs[0], (replace(plan, data=fewer), store)], joint.join(runs), [])
    assert ("scores that not all have", ("SSIM", "–")) in [(one.what, one.values) for one in found.differences]


def test_two_stores_of_one_file_that_were_trained_apart_are_told_apart_with_their_costs(
    file: Write, tmp_path: Path
) -> None:
    path = file("old", 0.1)
    plan, first = benchmark.load(path)
    second = Store(tmp_path / "elsewhere")
    finish(plan, first, ssim=0.4)
    finish(plan, second, ssim=0.7)
    for spec in plan.trials:
        if spec.label == "tiny":  # the others are copies, as `merge` would have made them
            git = {"dirty": True, "diff": "+a\n-b"} if spec.seed == 0 else {"dirty": False}
            hardware = {"processor": "a faster one", "host": "x"}
            cost = {"parameters": 84, "train_seconds": 5.0}
            made = {"hardware": hardware, "git": git}
            second.trial(spec.id).write_result({"id": spec.id, "cost": cost, "provenance": made})
            cost = {"parameters": 84, "train_seconds": 50.0}
            hardware = {"processor": "a slow one", "host": "y"}
            made = {"hardware": hardware, "git": {"dirty": False}}
            first.trial(spec.id).write_result({"id": spec.id, "cost": cost, "provenance": made})
        else:
            shutil.copytree(first.trial(spec.id).path, second.trial(spec.id).path, dirs_exist_ok=True)
    other = f"{path}@{tmp_path / 'elsewhere'}"
    page, compared = joint.compare([path, other], tmp_path / "joint")
    assert compared.names == (str(path), other)
    table = pd.read_csv(page.with_name("leaderboard.csv")).set_index("label")
    assert set(table.index) == {"copy", "same", f"tiny ({path})", f"tiny ({other})"}
    assert table.loc[f"tiny ({path})", "train_seconds"] == 50
    assert table.loc[f"tiny ({other})", "train_seconds"] == 5
    assert {one.cost: one.values for one in compared.costs} == {"parameters": (84, 84), "train_seconds": (50, 5)}
    assert ("hardware.processor", ("a slow one", "a faster one")) in [(d.what, d.values) for d in compared.differences]
    of = {one.what: one.values for one in compared.differences}
    assert of["uncommitted changes"] == ("no", "no (2 trials), yes (1 trial)")
    assert of["git.diff"] == ("–", "2 lines")
    assert not compared.same_hardware
    assert compared.differences[0].what == "trained anew (same settings and code)"
    best = {change.comparison.winner for change in compared.scores if change.comparison.metric == "ssim"}
    assert best == {f"tiny ({other})"}
    with pytest.raises(ConfigError, match="nowhere: there is no such folder; after the @"):
        joint.compare([path, f"{path}@nowhere"], tmp_path / "joint")
    with pytest.raises(ConfigError, match=r"was given .*old\.yaml twice"):
        joint.compare([path, path], tmp_path / "joint")


def test_other_seeds_are_no_other_code_and_no_verdict_on_trainings(file: Write, tmp_path: Path) -> None:
    files = [file("old", 0.1), file("new", 0.1)]
    files[1].write_text(files[1].read_text().replace("seeds: [0, 1, 2]", "seeds: [7]"))
    for path, ssim in zip(files, (0.3, 0.6), strict=True):
        finish(*benchmark.load(path), ssim=ssim)
    page, compared = joint.compare(files, tmp_path / "joint")
    found = {one.what: (one.where, one.values) for one in compared.differences}
    assert not any("hash" in what for what in found)
    assert found["trained with other seeds (same settings, method and data)"] == ("all shared", ("0, 1, 2", "7"))
    assert "fewer than two seeds in common" in page.read_text(encoding="utf-8")
    files[1].write_text(files[1].read_text().replace("seeds: [7]", "seeds: [7, 8]"))
    finish(*benchmark.load(files[1]), ssim=0.6)
    page, _ = joint.compare(files, tmp_path / "joint")
    said = page.read_text(encoding="utf-8")
    assert "Welch" in said
    assert "fewer than two seeds in common" not in said


def test_reports_are_compared_without_their_stores_and_say_the_same(file: Write, tmp_path: Path) -> None:
    files = [file("old", 0.1), file("new", 0.2)]
    for path, ssim in zip(files, (0.3, 0.6), strict=True):
        finish(*benchmark.load(path), ssim=ssim)
    _, expected = joint.compare(files, tmp_path / "of-files")
    folders = []
    for path in files:
        plan, store = benchmark.load(path)
        report.write(plan, store, {}, tmp_path / plan.name)
        folders.append(tmp_path / plan.name)
        shutil.rmtree(store.path)
    page, found = joint.compare(folders, tmp_path / "of-reports")
    assert "The folder of a report holds no images: the rows of old, new are in no sample grid" in page.read_text(
        encoding="utf-8"
    )
    assert found.differences == expected.differences
    assert found.scores == expected.scores
    pd.testing.assert_frame_equal(
        pd.read_csv(page.with_name("leaderboard.csv")), pd.read_csv(tmp_path / "of-files/leaderboard.csv")
    )
    (folders[0] / "trials.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(StoreError, match=r"trials.parquet: cannot be read \("):
        joint.compare(folders, tmp_path / "of-reports")
    (folders[0] / "trials.parquet").unlink()
    with pytest.raises(StoreError, match=r"has no trials.parquet, .* draw the report again"):
        joint.compare(folders, tmp_path / "of-reports")


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
    with pytest.raises(ConfigError, match="two runs or more"):
        joint.compare([file("old", 0.1)], tmp_path)


def test_a_run_whose_store_has_nothing_is_refused_and_no_report_replaced(file: Write, tmp_path: Path) -> None:
    done, missing = file("done", 0.1), file("missing", 0.2)
    finish(*benchmark.load(done), 0.5)
    with pytest.raises(ConfigError, match=r"missing.yaml: none of its trials is done in .*missing-runs; .*@STORE"):
        joint.compare([done, missing], tmp_path / "joint")
    assert not (tmp_path / "joint").exists()


def test_what_a_store_lacks_of_a_row_that_is_told_apart_is_not_the_others(file: Write, tmp_path: Path) -> None:
    path = file("old", 0.1)
    plan, first = benchmark.load(path)
    second = Store(tmp_path / "elsewhere")
    finish(plan, first, ssim=0.4)
    finish(plan, second, ssim=0.7)
    (one, *others) = (spec for spec in plan.trials if spec.label == "tiny")
    second.trial(one.id).write_result({"id": one.id, "cost": {"parameters": 84, "train_seconds": 5.0}})
    for spec in others:  # only the first seed was done there
        shutil.rmtree(second.trial(spec.id).path)
    for order in ([(plan, first), (plan, second)], [(plan, second), (plan, first)]):
        made = joint.join(order, ["a", "b"])
        done = {}
        for spec in made.plan.trials:
            if spec.label.startswith("tiny"):
                done.setdefault(spec.label, []).append(made.store.trial(spec.id).result() is not None)
        whole, half = ("tiny (a)", "tiny (b)") if order[0][1] is first else ("tiny (b)", "tiny (a)")
        assert done == {whole: [True] * 3, half: [True, False, False]}

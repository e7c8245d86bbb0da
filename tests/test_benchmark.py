"""From file to report in this process, on real glyphs: runs once, resumes, survives failures, repeats to the last digit."""

import html
import io
import json
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from i2ibench import benchmark
from i2ibench.data.cache import load
from i2ibench.errors import ConfigError, I2IBenchError
from i2ibench.store import Store

Write = Callable[..., Path]
FAILING = """
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data: {{glyphs: {{size: 16}}}}
    methods:
      good: {{method: tiny.py}}
      bad: {{method: tiny.py, poison_at: 3}}
    training: {{steps: 6, batch_size: 4, log_every: 2}}
    evaluation: {{metrics: [ssim]}}
"""


def run(file: Path, **options) -> tuple[benchmark.Summary, str]:
    out = io.StringIO()
    summary = benchmark.run(file, executor="local", console=Console(file=out, width=200), **options)
    return summary, out.getvalue()


def scores(file: Path) -> dict[str, dict]:
    plan, store = benchmark.load(file)
    return {spec.id: store.trial(spec.id).scores(plan.protocol.key()) for spec in plan.trials}


def test_a_run_ends_in_a_report_and_a_second_one_does_nothing(benchmark_file: Write, tmp_path: Path) -> None:
    file = benchmark_file()
    summary, said = run(file)
    assert set(summary.states.values()) == {"done"}
    assert summary.report == tmp_path / "reports" / "tiny" / "index.html"
    for name in ("leaderboard.md", "leaderboard.csv", "results.parquet"):
        assert (summary.report.parent / name).stat().st_size > 0
    assert "tiny | glyphs | seed 0: done" in said
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    again, said = run(file)
    assert again == summary
    assert said == ""
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before, (
        "not even the report is drawn again"
    )


def test_the_same_file_and_seed_give_the_same_scores_to_the_last_digit(benchmark_file: Write, tmp_path: Path) -> None:
    file = benchmark_file()
    run(file)
    first, outputs = scores(file), {p.parent.name: np.load(p) for p in (tmp_path / "runs").rglob("outputs.npy")}
    shutil.rmtree(tmp_path / "runs")
    run(file)
    assert scores(file) == first
    for name, images in outputs.items():
        assert np.array_equal(np.load(tmp_path / "runs" / name / "outputs.npy"), images)


def test_a_failing_trial_stops_no_other_and_is_shown(benchmark_file: Write) -> None:
    file = benchmark_file(FAILING)
    summary, said = run(file)
    plan, _ = benchmark.load(file)
    states = {spec.label: summary.states[spec.id] for spec in plan.trials}
    assert states == {"good": "done", "bad": "failed"}
    assert len(summary.failed) == 1
    assert "failed: the loss generator.l1 became nan" in said
    assert "log.txt" in said
    page = summary.report.read_text()
    assert "the loss generator.l1 became nan" in page
    error = next((summary.report.parents[2] / "runs").rglob("error.json"))
    assert json.loads(error.read_text())["kind"] == "DIVERGED"
    assert "Traceback" in Path(json.loads(error.read_text())["log"]).read_text(), "the log has the whole story"


def test_a_failed_trial_is_tried_again(benchmark_file: Write, tmp_path: Path) -> None:
    file = benchmark_file(FAILING)
    run(file)
    good = next((tmp_path / "runs").glob("tiny-*/result.json"))
    before = good.stat().st_mtime_ns
    attempts = [p.read_text().count("Traceback") for p in sorted((tmp_path / "runs").glob("tiny-*/log.txt"))]
    run(file)
    after = [p.read_text().count("Traceback") for p in sorted((tmp_path / "runs").glob("tiny-*/log.txt"))]
    assert sum(after) == sum(attempts) + 1
    assert good.stat().st_mtime_ns == before, "what is finished is left alone"


def test_an_interrupted_run_goes_on_from_its_checkpoint(benchmark_file: Write, tmp_path: Path, monkeypatch) -> None:
    from i2ibench.training import Loop

    file = benchmark_file()
    run(file)
    expected = scores(file)
    shutil.rmtree(tmp_path / "runs")
    one_step = Loop._one_step

    def killed(self: Loop) -> None:
        if self.step == 5:
            raise KeyboardInterrupt
        one_step(self)

    monkeypatch.setattr(Loop, "_one_step", killed)
    with pytest.raises(KeyboardInterrupt):
        run(file)
    monkeypatch.undo()
    run(file)
    assert scores(file) == expected
    log = next((tmp_path / "runs").glob("tiny-*/log.txt")).read_text()
    assert "resumed from the checkpoint at step 4" in log


def test_evaluate_scores_without_training(benchmark_file: Write, tmp_path: Path) -> None:
    file = benchmark_file()
    run(file)
    results = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("result.json")}
    file.write_text(file.read_text().replace("metrics: [ssim, psnr]", "metrics: [psnr]"))
    for scores_file in (tmp_path / "runs").rglob("scores/*"):
        scores_file.unlink()
    summary, _ = run(file, train=False)
    assert set(summary.states.values()) == {"done"}
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("result.json")} == results


MISBEHAVING = """
    from i2ibench.method import Method


    class Bad(Method):
        pairing = "unpaired"

        class Params(Method.Params):
            how: str

        def translate(self, a, *, rng):
            return eval(self.params.how, {"a": a})
"""


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("a[:1]", "one image each"),
        ("a[..., ::2, ::2]", "one image each"),
        ("a * 100", "images lie in [-1, 1]"),
        ("a / 0", "NaN or infinite"),
        ("exit(3)", "SystemExit: 3"),
        ("1 // 0", "ZeroDivisionError: integer division or modulo by zero"),
        ("None", "NoneType"),
    ],
)
def test_a_method_that_misbehaves_is_a_row_that_says_how(
    benchmark_file: Write, tmp_path: Path, how: str, message: str
) -> None:
    (tmp_path / "bad.py").write_text(textwrap.dedent(MISBEHAVING))
    file = benchmark_file()
    file.write_text(file.read_text().replace("  copy:\n", f"  copy:\n  bad: {{method: bad.py, how: '{how}'}}\n"))
    summary, said = run(file)
    plan, _ = benchmark.load(file)
    assert {s.label: summary.states[s.id] for s in plan.trials} == {"copy": "done", "bad": "failed", "tiny": "done"}
    assert message in said
    assert html.escape(message) in summary.report.read_text().replace("&#39;", "&#x27;")


BOTH_WAYS = """
    import torch

    from i2ibench import nn
    from i2ibench.method import Method


    class Both(Method):
        pairing = "unpaired"
        players = ("generator",)
        bidirectional = True

        def build(self, task):
            self.generator = nn.group(ab=torch.nn.Conv2d(3, 3, 1), ba=torch.nn.Conv2d(3, 3, 1))

        def step(self, batch, turn):
            with turn("generator") as loss:
                loss.ab = nn.l1(self.generator.ab(batch.a), batch.a * 0.5)
                loss.ba = nn.l1(self.generator.ba(batch.b), batch.b * -0.5)

        def translate(self, a, *, rng):
            return self.generator.ab(a).clamp(-1, 1)

        def translate_back(self, b, *, rng):
            return self.generator.ba(b).clamp(-1, 1)
"""


@pytest.mark.parametrize("labels", [("there", "back"), ("back",)])
def test_a_method_that_goes_both_ways_is_trained_once(
    benchmark_file: Write, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    (tmp_path / "both.py").write_text(textwrap.dedent(BOTH_WAYS))
    file = benchmark_file("""
        seeds: 1
        store: {tmp}/runs
        reports: {tmp}/reports
        data:
          there: {{source: glyphs, size: 16}}
          back: {{source: glyphs, size: 16, direction: BtoA}}
        methods: {{both: {{method: both.py}}}}
        training: {{steps: 4, batch_size: 2, log_every: 2}}
        evaluation: {{metrics: [psnr]}}
    """)
    if "there" not in labels:
        file.write_text(file.read_text().replace("  there: {source: glyphs, size: 16}\n", ""))
    summary, _ = run(file)
    assert set(summary.states.values()) == {"done"}
    plan, store = benchmark.load(file)
    specs = {spec.data: spec for spec in plan.trials}
    assert set(specs) == set(labels)
    assert specs["back"].backward
    logs = "".join(path.read_text() for path in (tmp_path / "runs").glob("both-*/log.txt"))
    assert logs.count("step 4/4") == 1, "one training serves both directions"
    state = torch.load(store.trial(specs["back"].trained_as).path / "weights.pt", weights_only=True)["generator"]
    images = load(plan.data["back"].source, store.data_cache)
    x = torch.from_numpy(np.array(images.test_a)).permute(0, 3, 1, 2) / 127.5 - 1
    expected = torch.nn.functional.conv2d(x, state["ba.weight"], state["ba.bias"]).clamp(-1, 1)
    outputs = torch.from_numpy(np.array(store.trial(specs["back"].id).outputs())).permute(0, 3, 1, 2) / 127.5 - 1
    assert (outputs - expected).abs().max() < 0.005
    if "there" in labels:
        assert specs["there"].id == specs["back"].trained_as
        forward = load(plan.data["there"].source, store.data_cache)
        assert np.array_equal(forward.test_b, images.test_a)


def test_rows_of_one_trial_may_ask_for_different_metrics(benchmark_file: Write) -> None:
    file = benchmark_file("""
        seeds: 1
        store: {tmp}/runs
        reports: {tmp}/reports
        data:
          one: {{source: glyphs, size: 16, metrics: [psnr]}}
          two: {{source: glyphs, size: 16, metrics: [ssim]}}
        methods: {{copy: }}
    """)
    summary, _ = run(file)
    plan, store = benchmark.load(file)
    assert len(summary.states) == 1
    assert benchmark.unfinished(plan, store) == []


def test_a_report_that_lost_a_part_is_drawn_again(benchmark_file: Write) -> None:
    file = benchmark_file()
    summary, _ = run(file)
    (summary.report.parent / "leaderboard.md").unlink()
    run(file)
    assert (summary.report.parent / "leaderboard.md").exists()


def test_evaluate_trains_nothing_that_is_missing(benchmark_file: Write, tmp_path: Path) -> None:
    summary, _ = run(benchmark_file(), train=False)
    assert set(summary.states.values()) == {"waiting"}
    assert list((tmp_path / "runs").glob("tiny-*")) == []


def test_a_report_of_scores_that_nobody_made_is_refused(benchmark_file: Write) -> None:
    file = benchmark_file()
    with pytest.raises(ConfigError, match=r"nothing of .* is scored under 'clean' yet; `i2ibench evaluate"):
        benchmark.load_scored(file, "clean")
    assert benchmark.load_scored(file)[0].trials, "of the file's own protocol a report shows what is missing"
    run(file)
    assert benchmark.load_scored(file, "offline")[0].trials


def test_data_that_does_not_decode_is_refused_before_any_trial(benchmark_file: Write, tmp_path: Path) -> None:
    from PIL import Image

    for part in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "photos" / part).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (16, 16), (i * 40, 0, 0)).save(tmp_path / "photos" / part / f"{i}.png")
    bad = tmp_path / "photos" / "trainB" / "1.png"
    bad.write_bytes(bad.read_bytes()[:40])
    file = benchmark_file("""
        store: {tmp}/runs
        reports: {tmp}/reports
        data: {{photos: {{source: folder, path: photos, layout: by-name, size: 16}}}}
        methods: {{copy: }}
        evaluation: {{metrics: [psnr]}}
    """)
    with pytest.raises(I2IBenchError, match=r"trainB/1\.png") as caught:
        run(file)
    assert "\n" not in str(caught.value)
    assert "benchmark.yaml:4: data.photos" in str(caught.value)
    assert not (tmp_path / "runs").exists(), "nothing is left behind"


def test_two_drivers_on_one_store_do_each_trial_once(benchmark_file: Write, tmp_path: Path) -> None:
    import subprocess
    import sys

    file = benchmark_file()
    command = [sys.executable, "-m", "i2ibench", "run", str(file), "--executor", "local"]
    drivers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    said = [driver.communicate(timeout=120)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], said
    log = next((tmp_path / "runs").glob("tiny-*/log.txt")).read_text()
    assert log.count("step 6/6") == 1, log


def test_the_store_is_the_files_and_nothing_else(benchmark_file: Write, tmp_path: Path) -> None:
    """A store that is moved is still whole."""
    file = benchmark_file()
    summary, _ = run(file)
    (tmp_path / "runs").rename(tmp_path / "moved")
    moved = file.with_name("moved.yaml")
    moved.write_text(file.read_text().replace("/runs", "/moved"))
    plan, store = benchmark.load(moved)
    assert isinstance(store, Store)
    assert benchmark.unfinished(plan, store) == []
    assert {spec.id for spec in plan.trials} == set(summary.states)

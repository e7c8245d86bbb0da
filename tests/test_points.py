"""Scores on the way of a training: the same as a shorter training's own, made once, and of no weight for the training."""

import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from i2ibench import benchmark, frames, jobs, learning, monitor, points
from i2ibench.errors import ConfigError, Interrupted, StoreError
from i2ibench.executors.local import LocalExecutor
from i2ibench.plan import Plan
from i2ibench.stopping import Stop
from i2ibench.store import Store
from i2ibench.trial import device_for

Write = Callable[..., Path]
LOG = logging.getLogger("test")

# `short` is the beginning of `long`, since nothing in them hangs on how long they are.
TWO_LENGTHS = """
    name: lengths
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data:
      glyphs: {{size: 16}}
    methods:
      copy:
      short: {{method: {tmp}/tiny.py, decay: constant, training: {{steps: 4}}}}
      long: {{method: {tmp}/tiny.py, decay: constant, training: {{steps: 10, score_every: 2}}}}
    training: {{batch_size: 4, log_every: 2, checkpoint_every: 3, ema: 0.8}}
    evaluation: {{metrics: [ssim, psnr], curve_metrics: [psnr]}}
"""


def work(file: Path) -> tuple[Plan, Store, set[str]]:
    """Do all of a benchmark but its report; the last are the states that its jobs ended in."""
    plan, store = benchmark.load(file)
    ended = LocalExecutor().run(jobs.make(plan, store, plan.trials), Stop())
    return plan, store, {outcome.state for _, outcome in ended}


def test_a_training_that_minutes_end_needs_no_room_for_all_of_its_steps(benchmark_file: Write) -> None:
    text = TWO_LENGTHS.replace("steps: 10, score_every: 2", "steps: 1000000000, minutes: 0.001, score_every: 1000")
    file = benchmark_file(text)
    assert not benchmark.run(file, executor="local").failed
    with pytest.raises(StoreError, match=r"needs about \d+ MB and the disk has"):
        benchmark.run(benchmark_file(text.replace("minutes: 0.001, ", "")), executor="local")


def test_a_point_is_the_score_of_a_training_that_ends_there(benchmark_file: Write) -> None:
    file = benchmark_file(TWO_LENGTHS)
    page = benchmark.run(file, executor="local").report
    plan, store = benchmark.load(file)
    assert store.trial(plan.trials[1].id).snapshots() == {}, "the short one is not asked to keep any"
    table = learning.points(plan, store)
    assert list(table.columns) == list(learning.COLUMNS)
    assert list(table["step"]) == [2, 4, 6, 8, 10]
    assert set(table["metric"]) == {"psnr"}
    assert set(table["label"]) == {"long"}
    scores = frames.frame(plan, store).query("metric == 'psnr'").set_index("label")["value"]
    by_step = table.set_index("step")["value"]
    assert by_step[4] == scores["short"], "the networks of step 4, their average in place, are those of the short one"
    assert by_step[10] == scores["long"]
    assert by_step.nunique() == 5
    assert list(table["final"]) == [False] * 4 + [True]
    assert table["seconds"].is_monotonic_increasing
    assert table["device_hours"].tolist() == pytest.approx((table["seconds"] / 3600).tolist()), "one core each"
    assert set(table["device"]) == {"core"}
    pd.testing.assert_frame_equal(pd.read_csv(page.parent / "curves.csv"), table, check_dtype=False)
    text = page.read_text(encoding="utf-8")
    assert 'href="curves.csv"' in text
    assert "PSNR on glyphs against training step and wall time (s): long from" in text
    assert (page.parent / "figures/progress-glyphs.pdf").exists()


def test_points_are_made_once_and_go_on_where_they_were_left(
    benchmark_file: Write, caplog: pytest.LogCaptureFixture
) -> None:
    plan, store, states = work(benchmark_file(TWO_LENGTHS))
    assert states == {"done"}
    spec = plan.trials[2]
    trial, key = store.trial(spec.id), spec.score_key(plan.key)
    made = trial.points(key)
    (trial.path / "points" / f"{key}.json").unlink()
    asked = iter([False, False, True])
    device = device_for(spec.resources)
    with pytest.raises(Interrupted, match="before step 6"):
        points.score(spec, store, plan.protocol, ("psnr",), device, LOG, should_stop=lambda: next(asked))
    assert list(trial.points(key)) == [2, 4]
    trial.snapshot(2).write_bytes(b"damaged")  # its point is made
    trial.snapshot(6).write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING):
        points.score(spec, store, plan.protocol, ("psnr",), device, LOG)
    assert trial.points(key) == {step: point for step, point in made.items() if step != 6}
    assert "without step 6" in caplog.text
    points.score(spec, store, plan.protocol, ("ssim",), device, LOG)
    values = {step: set(point["values"]) for step, point in trial.points(key).items()}
    assert values == {4: {"ssim", "psnr"}, 8: {"ssim", "psnr"}}, "what it had is made anew beside it"


def test_the_setting_changes_no_trial_and_is_checked(benchmark_file: Write) -> None:
    plain, _ = benchmark.load(benchmark_file(TWO_LENGTHS.replace("score_every: 2", "clip: null")))
    keeps, _ = benchmark.load(benchmark_file(TWO_LENGTHS))
    assert [spec.id for spec in plain.trials] == [spec.id for spec in keeps.trials]
    assert keeps.of_points(("ssim", "psnr")) == ("psnr",)
    for metric, complaint in (("psrn", "did you mean 'psnr'"), ("fid", "nothing is scored by 'fid'")):
        with pytest.raises(ConfigError, match=complaint) as caught:
            benchmark.load(benchmark_file(TWO_LENGTHS.replace("[psnr]", f"[{metric}]")))
        assert "benchmark.yaml:13" in str(caught.value)


def test_a_training_that_stops_on_its_way_shows_its_losses_and_its_step(benchmark_file: Write) -> None:
    file = benchmark_file(
        TWO_LENGTHS.replace("decay: constant, training: {{steps: 10", "poison_at: 9, training: {{steps: 10")
    )
    before = benchmark.digest(*benchmark.load(file))
    plan, store, states = work(file)
    assert states == {"done", "failed"}
    assert benchmark.digest(plan, store) != before
    losses = frames.curves(plan, store).query("label == 'long'")
    assert list(losses["step"]) == [2, 4, 6, 8], "to the last point before it diverged"
    store.trial(plan.trials[2].id).clear_error()
    *_, row = monitor.rows(plan, store)
    assert (row.state, row.step, row.steps) == ("interrupted", 6, 10)
    assert "interrupted, step 6/10" in row.line()
    assert learning.points(plan, store).empty, "what failed is not scored"

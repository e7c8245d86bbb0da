"""Watching and steering from another terminal: rows of the store as it is, damaged too; `stop` and `logs`."""

import io
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from i2ibench import benchmark, jobs, lease, monitor, show, stopping
from i2ibench.errors import ConfigError
from i2ibench.executors.local import LocalExecutor
from i2ibench.job import Outcome

Write = Callable[..., Path]


def text(renderable: object) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(renderable)
    return out.getvalue()


def test_a_row_says_who_works_on_it_and_when_its_heart_last_beat(
    benchmark_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = benchmark.load(benchmark_file())
    trial = store.trial(plan.trials[1].id)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    with lease.acquire(trial.path):
        trial.write_progress("training", step=3, steps=6, images_per_second=10.0, loss=0.5, eta_seconds=75.0)
        (file,) = trial.path.glob("lease-*.json")
        os.utime(file, (time.time() - 30,) * 2)
        (_, row) = monitor.rows(plan, store)
        assert (row.state, row.step, row.restarts, row.host) == ("training", 3, "2", os.uname().nodename)
        assert 25 < row.beat_seconds < 45
        shown = text(monitor.table([row], hosts=True))
    for word in ("training", "3/6", "1:15", "s ago", "restarts"):
        assert word in shown
    assert os.uname().nodename not in shown, "it is this machine"
    assert monitor.rows(plan, store)[1].state == "waiting"


def test_a_line_says_which_other_job_works_on_a_trial_and_to_its_end(
    benchmark_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = benchmark.load(benchmark_file())
    out, trials = io.StringIO(), [store.trial(spec.id) for spec in plan.trials]
    with monitor.Monitor(plan, store, plan.trials, Console(file=out, width=300)) as watching, ExitStack() as held:
        for task, trial in enumerate(trials):
            for key, value in {"JOB_ID": 11 + task, "ARRAY_JOB_ID": 12, "ARRAY_TASK_ID": task}.items():
                monkeypatch.setenv(f"SLURM_{key}", str(value))
            held.enter_context(lease.acquire(trial.path))
            trial.write_progress("training", step=1 + task, steps=6)
        watching._speak()  # as the job 12_1
        trials[0].write_result({})
        trials[0].write_scores(
            plan.trials[0].score_key(plan.key), {"values": {"ssim": 1, "psnr": 1}, "protocol": {}}, {}
        )
        held.close()
    first, second, last = out.getvalue().splitlines()
    assert first.endswith("training, step 1/6, by job 12_0")
    assert second.endswith("training, step 2/6")
    assert last.endswith("seed 0: done, by job 12_0")


@pytest.mark.parametrize("name", ["result.json", "error.json"])
def test_a_damaged_file_is_a_row_and_no_crash(benchmark_file: Write, name: str) -> None:
    plan, store = benchmark.load(benchmark_file())
    trial = store.trial(plan.trials[0].id)
    trial.path.mkdir(parents=True)
    (trial.path / name).write_text('{"id": ')
    row, other = monitor.rows(plan, store)
    assert row.state == "damaged"
    assert name in row.error
    assert other.state == "waiting"
    out = io.StringIO()
    with monitor.Monitor(plan, store, plan.trials, Console(file=out, width=300)) as watching:
        watching.ended(plan.trials[1].id, Outcome("failed", "the disk is full", recorded=False))
    assert "damaged" in out.getvalue()
    assert "failed: the disk is full" in out.getvalue(), "what the store could not be told is said all the same"


def test_stop_asks_and_a_run_heeds_it(benchmark_file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    plan, store = benchmark.load(benchmark_file())
    with pytest.raises(ConfigError, match="no unfinished trial is called 'nobody'"):
        show.stop(plan, store, ["nobody"])
    show.stop(plan, store, ["tiny"])
    asked = [stopping.requested(store.trial(spec.id).path) for spec in plan.trials]
    assert asked == [False, True]
    outcomes = {
        job.trial: outcome.state
        for job, outcome in LocalExecutor().run(jobs.make(plan, store, plan.trials), stopping.Stop())
    }
    assert outcomes == {plan.trials[0].id: "done", plan.trials[1].id: "interrupted"}
    assert store.trial(plan.trials[1].id).result() is None
    show.stop(replace(plan, trials=plan.trials[:1]), store, [])
    assert "there is nothing to stop" in capsys.readouterr().out
    show.logs(store, plan.trials[0].id[:8], follow=True)
    assert "finished" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"no trials of .* are called 'tiny-x'"):
        show.logs(store, "tiny-x", follow=False)


def test_a_log_is_found_by_the_folder_of_its_trial_or_its_label(
    benchmark_file: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, store = benchmark.load(benchmark_file())
    log = store.trial(plan.trials[0].id).path / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("as it went", encoding="utf-8")
    show.logs(store, str(log.parent), follow=False)
    assert capsys.readouterr().out == "as it went"
    (spec,) = (spec for spec in plan.trials if spec.label == "tiny")
    store.trial(spec.id).write_spec(spec.to_json())
    (store.trial(spec.id).path / "log.txt").write_text("by its label", encoding="utf-8")
    show.logs(store, "tiny", follow=False)
    assert capsys.readouterr().out == "by its label"
    gone = str(log.parent.with_name("gone").absolute())
    with pytest.raises(ConfigError, match=f"{gone}: there is no such folder of a trial"):
        show.logs(store, gone, follow=False)


def test_failures_of_one_reason_are_said_once_and_what_is_at_work_comes_first(benchmark_file: Write) -> None:
    plan, _ = benchmark.load(benchmark_file())
    states = ["done", "done", "waiting", "training", "failed", "failed"]
    rows = [monitor.Row(plan.trials[0], state, error="no luck" if state == "failed" else None) for state in states]
    shown = text(monitor.table(rows, most=3))
    assert shown.count("no luck") == 1
    assert "no luck (and 1 more alike)" in shown
    assert "and 3 more: 2 done, 1 waiting" in shown
    assert shown.index("training") < shown.index("failed")


def test_failures_of_an_earlier_run_come_again_and_are_not_told(benchmark_file: Write) -> None:
    plan, store = benchmark.load(benchmark_file())
    store.trial(plan.trials[0].id).write_error("FAILED", "a failure of before")
    out = io.StringIO()
    with monitor.Monitor(plan, store, plan.trials, Console(file=out, width=300)):
        store.trial(plan.trials[1].id).write_error("FAILED", "one of now")
    assert "one of now" in out.getvalue()
    assert "of before" not in out.getvalue()


def test_a_live_table_is_as_high_as_the_terminal_and_the_last_one_shows_all(benchmark_file: Write) -> None:
    file = benchmark_file()
    file.write_text(file.read_text().replace("seeds: [0]", "seeds: 20").replace("  copy:\n", ""))
    plan, store = benchmark.load(file)
    out = io.StringIO()
    console = Console(file=out, width=120, height=12, force_terminal=True)
    with monitor.Monitor(plan, store, plan.trials, console, ["glyphs"]) as watching:
        live = text(watching._view())
        watching.featured("glyphs")
        assert "reference features" not in text(watching._view())
    assert "scores wait for reference features of glyphs" in live
    assert live.count("tiny") == 1 + 12 - monitor.FRAME
    assert "and 15 more: 15 waiting" in live
    assert out.getvalue().rsplit("state", 1)[1].count("waiting") == 20

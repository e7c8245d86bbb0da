"""A job that Slurm queues again and again ends where nothing moves, and only there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from i2ibench import benchmark, lease, monitor
from i2ibench.errors import TrialError
from i2ibench.slurm.requeue import RUNS, require_progress


def test_it_ends_after_runs_without_progress_and_says_so_in_what_is_left(benchmark_file: Callable[..., Path]) -> None:
    file = benchmark_file()
    plan, store = benchmark.load(file)
    copy, tiny = plan.trials
    for restarts in range(1, 1 + RUNS):
        require_progress(plan, store, "7", restarts)
    held = lease.acquire(store.trial(copy.id).path)
    assert held is not None
    with held:  # another job is at work, between two checkpoints
        require_progress(plan, store, "7", 1 + RUNS)
    store.trial(copy.id).write_error("FAILED", "of its own")
    with pytest.raises(TrialError, match=r"job 7 was begun again 3 times and came no further .* longer --time"):
        require_progress(plan, store, "7", 1 + RUNS)
    assert [row.state for row in monitor.rows(plan, store)] == ["failed", "failed"]
    assert "of its own" in monitor.rows(plan, store, [copy])[0].line()
    assert monitor.rows(plan, store, [tiny])[0].line().endswith("smaller training.checkpoint_every")  # and no log
    require_progress(plan, store, "7", 2 + RUNS)  # queued by hand: it counts anew
    assert set(benchmark.run(file, executor="local").states.values()) == {"done"}


@pytest.mark.parametrize("what", ["checkpoint", "training", "result", "scores"])
def test_whatever_is_kept_is_progress(benchmark_file: Callable[..., Path], what: str) -> None:
    file = benchmark_file()
    plan, store = benchmark.load(file)
    spec = plan.trials[1]
    trial = store.trial(spec.id)
    require_progress(plan, store, "7", 1)
    if what == "checkpoint":
        (trial.path / "checkpoints").mkdir(parents=True)
        (trial.path / "checkpoints" / "000000020-0123456789abcdef.pt").touch()
    elif what == "scores":
        trial.write_scores(spec.score_key(plan.key), {"values": {}, "protocol": {}}, {})
    else:
        (trial.write_training if what == "training" else trial.write_result)({})
    require_progress(plan, store, "7", 1 + RUNS)
    require_progress(plan, store, "7", 2 * RUNS)
    with pytest.raises(TrialError):
        require_progress(plan, store, "7", 1 + 2 * RUNS)


def test_jobs_count_for_themselves_and_what_cannot_be_read_is_for_the_run_to_say(
    benchmark_file: Callable[..., Path], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    file = benchmark_file()
    assert command_line("requeued", file, "7_0", 1)[0] == 0
    assert command_line("requeued", file, "7_1", 1 + RUNS)[0] == 0
    code, _, error = command_line("requeued", file, "7_0", 1 + RUNS)
    assert code == 1
    assert error.startswith("i2ibench: job 7_0 was begun again")
    file.write_text(file.read_text().replace("tiny.py", "gone.py"))
    assert command_line("requeued", file, "7_1", 2 + 2 * RUNS)[0] == 0

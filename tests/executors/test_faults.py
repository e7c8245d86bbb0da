"""What may happen to a run, done to real processes and a real Ray: nothing finished is lost, nothing is done twice."""

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from i2ibench import benchmark
from i2ibench.data import cache

from .conftest import Bench, at_work, processes_with, until


def ends(driver: subprocess.Popen, code: int = 0) -> str:
    said, complaints = driver.communicate(timeout=300)
    assert driver.returncode == code, said + complaints
    return said


# -- in this process ----------------------------------------------------------------------------------------------------


def test_out_of_memory_is_tried_again_with_half_the_batch_and_flagged(bench: Bench) -> None:
    bench.write("most: 2")
    assert "done" in ends(bench.drive("local"))
    (flag,) = [flag for flag in bench.trial.result()["flags"] if flag["flag"] == "micro-batch"]
    assert "a batch of 4 did not fit" in flag["reason"]
    assert bench.trial.result()["cost"]["steps"] == 60


def test_out_of_memory_with_half_the_batch_too_is_a_failure(bench: Bench) -> None:
    bench.write("most: 1")
    assert "failed out of memory" in ends(bench.drive("local"))


def test_the_time_limit_is_a_failure_that_says_how_to_go_on(bench: Bench) -> None:
    bench.write("seconds: 0.1", "limit_minutes: 0.01")
    assert "failed used up its limit" in ends(bench.drive("local"))
    assert any(bench.trial.path.glob("checkpoints/*.pt"))


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 75, marks=pytest.mark.slow),
    ],
)
def test_a_signal_lets_the_trial_write_its_checkpoint(bench: Bench, number: int, code: int) -> None:
    bench.write("seconds: 0.2", "checkpoint_every: 3")
    driver = bench.drive("local")
    until(lambda: at_work(bench.trial))
    driver.send_signal(number)
    said = ends(driver, code)
    assert "interrupted" in said
    stopped_at = int(bench.log().split("stopped at step ")[1].split()[0])
    newest = max(bench.trial.path.glob("checkpoints/*.pt"))
    assert int(newest.name.split("-")[0]) == stopped_at, "not a step is lost"
    assert list(bench.trial.path.glob("lease-*")) == []


# -- on a full disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(bench: Bench) -> Bench:
    """A store on a disk of its own, of 24 MB."""
    (bench.folder / "runs").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(bench.folder / "runs")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield bench
    subprocess.run(["umount", "-l", str(bench.folder / "runs")], check=True)


@pytest.mark.parametrize(
    "left", [pytest.param(0, id="full"), pytest.param(60_000, id="room for a little", marks=pytest.mark.slow)]
)
def test_a_full_disk_fails_the_trial_in_one_line_and_the_next_run_goes_on(small_disk: Bench, left: int) -> None:
    bench = small_disk
    bench.write("seconds: 0.05", "checkpoint_every: 5")

    plan, store = benchmark.load(bench.file)
    cache.load(plan.data["glyphs"].source, store.data_cache)
    filler = bench.folder / "runs" / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"\0" * 4096):
            pass
    os.truncate(filler, filler.stat().st_size - left)
    said = ends(bench.drive("local"))
    assert "failed" in said
    assert "No space left on device" in said
    assert not list(bench.trial.path.glob("**/.*-*")), "nothing half-written is left"
    assert bench.trial.result() is None
    filler.unlink()
    assert "done" in ends(bench.drive("local"))
    assert bench.state() == "done"


# -- on Ray -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_goes_on_from_its_checkpoint(bench: Bench, number: int) -> None:
    bench.write("seconds: 0.1")
    driver = bench.drive()
    os.kill(until(lambda: at_work(bench.trial)), number)
    assert "done" in ends(driver)
    assert bench.state() == "done"
    assert "resumed from the checkpoint at step" in bench.log()
    assert bench.log().count("finished") == 1


@pytest.mark.slow
def test_a_method_that_kills_its_process_fails_after_its_retries(bench: Bench) -> None:
    bench.write("seconds: 0.1")
    method = bench.folder / "hurt.py"
    method.write_text(
        method.read_text().replace("        self.steps += 1", "        import os; os.kill(os.getpid(), 9)")
    )
    bench.file.write_text(bench.file.read_text().replace("retries: 3", "retries: 1"))
    assert "failed the worker process died" in ends(bench.drive())


@pytest.mark.slow
def test_a_hang_is_killed_and_goes_on(bench: Bench) -> None:
    bench.write("hurt: hang", "checkpoint_every: 5, hang_seconds: 10")
    driver = bench.drive()
    assert "done" in ends(driver)
    assert "no step for" in bench.log()
    assert "resumed from the checkpoint at step 5" in bench.log()


@pytest.mark.slow
def test_a_trial_that_always_hangs_fails(bench: Bench) -> None:
    bench.write("hurt: hang-always", "hang_seconds: 10")
    bench.file.write_text(bench.file.read_text().replace("retries: 3", "retries: 1"))
    assert "failed no step for 10 s (training.hang_seconds) (2 times)" in ends(bench.drive())


@pytest.mark.slow
def test_a_frozen_process_is_killed_from_outside_and_goes_on(bench: Bench) -> None:
    bench.write("hurt: freeze", "checkpoint_every: 5, hang_seconds: 10")
    assert "done" in ends(bench.drive())
    assert "resumed from the checkpoint at step 5" in bench.log()


@pytest.mark.slow
def test_when_the_host_runs_out_of_memory_ray_ends_the_trial_and_half_the_batch_is_tried(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    memory = {name: 1024 * int(amount) for name, amount, *_ in lines}
    enough = (memory["MemTotal:"] - memory["MemAvailable:"] + 3e9) / memory["MemTotal:"]
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{enough:.3f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    bench.write("greedy_from: 2", "checkpoint_every: 5")
    assert "done" in ends(bench.drive())
    (flag,) = [flag for flag in bench.trial.result()["flags"] if flag["flag"] == "micro-batch"]
    assert "a batch of 4 did not fit" in flag["reason"]
    assert bench.log().count("finished") == 1


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_leaves_a_checkpoint_and_no_process(bench: Bench) -> None:
    """A terminal sends the signal to the whole group: to Ray's processes and the workers, too."""
    bench.write("seconds: 0.1", "checkpoint_every: 2")
    driver = bench.drive()
    until(lambda: at_work(bench.trial))
    os.killpg(driver.pid, signal.SIGINT)
    said = ends(driver, 130)
    assert "interrupted" in said
    assert "stopped at step" in bench.log()
    until(lambda: not processes_with(str(bench.folder)), 30)
    assert bench.state() == "interrupted"


@pytest.mark.slow
def test_a_killed_driver_leaves_no_process_and_the_next_goes_on(bench: Bench) -> None:
    bench.write("seconds: 0.1")
    driver = bench.drive()
    until(lambda: at_work(bench.trial))
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    until(lambda: not processes_with(str(bench.folder)), 60)
    assert "done" in ends(bench.drive("local"))
    assert "resumed from the checkpoint at step" in bench.log()
    assert bench.log().count("finished") == 1


@pytest.mark.slow
def test_two_drivers_do_each_trial_once(bench: Bench) -> None:
    bench.write("seconds: 0.05", seeds=3)
    drivers = [bench.drive("local") for _ in range(3)]
    for driver in drivers:
        ends(driver)
    logs = [file.read_text() for file in (bench.folder / "runs").glob("*/log.txt")]
    assert len(logs) == 3
    assert all(log.count("finished") == 1 and log.count("step 60/60") == 1 for log in logs)


@pytest.mark.slow
def test_a_lost_node_gives_its_trial_to_another(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from i2ibench.chaos import Nodes

    bench.write("seconds: 0.2")
    with Nodes(2, cpus=1) as nodes:
        driver = bench.drive(address=nodes.address)
        pid = until(lambda: at_work(bench.trial))
        assert nodes.kill_the_one_with(pid)
        assert "done" in ends(driver)
    assert "resumed from the checkpoint at step" in bench.log()
    assert bench.log().count("finished") == 1


def test_errors_name_their_kind(bench: Bench) -> None:
    bench.write("seconds: 0.0")
    method = bench.folder / "hurt.py"
    method.write_text(method.read_text().replace("self.generator(a).clamp(-1, 1)", "self.generator(a) / 0"))
    assert "failed translate() gave NaN" in ends(bench.drive("local"))
    assert json.loads((bench.trial.path / "error.json").read_text())["kind"] == "FAILED"

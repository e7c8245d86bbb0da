"""Against a real Slurm: what is submitted completes, whatever happens on the way, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from i2ibench import monitor
from i2ibench.slurm.requeue import RUNS

pytestmark = pytest.mark.slow

NO_GPU = ("--gpus-per-node", "0")


@pytest.fixture(scope="module")
def short(lab, sleepy_type, tmp_path_factory):
    """A job whose trial takes longer than its time limit, begun first since it takes minutes."""
    made = sleepy_type(tmp_path_factory.mktemp("short"), lab)
    made.write(steps=400, seconds=0.3)
    # Slurm tells it up to a minute early: of two minutes, some are left for steps on a busy machine too.
    job = made.submit("--array", "1", "--time", "2", "--notice", "20", "--option=--nodelist=n3", *NO_GPU)
    yield made, job
    lab.ask(f"scancel {job}")


def test_two_nodes_come_to_the_leaderboard_of_the_local_executor(short, sleepy, lab) -> None:
    sleepy.write(seeds=4, steps=60, gpus=1)
    job = sleepy.submit("--nodes", "2", "--gpus-per-node", "2")
    sleepy.wait_for(job, "COMPLETED")
    steps = sleepy.steps()
    assert len(steps) == 4 * 60
    assert {host for host, *_ in steps} == {"n1", "n2"}
    # Trials that ran at the same time on one host had a GPU each.
    spans: dict[tuple[str, str, str], list[float]] = {}
    for host, process, gpu, when in steps:
        spans.setdefault((host, process, gpu), []).append(float(when))
    assert {gpu for _, _, gpu in spans} <= {"0", "1"}
    together = [
        (one, other)
        for one, whens in spans.items()
        for other, others in spans.items()
        if one[1] != other[1] and one[0] == other[0] and min(whens) < max(others) and min(others) < max(whens)
    ]
    assert together
    assert all(one[2] != other[2] for one, other in together)
    assert sleepy.scores() == sleepy.local()
    assert len(sleepy.scores()) == 4
    assert (sleepy.folder / "reports" / "sleepy" / "leaderboard.csv").exists()
    sleepy.leaves_nothing()


def test_the_jobs_of_an_array_share_the_trials(short, sleepy) -> None:
    sleepy.write(seeds=4, steps=60)
    job = sleepy.submit("--array", "3", "--option=--exclude=n3", *NO_GPU)
    sleepy.wait_for(job, "COMPLETED")
    steps = sleepy.steps()
    assert len(steps) == 4 * 60
    assert len({process for _, process, *_ in steps}) > 1
    assert sleepy.scores() == sleepy.local()
    assert (sleepy.folder / "reports" / "sleepy" / "leaderboard.csv").exists()  # by the last that left


def test_a_job_of_an_array_that_is_told_to_leave_queues_itself_again_and_no_other(short, sleepy, lab, until) -> None:
    sleepy.write(seeds=2, steps=250, seconds=0.1)
    job = sleepy.submit("--array", "2", "--option=--exclude=n3", *NO_GPU)
    until(lambda: len({process for _, process, *_ in sleepy.steps()}) == 2, 180)
    last = f"{job}_1"
    assert lab.job(last)["JobId"] == job, "the last one has the id of the array"
    lab.ask(f"scancel --batch --signal=USR1 {last}")
    until(lambda: lab.job(last)["JobState"] == "PENDING", 60)
    assert lab.job(f"{job}_0")["JobState"] == "RUNNING"
    sleepy.wait_for(job, "COMPLETED")
    assert [lab.job(f"{job}_{task}")["Restarts"] for task in range(2)] == ["0", "1"]
    assert len(sleepy.steps()) == 2 * 250
    assert f"job {last} is queued again" in sleepy.output()


def test_names_of_nodes_need_not_resolve(short, sleepy, lab) -> None:
    assert not lab.ask("getent hosts n3")
    sleepy.write(seeds=2)
    job = sleepy.submit("--nodes", "2", "--option=--nodelist=n2,n3", *NO_GPU)
    sleepy.wait_for(job, "COMPLETED")
    assert len(sleepy.scores()) == 2


def test_preemption_costs_no_step(short, sleepy, lab, until) -> None:
    sleepy.write(seeds=2, steps=150, seconds=0.1)
    job = sleepy.submit("--option=--nodelist=n1", *NO_GPU)
    until(lambda: len(sleepy.steps()) > 20, 180)
    urgent = lab.run(
        "sbatch", "--parsable", "-p", "urgent", "-w", "n1", "--exclusive", "-o", "/dev/null", "--wrap=sleep 1"
    )
    until(lambda: lab.job(urgent.stdout.strip())["JobState"] == "COMPLETED", 180)
    before = len(sleepy.steps())
    assert before < 2 * 150
    assert not sleepy.held()
    sleepy.wait_for(job, "COMPLETED")
    assert lab.job(job)["Restarts"] == "1"
    assert len(sleepy.steps()) == 2 * 150
    assert len(sleepy.scores()) == 2
    sleepy.leaves_nothing()


def test_requeue_in_mid_trial(short, sleepy, lab, until) -> None:
    sleepy.write(steps=150, seconds=0.1)
    job = sleepy.submit("--option=--nodelist=n1", *NO_GPU)
    until(lambda: len(sleepy.steps()) > 45, 180)
    lab.ask(f"scontrol requeue {job}")
    until(lambda: lab.job(job)["JobState"] == "PENDING", 30)
    known = len(sleepy.steps())
    sleepy.hasten(job)
    until(lambda: len(sleepy.steps()) > known, 90)
    plan, store = sleepy.load()
    assert [row.restarts for row in monitor.rows(plan, store)] == ["1"]  # as `i2ibench status` shows
    sleepy.wait_for(job, "COMPLETED")
    assert len(sleepy.steps()) < 150 + 25  # at most what came after the last checkpoint is done again
    assert len(sleepy.scores()) == 1


@pytest.mark.parametrize("way", ["ray", "array"])
def test_a_cancelled_job_leaves_no_process_and_no_lease(short, sleepy, lab, until, way: str) -> None:
    sleepy.write(steps=1000, seconds=0.1)
    job = sleepy.submit("--option=--nodelist=n1", *NO_GPU, *(["--array", "1"] if way == "array" else []))
    until(lambda: len(sleepy.steps()) > 5, 180)
    lab.ask(f"scancel {job}")
    sleepy.wait_for(job, "CANCELLED", 60)
    sleepy.leaves_nothing()
    assert not sleepy.held()
    assert lab.ask(f"squeue -h -t pending,running -j {job} -o %T") == ""  # nor does it queue itself again


def test_a_trial_longer_than_the_time_limit_is_done_over_several(short, lab) -> None:
    sleepy, job = short
    sleepy.wait_for(job, "COMPLETED", 400)
    assert int(lab.job(job)["Restarts"]) >= 1
    assert len(sleepy.steps()) == 400
    assert len(sleepy.scores()) == 1


def test_a_job_that_comes_no_further_is_not_queued_for_ever(short, sleepy, lab, until) -> None:
    sleepy.write()
    job = sleepy.submit("--array", "1", "--option=--exclude=n3", *NO_GPU)
    for run in range(1 + RUNS):
        until(lambda begun=run + 1: sleepy.output().count("i2ibench 0.") == begun, 60)
        time.sleep(0.5)  # the script listens now, and the first step is seconds away
        lab.ask(f"scancel --batch --signal=USR1 {job}")  # as a time limit would
        until(lambda: lab.job(job)["JobState"] == "PENDING", 60)
        sleepy.hasten(job)
    sleepy.wait_for(job, "FAILED", 60)
    assert lab.job(job)["Restarts"] == str(1 + RUNS)
    assert not sleepy.steps()
    said = f"job {job}_0 was begun again {RUNS} times and came no further"
    assert said in sleepy.output()
    assert [said in str(row.error) for row in monitor.rows(*sleepy.load())] == [True]  # as `i2ibench status` shows
    longer = sleepy.submit("--array", "1", "--option=--exclude=n3", *NO_GPU)
    sleepy.wait_for(longer, "COMPLETED")
    assert len(sleepy.scores()) == 1


def test_the_committed_script_can_be_submitted_by_hand(short, sleepy, lab) -> None:
    sleepy.write()
    script = Path(__file__).parents[2] / "slurm" / "ray.sbatch"
    path = f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["env", path, "sbatch", "--parsable", "--gres=none", "--cpus-per-task=1", str(script), "benchmark.yaml"]
    job = lab.run(*command, cwd=sleepy.folder).stdout.strip()
    sleepy.wait_for(job, "COMPLETED")
    assert len(sleepy.scores()) == 1


def test_the_login_node_is_told_what_is_wrong_with_a_request(lab, sleepy) -> None:
    sleepy.write()
    command = [sys.executable, "-m", "i2ibench", "submit", str(sleepy.file), "--partition", "nowhere"]
    done: subprocess.CompletedProcess[str] = lab.run(*command, cwd=sleepy.folder)
    assert done.returncode == 2
    assert "Slurm refuses the job" in done.stderr
    assert "partition" in done.stderr


def test_a_request_that_no_node_can_meet_is_said_to_wait(lab, sleepy) -> None:
    sleepy.write()
    command = [sys.executable, "-m", "i2ibench", "submit", str(sleepy.file), "--cpus-per-node", "64", *NO_GPU]
    done: subprocess.CompletedProcess[str] = lab.run(*command, cwd=sleepy.folder)
    assert done.returncode == 0, done.stderr
    job = re.match(r"job (\d+): ", done.stdout)
    assert job
    sleepy.jobs.append(job[1])
    said = " ".join((done.stdout + done.stderr).split())
    assert "Slurm would not start it as things are (Requested node configuration is not available)" in said


def test_submit_says_which_jobs_do_the_benchmark_already(lab, sleepy, sleepy_type, tmp_path: Path) -> None:
    sleepy.write()
    first = sleepy.submit("--array", "2", "--option=--hold", *NO_GPU)
    second = sleepy.submit("--option=--hold", *NO_GPU)
    command = (sys.executable, "-m", "i2ibench", "submit", str(sleepy.file), "--option=--hold", *NO_GPU)
    done: subprocess.CompletedProcess[str] = lab.run(*command, cwd=sleepy.folder)
    job = re.match(r"job (\d+): ", done.stdout)
    assert job, done.stderr
    sleepy.jobs.append(job[1])
    assert re.findall(r"^job (\d+) is pending for this benchmark already", done.stdout, re.MULTILINE) == [first, second]
    (tmp_path / "elsewhere").mkdir()
    twin = sleepy_type(tmp_path / "elsewhere", lab)  # of the same name, with a store of its own
    twin.write()
    done = lab.run(*command[:4], str(twin.file), *command[5:], cwd=twin.folder)
    job = re.match(r"job (\d+): ", done.stdout)
    assert job, done.stderr
    sleepy.jobs.append(job[1])
    assert "already" not in done.stdout


def test_doctor_asks_slurm_itself(lab, sleepy) -> None:
    sleepy.write()
    text = sleepy.file.read_text()
    doctor = [sys.executable, "-m", "i2ibench", "doctor", "--slurm", str(sleepy.file)]
    sleepy.file.write_text(text + "slurm: {gpus_per_node: 0, cpus_per_node: 2}\n")
    done: subprocess.CompletedProcess[str] = lab.run(*doctor, cwd=sleepy.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"the job .* to start at .* on nodes n\d in partition main", done.stdout)
    assert re.search(r"preemption .* REQUEUE: 60 s for checkpoints", done.stdout)
    sleepy.file.write_text(text + "slurm: {gpus_per_node: 5, cpus_per_node: 2}\n")
    done = lab.run(*doctor, cwd=sleepy.folder)
    assert done.returncode == 1
    assert re.search(r"x .* the job .* Slurm refuses the job", done.stdout)
    assert re.search(r"the nodes .* 3 of 4 cores, 8000 MB, gpu:2", done.stdout)


# The last test: it leaves one of three nodes.
def test_a_crashed_host_and_a_cut_link_lose_nothing(short, sleepy, sleepy_type, lab, until, tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    other = sleepy_type(tmp_path / "cut", lab)
    sleepy.write(steps=200, seconds=0.2)
    other.write(steps=200, seconds=0.2)
    crashed = sleepy.submit(*NO_GPU, "--array", "1")
    until(lambda: lab.job(crashed)["JobState"] == "RUNNING", 30)
    host = lab.job(crashed)["BatchHost"]
    cut = other.submit(f"--option=--exclude={host}", *NO_GPU, "--array", "1")
    until(lambda: len(sleepy.steps()) > 25 and len(other.steps()) > 25, 180)
    elsewhere = other.steps()[-1][0]
    lab.crash(host)
    lab.cut(elsewhere)
    until(lambda: lab.job(cut).get("Restarts") == "1" and lab.job(crashed).get("Restarts") == "1", 90)
    other.wait_for(cut, "COMPLETED", 120)
    assert len(other.steps()) == 200  # who was cut off went on, and nobody did the same again
    sleepy.wait_for(crashed, "COMPLETED", 180)
    assert 200 < len(sleepy.steps()) + 1 < 200 + 25
    assert len({host for host, *_ in sleepy.steps()}) == 2
    assert len(sleepy.scores()) == len(other.scores()) == 1

"""The simulated schedule: within its bounds for any jobs, and right where the answer is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2ibench.errors import ConfigError
from i2ibench.job import Job
from i2ibench.simulate import START_SECONDS, simulate


def job(name: str, seconds: float, *, gpus: float = 1.0, after: tuple[str, ...] = (), kind: str = "train") -> Job:
    resources = {"cpus": 1, "gpus": gpus, "memory": None, "retries": 0}
    return Job(
        kind, {"id": name, "data": name}, "runs", {}, (), resources, after=after, seconds=seconds - START_SECONDS
    )


def test_equal_jobs_fill_the_machine() -> None:
    found = simulate([job(str(i), 100) for i in range(64)], nodes=4, cpus=8, gpus=8)
    assert found.makespan == pytest.approx(200)
    assert found.utilisation == pytest.approx(1)
    assert found.bound == pytest.approx(200)


def test_a_chain_takes_its_whole_length() -> None:
    jobs = [job("a", 50), job("b", 30, after=("train a",)), job("c", 10, after=("train b",)), job("d", 20)]
    found = simulate(jobs, nodes=10, cpus=8, gpus=8)
    assert found.makespan == found.critical_path == found.bound == pytest.approx(90)


def test_small_trials_share_a_gpu_and_without_gpus_cores_count() -> None:
    jobs = [job(str(i), 100, gpus=0.25) for i in range(8)]
    assert simulate(jobs, nodes=1, cpus=8, gpus=1).makespan == pytest.approx(200)
    found = simulate(jobs, nodes=1, cpus=8, gpus=0)
    assert found.makespan == pytest.approx(100)
    assert found.resource == "CPU"


def test_a_trial_of_several_gpus_stays_on_one_node() -> None:
    jobs = [job(str(i), 100, gpus=3) for i in range(4)]
    assert simulate(jobs, nodes=2, cpus=8, gpus=4).makespan == pytest.approx(200)  # 2 GPUs in all are left over


@pytest.mark.parametrize("jobs", [[], [job("big", 10, gpus=8)]])
def test_what_can_never_run_is_an_error(jobs: list[Job]) -> None:
    with pytest.raises(ConfigError):
        simulate(jobs, nodes=4, cpus=8, gpus=4)


@given(
    lengths=st.lists(st.floats(4, 1000), min_size=1, max_size=40),
    shares=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]), min_size=40, max_size=40),
    nodes=st.integers(1, 5),
)
def test_the_makespan_is_within_its_bounds(lengths: list[float], shares: list[float], nodes: int) -> None:
    jobs = [job(str(i), length, gpus=share) for i, (length, share) in enumerate(zip(lengths, shares, strict=False))]
    found = simulate(jobs, nodes=nodes, cpus=4, gpus=2)
    assert found.bound <= found.makespan * (1 + 1e-9)
    assert found.makespan <= sum(lengths) * (1 + 1e-9)
    assert 0 < found.utilisation <= 1 + 1e-9

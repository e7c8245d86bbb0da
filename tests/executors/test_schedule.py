"""The schedule: order, dependencies, room, and what follows each way for a job to end. No cluster, no clock."""

import heapq
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2ibench.executors.schedule import Schedule, asks
from i2ibench.job import Job, Outcome

DONE = Outcome("done")


def job(trial: str, kind: str = "train", seconds: float = 1.0, after: tuple[str, ...] = (), **resources) -> Job:
    asked = {"cpus": 1, "gpus": 0.0, "memory": None, "retries": 3} | resources
    spec = {"id": trial, "data": "d", "training": {"batch_size": 4}}
    return Job(kind, spec, "/nowhere", {}, (), asked, after=after, seconds=seconds)


def nothing_lacks(_: Job) -> set[str]:
    return set()


def taken(schedule: Schedule, lacking=nothing_lacks, now: float = 0.0) -> list[str]:
    names = []
    while (found := schedule.take(now, lacking)) is not None:
        names.append(found.name)
    return names


def test_the_longest_goes_first_and_a_score_before_any_training() -> None:
    jobs = [job("a", seconds=1), job("b", seconds=9), job("c", seconds=5), job("old", "score"), job("x", "reference")]
    assert taken(Schedule(jobs)) == ["reference d", "score old", "train b", "train c", "train a"]


def test_a_score_waits_for_its_training_and_its_reference() -> None:
    train, reference = job("a"), job("a", "reference")
    schedule = Schedule([train, reference, job("a", "score", after=(train.name, reference.name))])
    assert taken(schedule) == ["reference d", "train a"]
    schedule.end(train, DONE, 0)
    assert taken(schedule) == []
    schedule.end(reference, Outcome("failed"), 0)  # the score says itself what is wrong
    assert taken(schedule) == ["score a"]


def test_a_score_whose_training_failed_never_begins() -> None:
    train = job("a")
    schedule = Schedule([train, job("a", "score", after=("train a",))])
    assert taken(schedule) == ["train a"]
    assert schedule.end(train, Outcome("failed", "boom"), 0) == Outcome("failed", "boom")
    assert not schedule.open


def test_what_was_done_before_is_not_waited_for() -> None:
    assert taken(Schedule([job("a", "score", after=("train a", "reference d"))])) == ["score a"]


def test_a_score_passes_a_training_that_waits_for_a_gpu_but_small_trainings_do_not() -> None:
    big, small = job("big", seconds=9, gpus=4.0), job("small", gpus=0.5)
    score = job("old", "score")
    free = {"CPU": 8.0, "GPU": 1.0}

    def lacking(asked: Job) -> set[str]:
        return {name for name, amount in asks(asked, has_gpus=True).items() if free[name] < amount}

    assert taken(Schedule([small, big, score]), lacking) == ["score old"]
    free["GPU"] = 4.5
    assert taken(Schedule([small, big, score]), lacking) == ["score old", "train big", "train small"]


def test_a_busy_trial_is_asked_after_again_and_costs_no_attempt() -> None:
    train = job("a", retries=0)
    schedule = Schedule([train])
    now = 0.0
    for _ in range(50):
        assert taken(schedule, now=now) == ["train a"]
        assert schedule.end(train, Outcome("busy"), now) is None
        assert taken(schedule, now=now) == [], "it holds no resources meanwhile"
        wait = schedule.wait_seconds(now)
        assert 0 < wait <= 10
        now += wait
    assert taken(schedule, now=now) == ["train a"]
    assert schedule.end(train, DONE, now) == DONE


@pytest.mark.parametrize("state", ["crashed", "hung"])
def test_a_dead_process_is_begun_again_so_many_times(state: str) -> None:
    train = job("a", retries=2)
    schedule = Schedule([train])
    for now in (0, 10):
        assert taken(schedule, now=now) == ["train a"]
        assert schedule.end(train, Outcome(state, "it died"), now) is None
    assert taken(schedule, now=20) == ["train a"]
    final = schedule.end(train, Outcome(state, "it died"), 20)
    assert final == Outcome("failed", "it died (3 times)", recorded=False)
    assert not schedule.open


def test_out_of_memory_is_tried_once_more_with_half_the_batch() -> None:
    train = job("a")
    schedule = Schedule([train])
    taken(schedule)
    assert schedule.end(train, Outcome("memory", "out of memory"), 0) is None
    again = schedule.take(0, nothing_lacks)
    assert again == replace(train, micro_batches=2)
    assert schedule.end(again, Outcome("memory", "out of memory"), 0).state == "failed"


def test_a_batch_of_one_cannot_be_halved() -> None:
    train = job("a")
    train.spec["training"]["batch_size"] = 1
    schedule = Schedule([train])
    taken(schedule)
    assert schedule.end(train, Outcome("memory", "out of memory"), 0).state == "failed"


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=40), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_every_job_is_done_once_in_order_and_no_slot_idles(lengths: list[float], slots: int) -> None:
    """Simulated: the makespan stays within Graham's bound for lists, total / slots + (1 - 1 / slots) * longest chain."""
    jobs = []
    for i, seconds in enumerate(lengths):
        jobs.append(job(f"t{i}", seconds=seconds))
        jobs.append(job(f"t{i}", "score", 0.01 * seconds, after=(f"train t{i}",)))
    schedule, running, now = Schedule(jobs), [], 0.0
    ended: Counter[str] = Counter()
    while schedule.open:
        while (found := schedule.take(now, lambda _: {"CPU"} if len(running) >= slots else set())) is not None:
            assert all(ended[name] for name in found.after)
            heapq.heappush(running, (now + found.seconds, found.name, found))
        now, name, found = heapq.heappop(running)
        assert schedule.end(found, DONE, now) == DONE
        ended[name] += 1
    assert set(ended.values()) == {1}
    assert len(ended) == len(jobs)
    total, longest = 1.01 * sum(lengths), 1.01 * max(lengths)
    assert now <= total / slots + (1 - 1 / slots) * longest + 1e-6

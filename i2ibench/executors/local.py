"""Runs the jobs one after the other in this process: for debugging, and where determinism must be plain to see."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from i2ibench import lease
from i2ibench.executors.schedule import Schedule
from i2ibench.job import Job, Outcome
from i2ibench.lease import Holder
from i2ibench.stopping import Stop
from i2ibench.store import Store


class LocalExecutor:
    """An `Executor` of this process."""

    def __init__(self, *, wait: bool = True) -> None:
        """Without `wait`, a run ends when other drivers work on all that is left, rather than ask for it again."""
        self._wait = wait

    def run(self, jobs: Sequence[Job], stop: Stop) -> Iterator[tuple[Job, Outcome]]:
        from i2ibench.worker import run_job

        schedule = Schedule([job for job in jobs if job.kind != "probe"])  # each has the GPU for itself
        hearts = Hearts()
        while schedule.open and not stop.requested:
            job = schedule.take(time.monotonic(), lambda _: set())
            if job is None:  # another driver has what is left
                if not self._wait and hearts.beat(schedule.left_to_others):
                    return
                time.sleep(min(0.2, schedule.wait_seconds(time.monotonic()) or 0.2))
                continue
            with stop.at_work(job):
                outcome = schedule.end(job, run_job(job), time.monotonic())
            if outcome is not None:
                yield job, outcome


class Hearts:
    """Whether those who hold what is left are alive: the lease of a host that crashed looks held until it expires."""

    def __init__(self) -> None:
        self._first_seen: dict[str, Holder] = {}

    def beat(self, jobs: Sequence[Job]) -> bool:
        """Whether there are jobs, and each of their leases has got a heartbeat since it was first looked at."""
        beats = [self._beats(job) for job in jobs]  # each is looked at, so that they are waited for together
        return bool(beats) and all(beats)

    def _beats(self, job: Job) -> bool:
        store = Store(job.store)
        # A trial that goes back waits for the training of the other direction.
        found = (lease.holder(store.trial(name).path) for name in (job.trial, str(job.spec["trained_as"])))
        holder = next(filter(None, found), None)
        if holder is None:  # given back meanwhile
            return False
        first = self._first_seen.setdefault(job.name, holder)
        return (first.key, first.beat) != (holder.key, holder.beat)

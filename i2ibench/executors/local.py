"""Runs the jobs one after the other in this process: for debugging, and where determinism must be plain to see."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from i2ibench.executors.schedule import Schedule
from i2ibench.job import Job, Outcome
from i2ibench.stopping import Stop


class LocalExecutor:
    def __init__(self, *, wait: bool = True) -> None:
        """Without `wait`, a run ends when other drivers work on all that is left, rather than ask for it again."""
        self._wait = wait

    def run(self, jobs: Sequence[Job], stop: Stop) -> Iterator[tuple[Job, Outcome]]:
        from i2ibench.worker import run_job

        schedule = Schedule([job for job in jobs if job.kind != "probe"])  # each has the GPU for itself
        while schedule.open and not stop.requested:
            job = schedule.take(time.monotonic(), lambda _: set())
            if job is None:  # another driver has what is left
                if not self._wait and schedule.all_busy:
                    return
                time.sleep(min(0.2, schedule.wait_seconds(time.monotonic()) or 0.2))
                continue
            with stop.at_work(job):
                outcome = schedule.end(job, run_job(job), time.monotonic())
            if outcome is not None:
                yield job, outcome

"""Runs the trials one after the other in this process: for debugging, and where determinism must be plain to see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from i2ibench.job import Job


class LocalExecutor:
    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, str]]:
        from i2ibench.trial import run_job

        for job in jobs:
            yield job, run_job(job)

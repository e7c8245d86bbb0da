"""Finds trainings whose process does not even beat its lease's heart: frozen as a whole, it cannot kill itself."""

from __future__ import annotations

import math

from i2ibench import lease
from i2ibench.job import Job
from i2ibench.store import Store

LOOK_SECONDS = 5.0  # between two looks at one lease: on a network file system each costs


class Pulse:
    """How long the hearts of running trainings have been silent, by our own clock, whatever the file server says.

    A hang that lets other threads run is ended by the worker itself (`worker._watch`). One that does not (a C function
    that never returns and holds Python's global lock, a stopped process) can only be ended from outside.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float]] = {}  # job -> its newest heartbeat, and when we first saw that
        self._looked: dict[str, float] = {}

    def stopped(self, job: Job, now: float) -> bool:
        """Whether a training's process has given no sign of life for its `training.hang_seconds`.

        Args:
            now: seconds, by any clock that only goes on. To be asked again and again while the job runs.
        """
        limit = job.spec["training"].get("hang_seconds")
        if job.kind != "train" or limit is None:
            return False
        if now - self._looked.get(job.name, -math.inf) >= LOOK_SECONDS:
            self._looked[job.name] = now
            beat = lease.newest_beat(Store(job.store).trial(job.trial).path)
            known = self._last.get(job.name)
            if beat is None:  # it has not begun, or has just ended
                self._last.pop(job.name, None)
            elif known is None or known[0] != beat:
                self._last[job.name] = (beat, now)
        return job.name in self._last and now - self._last[job.name][1] > limit + 2 * lease.BEAT

    def forget(self, job: Job) -> None:
        """The job has ended; it may begin again."""
        self._last.pop(job.name, None)
        self._looked.pop(job.name, None)

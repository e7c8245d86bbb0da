"""Which job may begin next: pure bookkeeping that the executors share, with no clock and no cluster of its own."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from i2ibench.job import Job, Outcome

# The short ones first: others wait for them, and a row is done soon after its training.
ORDER = ("probe", "reference", "score", "train")
BUSY_SECONDS = (0.5, 10.0)  # until another driver's trial is asked after again: the first time, and at most
CRASH_SECONDS = 1.0  # until a trial whose process died begins again

Asked = dict[str, float]  # resource -> amount


def asks(job: Job, *, has_gpus: bool) -> Asked:
    """What a job asks for, by Ray's names of resources; GPUs only where there are any."""
    gpus = job.resources["gpus"]
    amounts = {
        "CPU": float(job.resources["cpus"]),
        "GPU": (1.0 if gpus == "auto" else float(gpus)) if has_gpus else 0.0,  # auto: until a probe has told
        "memory": float(job.resources["memory"] or 0),
    }
    return {name: amount for name, amount in amounts.items() if amount}


class Schedule:
    """Jobs in the order of their kinds, the longest first, each after those it depends on; and what to do if one fails.

    schedule = Schedule(jobs)
    while schedule.open:
        while (job := schedule.take(now, lacking)) is not None: start it
        for each that ended: schedule.end(job, outcome, now)
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        names = {job.name for job in jobs}
        self._number = itertools.count()
        # One queue for each set of resources asked for, so that looking for what fits costs nothing with many jobs.
        self._ready: dict[str, list[tuple[int, float, int, Job]]] = defaultdict(list)
        self._waiting: list[tuple[float, int, Job]] = []  # until a time
        self._blocked: dict[str, set[str]] = {}  # job -> those it waits for
        self._dependants: dict[str, list[Job]] = defaultdict(list)
        self._told: dict[str, Job] = {}  # those for which a probe has found out what they ask for
        self._busy: Counter[str] = Counter()
        self._crashed: Counter[str] = Counter()
        self.running: dict[str, Job] = {}
        for job in jobs:
            needed = names & set(job.after)
            for name in needed:
                self._dependants[name].append(job)
            if needed:
                self._blocked[job.name] = needed
            else:
                self._push(job)

    @property
    def open(self) -> bool:
        """Whether anything is still to begin or to end."""
        return bool(self.running or self._waiting or any(self._ready.values()))

    @property
    def left_to_others(self) -> list[Job]:
        """What is left, but for what comes after it, where other drivers hold all of it; else nothing."""
        waiting = [job for _, _, job in self._waiting]
        idle = not self.running and not any(self._ready.values())
        return waiting if idle and all(self._busy[job.name] for job in waiting) else []

    def wait_seconds(self, now: float) -> float | None:
        """Until a job that waits for a time may begin; None where there is none."""
        return max(0.0, self._waiting[0][0] - now) if self._waiting else None

    def take(self, now: float, lacking: Callable[[Job], set[str]]) -> Job | None:
        """The next job, or None if there is none that may begin.

        Args:
            now: seconds, by any clock that only goes on.
            lacking: the resources that a job asks for and that are not free. They are kept for it: a score passes a
                training that waits for a GPU, but small trainings do not starve a big one.
        """
        while self._waiting and self._waiting[0][0] <= now:
            self._push(heapq.heappop(self._waiting)[2])
        kept: set[str] = set()
        for queue in sorted(filter(None, self._ready.values()), key=lambda queue: queue[0]):
            job = queue[0][-1]
            missing = lacking(job)
            if not missing and not kept & asks(job, has_gpus=True).keys():
                heapq.heappop(queue)
                self.running[job.name] = job
                return job
            kept |= missing
        return None

    def end(self, job: Job, outcome: Outcome, now: float) -> Outcome | None:
        """Take note of how a job ended.

        Returns:
            Its outcome, which is then `done`, `failed` or `interrupted`; None if it is to begin again.
        """
        del self.running[job.name]
        if outcome.state == "busy":
            shortest, longest = BUSY_SECONDS
            self._wait(job, now + min(longest, shortest * 1.5 ** min(self._busy[job.name], 20)))
            self._busy[job.name] += 1
            return None
        if outcome.state in ("crashed", "hung"):
            self._crashed[job.name] += 1
            if self._crashed[job.name] <= job.resources["retries"]:
                self._wait(job, now + CRASH_SECONDS)
                return None
            times = f" ({self._crashed[job.name]} times)" if self._crashed[job.name] > 1 else ""
            outcome = Outcome("failed", outcome.error + times, recorded=False)
        elif outcome.state == "memory":
            if job.kind == "train" and job.micro_batches == 1 and job.spec["training"]["batch_size"] > 1:
                self._wait(replace(job, micro_batches=2), now)
                return None
            outcome = Outcome("failed", outcome.error, recorded=False)
        self._release(job, outcome)
        return outcome

    def _release(self, job: Job, outcome: Outcome) -> None:
        """Let those begin that waited for a job; or forget them, where there will never be anything for them to do."""
        for dependant in self._dependants.pop(job.name, []):
            never = outcome.state == "interrupted" or (outcome.state == "failed" and dependant.kind == "score")
            if never and job.kind == "train":
                self._blocked.pop(dependant.name, None)
            elif dependant.name in self._blocked:
                self._blocked[dependant.name].discard(job.name)
                if outcome.gpus is not None:
                    told = dependant.resources | {"gpus": outcome.gpus}
                    self._told[dependant.name] = replace(dependant, resources=told)
                if not self._blocked[dependant.name]:
                    del self._blocked[dependant.name]
                    self._push(self._told.pop(dependant.name, dependant))

    def _push(self, job: Job) -> None:
        key = repr(asks(job, has_gpus=True))
        heapq.heappush(self._ready[key], (ORDER.index(job.kind), -job.seconds, next(self._number), job))

    def _wait(self, job: Job, until: float) -> None:
        heapq.heappush(self._waiting, (until, next(self._number), job))

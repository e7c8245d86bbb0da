"""How long a plan would take on a cluster that is not there yet: its jobs in the real schedule's order, on paper."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from i2ibench.errors import ConfigError
from i2ibench.executors.schedule import Schedule, asks
from i2ibench.job import Job, Outcome

START_SECONDS = 3.0  # that a process takes to begin a job: torch is imported, data is mapped


@dataclass(frozen=True)
class Simulation:
    """What came out; all times in seconds."""

    makespan: float
    work: dict[str, float]  # resource -> how much of it is used for how long
    room: dict[str, float]  # resource -> how much of it there is
    critical_path: float  # the longest chain of jobs of which each waits for the one before

    @property
    def resource(self) -> str:
        """The one that is short: of which the largest share is used."""
        return max(self.work, key=lambda name: self.work[name] / self.room[name])

    @property
    def utilisation(self) -> float:
        """The share of the short resource's time that is used."""
        return self.work[self.resource] / self.room[self.resource] / self.makespan

    @property
    def bound(self) -> float:
        """No order of the jobs could take less."""
        return max(self.critical_path, self.work[self.resource] / self.room[self.resource])


def simulate(jobs: Sequence[Job], *, nodes: int, cpus: float, gpus: float) -> Simulation:
    """Run the jobs on so many nodes with so many CPUs and GPUs each; where there are no GPUs, none is asked for.

    Raises:
        ConfigError: a job asks for more than a node has, or there is none.
    """
    if not jobs:
        raise ConfigError("nothing is left to do, so there is nothing to simulate")
    has_gpus = gpus > 0
    node = {"CPU": float(cpus)} | ({"GPU": float(gpus)} if has_gpus else {})
    wants = {job.name: _counted(asks(job, has_gpus=has_gpus)) for job in jobs}
    for name, asked in wants.items():
        if lacking := [part for part, amount in asked.items() if amount > node.get(part, 0.0)]:
            raise ConfigError(f"{name} asks for more {lacking[0]}s than the {node.get(lacking[0], 0):g} of a node")
    free = [dict(node) for _ in range(nodes)]
    schedule = Schedule([job for job in jobs if job.kind != "probe" or has_gpus])
    running: list[tuple[float, int, int, Job]] = []
    work: dict[str, float] = dict.fromkeys(node, 0.0)
    now, begun = 0.0, 0

    def fits(asked: dict[str, float], on: dict[str, float]) -> bool:
        return all(on[part] >= amount - 1e-9 for part, amount in asked.items())

    def lacks(job: Job) -> set[str]:
        asked = wants[job.name]
        if any(fits(asked, each) for each in free):
            return set()
        short = {part for part, amount in asked.items() if all(each[part] < amount - 1e-9 for each in free)}
        return short or set(asked)

    while schedule.open:
        while (job := schedule.take(now, lacks)) is not None:
            asked = wants[job.name]
            # Where least is left, so that big jobs find room.
            where = min((i for i in range(nodes) if fits(asked, free[i])), key=lambda i: sum(free[i].values()))
            length = job.seconds + START_SECONDS
            for part, amount in asked.items():
                free[where][part] -= amount
                work[part] += amount * length
            begun += 1
            heapq.heappush(running, (now + length, begun, where, job))
        now, _, where, job = heapq.heappop(running)
        for part, amount in wants[job.name].items():
            free[where][part] += amount
        schedule.end(job, Outcome("done"), now)
    room = {part: amount * nodes for part, amount in node.items()}
    return Simulation(now, work, room, _critical_path(jobs))


def _counted(asked: dict[str, float]) -> dict[str, float]:
    """Memory is left out: what the nodes have of it is not said."""
    return {part: amount for part, amount in asked.items() if part != "memory"}


def _critical_path(jobs: Sequence[Job]) -> float:
    by_name = {job.name: job for job in jobs}
    ends: dict[str, float] = {}

    def end(job: Job) -> float:
        if job.name not in ends:
            before = [end(by_name[name]) for name in job.after if name in by_name]
            ends[job.name] = job.seconds + START_SECONDS + max(before, default=0.0)
        return ends[job.name]

    return max(end(job) for job in jobs)

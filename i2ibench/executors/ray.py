"""Fans the jobs out over a Ray cluster. The only file that imports ray; it knows nothing of images or networks."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from i2ibench.errors import ConfigError, CrashedError, I2IBenchError, first_line
from i2ibench.executors import cluster
from i2ibench.executors.pulse import Pulse
from i2ibench.executors.schedule import Asked, Schedule, asks
from i2ibench.job import Job, Outcome
from i2ibench.stopping import Stop
from i2ibench.store import Store

POLL_SECONDS = 0.5  # between two looks at signals, at nodes that came or went, and at jobs that wait for a time
GRACE_SECONDS = 60.0  # for trials to write their checkpoints when the run is stopped
JOIN_SECONDS = 20.0  # for the nodes of a cluster that is given, and may be coming up
STARVED_SECONDS = 60.0  # with nothing running and no node for what is left: the cluster has shrunk for good


class RayExecutor:
    """Runs jobs as Ray tasks, on an existing cluster (address, or RAY_ADDRESS) or on one of its own on this machine."""

    def __init__(self, address: str | None = None) -> None:
        """Raises ConfigError if an address is given and no cluster answers there."""
        for key, value in cluster.QUIET.items():
            os.environ.setdefault(key, value)
        self._address = address or os.environ.get("RAY_ADDRESS")
        if self._address:
            cluster.probe(self._address)

    def run(self, jobs: Sequence[Job], stop: Stop) -> Iterator[tuple[Job, Outcome]]:
        """Yield each job with its outcome as it ends; after a stop, only those that were at work.

        Raises:
            ConfigError: no node of the cluster could ever run one of the jobs.
        """
        with nullcontext() if self._address else cluster.token_of_our_own(), _connected(self._address):
            yield from _Run(jobs, stop, joining=bool(self._address)).events()


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    print(f"connecting to Ray at {address}" if address else "starting Ray", file=sys.stderr)  # either takes seconds
    import ray

    handler = signal.getsignal(signal.SIGTERM)  # ray replaces it
    with cluster.quiet_stdout():
        # A bare ray.init() would join whatever cluster runs on this machine, another user's included.
        ray.init(
            address=address or "local",
            job_config=_same_modules(),
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            include_dashboard=False if not address else None,
        )
    with suppress(ValueError):  # not the main thread: there ray left it alone, too
        signal.signal(signal.SIGTERM, handler)
    try:
        with _silent():
            yield
    finally:
        ray.shutdown()


def _same_modules() -> Any:
    """Let workers find modules where this process does.

    Ray by itself puts the current folder before all else on their path, so that in a checkout of this repository they
    would import what lies there, and not the package that is installed and runs here.
    """
    from ray.job_config import JobConfig

    config: Any = JobConfig(_py_driver_sys_path=sys.path[:1])  # the folder of a script, or of `python -m`
    config._runtime_env_has_working_dir = lambda: True  # it would be found there, so Ray adds nothing to the path
    return config


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Ray's thread for error messages from printing what the rows of trials say better (no setting does)."""
    import ray

    internals: Any = ray._private.worker
    prints = internals.print_to_stdstream
    internals.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        internals.print_to_stdstream = prints


class _Run:
    """One run of the event loop: a task for each job that there is room for, and something to do for each that ends.

    Tasks are given to Ray only as they fit, so that the order is the schedule's and not Ray's.
    """

    def __init__(self, jobs: Sequence[Job], stop: Stop, *, joining: bool) -> None:
        import ray

        self._ray, self._stop = ray, stop
        self._tasks: dict[Any, tuple[Job, Asked]] = {}
        self._used: Counter[str] = Counter()
        self._pulse, self._frozen = Pulse(), set[str]()  # the names of jobs whose processes we have killed
        self._nodes: list[dict[str, float]] = []
        self._has_gpus = False  # now or before: what asks for a GPU waits for one to come back
        self._looked, self._moved = -float("inf"), time.monotonic()
        self._wait_for_nodes(jobs, JOIN_SECONDS if joining else 0.0)
        self._schedule = Schedule([job for job in jobs if job.kind != "probe" or self._has_gpus])
        # Processes are used again, since to import torch takes seconds. But one that has used a GPU cannot change to
        # another: where a node has several, a training's process is left behind.
        self._remote = {many: ray.remote(max_calls=int(many))(_work) for many in (False, True)}

    def events(self) -> Iterator[tuple[Job, Outcome]]:
        deadline = None
        while self._tasks or (self._schedule.open and not self._stop.requested):
            if self._stop.requested:
                deadline = deadline or time.monotonic() + GRACE_SECONDS
                self._stop.remind()
                if time.monotonic() > deadline:
                    return
            else:
                self._look_at_nodes()
                self._start()
                self._kill_frozen()
            for job, outcome in self._ended():
                final = self._schedule.end(job, outcome, time.monotonic())
                if final is not None:
                    yield job, final

    def _start(self) -> None:
        while (job := self._schedule.take(time.monotonic(), self._lacking)) is not None:
            asked = asks(job, has_gpus=self._has_gpus)
            request = {"num_cpus": asked["CPU"], "num_gpus": asked.get("GPU", 0), "memory": asked.get("memory", 0)}
            alone = "GPU" in asked and any(node.get("GPU", 0) > 1 for node in self._nodes)
            task = self._remote[alone].options(max_retries=0, **request).remote(job)
            self._tasks[task] = job, asked
            self._used.update(asked)
            self._stop.begun(job)
            self._moved = time.monotonic()
        idle = not self._tasks and self._schedule.wait_seconds(time.monotonic()) is None
        if idle and self._schedule.open and time.monotonic() - self._moved > STARVED_SECONDS:
            raise ConfigError("no node that is left in the Ray cluster has room for any of the remaining trials")

    def _kill_frozen(self) -> None:
        for task, (job, _) in self._tasks.items():
            if job.name not in self._frozen and self._pulse.stopped(job, time.monotonic()):
                self._frozen.add(job.name)
                self._ray.cancel(task, force=True)

    def _ended(self) -> Iterator[tuple[Job, Outcome]]:
        now = time.monotonic()
        patience = min(POLL_SECONDS, self._schedule.wait_seconds(now) or POLL_SECONDS)
        if not self._tasks:
            time.sleep(patience)
            return
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=patience)
        for task in ready:
            job, asked = self._tasks.pop(task)
            self._used.subtract(asked)
            self._stop.ended(job)
            self._pulse.forget(job)
            yield job, self._outcome(task, job)
            self._frozen.discard(job.name)

    def _outcome(self, task: Any, job: Job) -> Outcome:
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(task)
            return outcome
        except errors.OutOfMemoryError as error:
            return Outcome("memory", f"the host ran out of memory: {first_line(error)}", recorded=False)
        except errors.RayTaskError as error:  # the package or the store is missing on that node: no use in trying again
            return Outcome("failed", f"the worker failed: {str(error).strip().splitlines()[-1]}", recorded=False)
        except errors.RayError as error:
            if self._hung(job):
                limit = job.spec["training"]["hang_seconds"]
                return Outcome("hung", f"no step for {limit:g} s (training.hang_seconds)", recorded=False)
            reason = f"the worker process died: {type(error).__name__}: {first_line(error)}"
            return Outcome("crashed", reason, recorded=False)

    def _hung(self, job: Job) -> bool:
        if job.name in self._frozen:
            return True
        try:
            progress = Store(job.store).trial(job.trial).progress()
        except I2IBenchError:
            return False
        return progress is not None and progress["state"] == "hung"

    def _lacking(self, job: Job) -> set[str]:
        total: Counter[str] = Counter()
        for node in self._nodes:
            total.update({name: amount for name, amount in node.items() if name in ("CPU", "GPU", "memory")})  # type: ignore[misc]
        asked = asks(job, has_gpus=self._has_gpus)
        return {name for name, amount in asked.items() if total[name] - self._used[name] < amount - 1e-6}

    def _wait_for_nodes(self, jobs: Sequence[Job], seconds: float) -> None:
        """Look whether every job can run somewhere; the nodes of a cluster that comes up may be about to join."""
        deadline = time.monotonic() + seconds
        while True:
            self._look_at_nodes()
            try:
                return _require_feasible(jobs, self._nodes, has_gpus=self._has_gpus)
            except ConfigError:
                if time.monotonic() > deadline or self._stop.requested:
                    raise
            time.sleep(POLL_SECONDS)

    def _look_at_nodes(self) -> None:
        now = time.monotonic()
        if now - self._looked > POLL_SECONDS:
            self._looked = now
            self._nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            self._has_gpus = self._has_gpus or any(node.get("GPU", 0) for node in self._nodes)


def _work(job: Job) -> Outcome:
    """The body of a task, on a worker: what it prints goes to the trial's log."""
    from contextlib import redirect_stderr, redirect_stdout

    from i2ibench.worker import run_job

    folder = Store(job.store).trial(job.trial).path
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        before = signal.signal(signal.SIGTERM, _told_to_end)
        try:
            return run_job(job, disposable=True)
        finally:
            signal.signal(signal.SIGTERM, before)


def _told_to_end(*_: Any) -> None:
    """A node that is taken out of service ends its workers so. Ray's handler exits, as if the method had failed."""
    raise CrashedError("the worker process was told to end (SIGTERM)")


def _require_feasible(jobs: Sequence[Job], nodes: Sequence[dict[str, float]], *, has_gpus: bool) -> None:
    """A task that asks for more than any node has would be pending for ever."""
    for job in jobs:
        asked = asks(job, has_gpus=has_gpus)
        if any(all(node.get(name, 0) >= amount for name, amount in asked.items()) for node in nodes):
            continue
        largest = ", ".join(_in_words(node) for node in nodes)
        raise ConfigError(
            f"{job.spec['label']} on {job.spec['data']} asks for {_in_words(asked)}, and no node has them "
            f"(there are: {largest}); lower {'`evaluation: {resources:}`' if job.kind != 'train' else '`resources:`'}"
        )


def _in_words(amounts: dict[str, float]) -> str:
    words = f"{amounts.get('CPU', 0):g} CPUs and {amounts.get('GPU', 0):g} GPUs"
    return words + (f" and {amounts['memory'] / 1e9:.1f} GB" if "memory" in amounts else "")

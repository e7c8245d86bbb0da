"""Stopping: a file `stop` in a trial's folder asks whoever trains it to write a checkpoint and leave.

Ctrl-C, SIGTERM and SIGUSR1 of a driver, and `i2ibench stop` from any other terminal, all go through it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from i2ibench.errors import Interrupted, Stopped
from i2ibench.job import Job
from i2ibench.store import TAKEN_OVER, Store

# How a driver leaves when it was stopped by a signal: as a shell would say it, but for Slurm's word of warning before a
# time limit (`--signal=B:USR1@60`), where the code asks for the job to be queued again (EX_TEMPFAIL).
EXIT_CODES: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 75}
LOOK_SECONDS = 1.0  # between two looks for the file


def request(folder: Path) -> None:
    """Ask whoever works on a trial, now or next, to stop. A new run takes the request back."""
    with suppress(OSError):  # a full disk: those who can still be asked are
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stop").touch()


def requested(folder: Path) -> bool:
    return (folder / "stop").exists()


def take_back(folder: Path) -> None:
    (folder / "stop").unlink(missing_ok=True)


def looking(folder: Path, lost: Callable[[], bool] = lambda: False) -> Callable[[], bool]:
    """A function that says whether to stop; it may be asked at every step, and looks for the file once a second.

    It raises Interrupted where the trial is `lost` to another process: nothing of it is to be written any more.
    """
    last = [-LOOK_SECONDS, False]

    def should_stop() -> bool:
        if lost():
            raise Interrupted(TAKEN_OVER)
        now = time.monotonic()
        if now - last[0] >= LOOK_SECONDS:
            last[:] = [now, requested(folder)]
        return bool(last[1])

    return should_stop


class Stop(AbstractContextManager["Stop"]):
    """Listens to signals while a run goes on.

    The first is noted, and passed on to the trials at work; the next one ends the run at once, as does any that comes
    while nothing is at work (see `orderly`).
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._orderly = False
        self._at_work: dict[str, Path] = {}  # the trials' folders, by the names of their jobs
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in EXIT_CODES}
        return self

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def orderly(self) -> Iterator[None]:
        """While the block runs, a first signal lets what is at work end in order."""
        self._orderly = True
        try:
            yield
        finally:
            self._orderly = False

    @contextmanager
    def at_work(self, job: Job) -> Iterator[None]:
        """The trial that a signal is passed on to while the block runs."""
        self.begun(job)
        try:
            yield
        finally:
            self.ended(job)

    def begun(self, job: Job) -> None:
        if not job.shared:  # it carries a trial's name, and is none of its work
            self._at_work[job.name] = Store(job.store).trial(job.trial).path

    def ended(self, job: Job) -> None:
        self._at_work.pop(job.name, None)

    def remind(self) -> None:
        """Ask those at work once more: a new run may have taken the request back for its own."""
        for folder in list(self._at_work.values()):
            request(folder)

    def _handle(self, number: int, frame: Any) -> None:
        if self.requested or not self._orderly:
            raise Stopped(number)
        self.signal = number
        self.remind()
        again = " (Ctrl-C again: at once)" if number == signal.SIGINT else ""
        with suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), f"\ni2ibench: stopping; trials write their checkpoints{again}\n".encode())

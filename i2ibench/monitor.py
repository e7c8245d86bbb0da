"""Shows a running benchmark: a live table on a terminal, plain lines elsewhere. Reads the store alone."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from i2ibench import lease
from i2ibench.columns import Columns
from i2ibench.errors import StoreError
from i2ibench.job import Outcome
from i2ibench.plan import Plan
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.terminal import say

STYLES = {
    "done": "green",
    "failed": "bold red",
    "damaged": "bold red",
    "interrupted": "yellow",
    "starting": "cyan",
    "running": "cyan",
    "training": "cyan",
    "translating": "cyan",
    "scoring": "cyan",
}
AT_WORK = ("starting", "running", "training", "translating", "scoring", "hung")
SPOKEN = ("training", "translating", "scoring", "done", "failed", "damaged")  # worth a line where there is no table
QUIET_SHARE = 0.1  # of the time, at most, that goes into looking at the store: there may be thousands of trials
PLAIN_SECONDS = 30.0  # between two lines about one running trial
MOST_ROWS = 40
FRAME = 7  # lines of a live table that are no rows, with one for a failure


@dataclass(frozen=True)
class Row:
    """What there is to say about one trial now."""

    spec: TrialSpec
    state: str
    step: int | None = None
    steps: int | None = None
    images_per_second: float | None = None
    loss: float | None = None
    eta_seconds: float | None = None
    error: str | None = None
    log: str = ""  # where the whole story of a failure lies
    failed_at: float = 0.0  # seconds since the epoch
    host: str = ""  # where it is worked on
    job: str = ""  # the Slurm job that works on it, if one does
    restarts: str = ""  # SLURM_RESTART_COUNT there
    beat_seconds: float | None = None  # since its last heartbeat

    def line(self) -> str:
        """The row in one plain line."""
        parts = [f"{self.spec.label} | {self.spec.data} | seed {self.spec.seed}: {self.state}"]
        if self.state in ("training", "interrupted") and self.step is not None:
            parts.append(f"step {self.step}/{self.steps}")
            parts += [f"{self.images_per_second:.0f} images/s"] if self.images_per_second else []
            parts += [f"loss {self.loss:.3g}"] if self.loss is not None else []
            parts += [f"{duration(self.eta_seconds)} left"] if self.eta_seconds is not None else []
        where = f" (log: {self.log})" if self.log else ""
        parts += [f"by job {self.job}"] if self.job not in ("", lease.slurm_job(os.environ)) else []
        return ", ".join(parts) + (f": {self.error}{where}" if self.error else "")


def rows(plan: Plan, store: Store, specs: Sequence[TrialSpec] | None = None) -> list[Row]:
    """The state of every trial of the plan, read from the store."""
    return [_row(plan, store, spec) for spec in (plan.trials if specs is None else specs)]


def table(rows: Sequence[Row], *, title: str = "", hosts: bool = False, most: int = MOST_ROWS) -> RenderableType:
    """The rows as a table, the running and failed ones first where there are more than `most`.

    `hosts` adds which other machine works on each, when its heart last beat, and how often Slurm has begun it again.
    """
    order = sorted(rows, key=lambda row: row.state in ("waiting", "done")) if len(rows) > most else rows
    numbers = ("seed", "step", "img/s", "loss", "left")
    header = ("method", "data", "seed", "state", *numbers[1:], *(("host", "beat", "restarts") if hosts else ()))
    view = Columns(header, (_cells(row, hosts=hosts) for row in order[:most]), title=title, right=numbers)
    failures = [Text(line, style="red") for line in _failures(rows)]
    states = Counter(row.state for row in order[most:])
    hidden = f"and {states.total()} more: {', '.join(f'{count} {state}' for state, count in states.items())}"
    return Group(view, *([Text(hidden, style="dim")] if states else []), *failures)


def _failures(rows: Sequence[Row]) -> list[str]:
    """A line for each reason that trials failed for."""
    of: dict[str, list[Row]] = {}
    for row in rows:
        if row.error:
            of.setdefault(row.error, []).append(row)
    more = {error: f" (and {len(alike) - 1} more alike)" if len(alike) > 1 else "" for error, alike in of.items()}
    return [alike[0].line() + more[error] for error, alike in of.items()]


def _cells(row: Row, *, hosts: bool) -> list[str | Text]:
    cells: list[str | Text] = [
        row.spec.label,
        row.spec.data,
        str(row.spec.seed),
        Text(row.state, style=STYLES.get(row.state, "dim")),
        f"{row.step}/{row.steps}" if row.step is not None else "",
        f"{row.images_per_second:.0f}" if row.images_per_second else "",
        f"{row.loss:.3g}" if row.loss is not None else "",
        duration(row.eta_seconds) if row.eta_seconds is not None else "",
    ]
    beat = f"{row.beat_seconds:.0f} s ago" if row.beat_seconds is not None else ""
    return [*cells, row.host if row.host != socket.gethostname() else "", beat, row.restarts] if hosts else cells


def duration(seconds: float) -> str:
    """75 -> '1:15', 4000 -> '1:06:40'."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Monitor(AbstractContextManager["Monitor"]):
    """Follows the given trials while the block runs, from a thread of its own.

    `features` are the data sets whose real images are still to be seen by the metrics' network, until `featured` says
    that they are: a minute in which no trial has a state to show.
    """

    def __init__(
        self, plan: Plan, store: Store, specs: Sequence[TrialSpec], console: Console, features: Iterable[str] = ()
    ) -> None:
        self._plan, self._store, self._specs, self._console = plan, store, specs, console
        self._rows = {spec.id: Row(spec, "waiting") for spec in specs}
        self._features = list(features)
        self._outcomes: dict[str, Outcome] = {}
        self._began = time.time()
        self._look_again = -float("inf")
        self._said: dict[str, tuple[str, float]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._live: Live | None = None

    def ended(self, trial: str, outcome: Outcome) -> None:
        """Remember an end that is not a good one: perhaps the store could not be told, since its disk is full."""
        self._outcomes[trial] = outcome

    def featured(self, data: str) -> None:
        self._features.remove(data)

    def _features_line(self) -> str:
        return f"scores wait for reference features of {', '.join(self._features)}"

    def __enter__(self) -> Monitor:
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._view, console=self._console, refresh_per_second=1, transient=False)
            self._live.start()
        else:
            if self._features:
                say(self._console, self._features_line())
            self._thread = threading.Thread(target=self._talk, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._look_again = -float("inf")
        if self._live is not None:
            self._live.stop()
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._speak()

    def _look(self) -> list[Row]:
        """The rows as they are, or were a while ago where to look at all of them takes long."""
        began = time.monotonic()
        if began >= self._look_again:
            for spec in self._specs:
                before = self._rows[spec.id]
                if before.state != "done":
                    row = self._as_told(_row(self._plan, self._store, spec))
                    ended = before.state in AT_WORK and row.state in ("done", "failed")  # by whom it was at work on
                    self._rows[spec.id] = replace(row, job=before.job) if ended else row
            self._look_again = time.monotonic() + (time.monotonic() - began) / QUIET_SHARE
        return list(self._rows.values())

    def _as_told(self, row: Row) -> Row:
        told = self._outcomes.get(row.spec.id)
        if told is None and row.state == "failed" and row.failed_at < self._began:  # in an earlier run: it comes again
            return Row(row.spec, "waiting")
        if told is None or row.state in ("done", "failed", "damaged"):
            return row
        return replace(row, state=told.state, error=told.error or None)

    def _view(self) -> RenderableType:
        ended = self._live is None or not self._live.is_started  # the last look has room for all
        # A live table that is higher than the terminal loses its end: what is at work, perhaps.
        most = MOST_ROWS if ended else max(1, self._console.height - FRAME)
        view = table(self._look(), title=self._plan.name, most=most)
        return Group(view, Text(self._features_line(), "dim")) if self._features else view

    def _talk(self) -> None:
        while not self._stop.wait(1.0):
            self._speak()

    def _speak(self) -> None:
        now = time.monotonic()
        for row in self._look():
            state, when = self._said.get(row.spec.id, ("", now))
            if row.state not in SPOKEN or (row.state == state and (state != "training" or now - when < PLAIN_SECONDS)):
                continue
            say(self._console, row.line())
            self._said[row.spec.id] = (row.state, now)


def _row(plan: Plan, store: Store, spec: TrialSpec) -> Row:
    """One trial's row; files of the store that are damaged are a row, too, and no reason to end a run."""
    trial = store.trial(spec.id)
    try:
        state = trial.state(spec.score_key(plan.key), plan.metrics(spec))
        if state == "failed":
            error = trial.error() or {}
            log = trial.path / "log.txt"  # none where it had not begun
            story = str(log) if log.exists() else ""
            return Row(spec, state, error=error.get("error", ""), log=story, failed_at=error.get("time", 0.0))
        saved = store.trial(spec.trained_as).saved_step()
        if state == "interrupted" or (state == "waiting" and saved is not None):  # perhaps of networks that it shares
            return Row(spec, "interrupted", step=saved, steps=spec.training["steps"])
        if state != "running":
            return Row(spec, state)
        progress = trial.progress() or {"state": "starting"}
    except StoreError as error:
        return Row(spec, "damaged", error=str(error))
    held = lease.holder(trial.path)
    return Row(
        spec,
        "running" if progress["state"] == "done" else progress["state"],
        step=progress.get("step"),
        steps=progress.get("steps"),
        images_per_second=progress.get("images_per_second"),
        loss=progress.get("loss"),
        eta_seconds=progress.get("eta_seconds"),
        host=held.host if held else "",
        job=held.job if held else "",
        restarts=held.restarts if held else "",
        beat_seconds=held.age() if held else None,
    )

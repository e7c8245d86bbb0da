"""Shows a running benchmark: a live table on a terminal, plain lines elsewhere. Reads the store alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from i2ibench.plan import Plan, TrialSpec
from i2ibench.store import Store

STYLES = {
    "done": "green",
    "failed": "bold red",
    "running": "cyan",
    "training": "cyan",
    "translating": "cyan",
    "scoring": "cyan",
}
PLAIN_SECONDS = 30.0  # between two lines about one running trial
MOST_ROWS = 40


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

    def line(self) -> str:
        """The row in one plain line."""
        parts = [f"{self.spec.label} | {self.spec.data} | seed {self.spec.seed}: {self.state}"]
        if self.state == "training" and self.step is not None:
            parts.append(f"step {self.step}/{self.steps}")
            parts += [f"{self.images_per_second:.0f} images/s"] if self.images_per_second else []
            parts += [f"loss {self.loss:.3g}"] if self.loss is not None else []
            parts += [f"{duration(self.eta_seconds)} left"] if self.eta_seconds is not None else []
        return ", ".join(parts) + (f": {self.error}" if self.error else "")


def rows(plan: Plan, store: Store, specs: Sequence[TrialSpec] | None = None) -> list[Row]:
    """The state of every trial of the plan, read from the store."""
    return [_row(plan, store, spec) for spec in (plan.trials if specs is None else specs)]


def table(rows: Sequence[Row], *, title: str = "") -> RenderableType:
    """The rows as a rich table, the running and failed ones first where there are too many to show."""
    view = Table(title=title or None, title_justify="left", header_style="bold", expand=False)
    for name in ("method", "data", "seed", "state"):
        view.add_column(name, overflow="fold", no_wrap=name in ("seed", "state"))
    for name in ("step", "images/s", "loss", "left"):
        view.add_column(name, justify="right", no_wrap=True)
    order = sorted(rows, key=lambda row: row.state in ("missing", "queued", "done")) if len(rows) > MOST_ROWS else rows
    for row in order[:MOST_ROWS]:
        view.add_row(
            Text(row.spec.label),
            Text(row.spec.data),
            str(row.spec.seed),
            Text(row.state, style=STYLES.get(row.state, "dim")),
            f"{row.step}/{row.steps}" if row.step is not None else "",
            f"{row.images_per_second:.0f}" if row.images_per_second else "",
            f"{row.loss:.3g}" if row.loss is not None else "",
            duration(row.eta_seconds) if row.eta_seconds is not None else "",
        )
    failures = [Text(row.line(), style="red") for row in rows if row.error]
    hidden = [Text(f"and {len(order) - MOST_ROWS} more", style="dim")] if len(order) > MOST_ROWS else []
    return Group(view, *hidden, *failures)


def duration(seconds: float) -> str:
    """75 -> '1:15', 4000 -> '1:06:40'."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Monitor(AbstractContextManager["Monitor"]):
    """Follows the given trials while the block runs, from a thread of its own."""

    def __init__(self, plan: Plan, store: Store, specs: Sequence[TrialSpec], console: Console) -> None:
        self._plan, self._store, self._specs, self._console = plan, store, specs, console
        self._said: dict[str, tuple[str, float]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._live: Live | None = None

    def __enter__(self) -> Monitor:
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._view, console=self._console, refresh_per_second=1, transient=False)
            self._live.start()
        else:
            self._thread = threading.Thread(target=self._talk, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._live is not None:
            self._live.stop()
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._speak()

    def _view(self) -> RenderableType:
        found = rows(self._plan, self._store, self._specs)
        queued = [replace(row, state="queued") if row.state in ("missing", "trained") else row for row in found]
        return table(queued, title=self._plan.name)

    def _talk(self) -> None:
        while not self._stop.wait(1.0):
            self._speak()

    def _speak(self) -> None:
        now = time.monotonic()
        for row in rows(self._plan, self._store, self._specs):
            state, when = self._said.get(row.spec.id, ("missing", now))
            if row.state != state or (row.state == "training" and now - when > PLAIN_SECONDS):
                self._console.print(row.line(), highlight=False, markup=False, soft_wrap=True)
                self._said[row.spec.id] = (row.state, now)


def _row(plan: Plan, store: Store, spec: TrialSpec) -> Row:
    trial = store.trial(spec.id)
    state = trial.state(plan.protocol.key(), plan.metrics(spec))
    if state == "failed":
        error = trial.error() or {}
        return Row(spec, state, error=f"{error.get('error', '')} (log: {error.get('log', '')})")
    progress = trial.progress() if state == "running" else None
    if progress is None:
        return Row(spec, state)
    keys = ("step", "steps", "images_per_second", "loss", "eta_seconds")
    return Row(spec, progress["state"], **{key: progress.get(key) for key in keys})

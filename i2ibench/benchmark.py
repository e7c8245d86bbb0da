"""The whole way of a benchmark, from its file to its report: what the command line calls, and scripts can too."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from i2ibench import __version__, adoption, config, executors, jobs, plan, prepare, stopping
from i2ibench.data import cache
from i2ibench.disk import require_writable
from i2ibench.errors import ConfigError, Stopped, StoreError
from i2ibench.job import Job, Outcome
from i2ibench.monitor import Monitor
from i2ibench.plan import Plan
from i2ibench.spec import TrialSpec
from i2ibench.stopping import Stop
from i2ibench.store import Store
from i2ibench.study import answers
from i2ibench.terminal import say

STAMP = ".drawn-from"  # in a report's folder: the digest of what it shows, and the benchmark file, seen from there


@dataclass(frozen=True)
class Summary:
    """How a run ended."""

    report: Path | None  # index.html; None: others work on what is left, and the last of them writes it
    states: dict[str, str]  # trial id -> state
    stopped: tuple[str, ...] = ()  # trials that were asked to stop by `i2ibench stop`

    @property
    def failed(self) -> list[str]:
        return [trial for trial, state in self.states.items() if state in ("failed", "damaged")]


def load(file: Path | str, *, protocol: str | None = None) -> tuple[Plan, Store]:
    """The plan of a benchmark file, and its store.

    Raises:
        ConfigError, DataError: one line that names the place in the file.
    """
    the_plan = plan.make(config.load(Path(file)), protocol)
    return the_plan, Store(the_plan.store)


def load_scored(file: Path | str, protocol: str | None = None) -> tuple[Plan, Store]:
    """As `load`, to show what has scores: under the file's own protocol perhaps none yet, under another some.

    Raises:
        ConfigError, DataError: as `load`; or `protocol` is given, and nothing is scored under it; or nothing is done,
            but by other code.
    """
    the_plan, store = load(file, protocol=protocol)
    _require_own(the_plan, store)
    if protocol is not None and not any(
        store.trial(spec.id).scores(spec.score_key(the_plan.key)) for spec in the_plan.trials
    ):
        raise ConfigError(
            f"nothing of {file} is scored under '{protocol}' yet; "
            f"`i2ibench evaluate {shlex.quote(str(file))} --protocol {shlex.quote(protocol)}` does it"
        )
    return the_plan, store


def _require_own(the_plan: Plan, store: Store) -> None:
    """Raise ConfigError where all that is done is of other code: the report would be empty, and replace a good one."""
    done = any((store.trial(spec.id).path / "result.json").exists() for spec in the_plan.trials)
    if not done and (hint := adoption.hint(the_plan, store)):
        raise ConfigError(f"{the_plan.file}: nothing of it is done; {hint}")


def run(
    file: Path | str,
    *,
    executor: str = "ray",
    ray_address: str | None = None,
    protocol: str | None = None,
    train: bool = True,
    rescore: bool = False,
    wait: bool = True,
    console: Console | None = None,
) -> Summary:
    """Do what is missing of a benchmark, and write its report.

    Args:
        file: the benchmark file. Its `store` and `reports` are seen from the working directory.
        executor: `ray` or `local`.
        ray_address: an existing cluster, host:port; default: RAY_ADDRESS, else a cluster of this machine.
        protocol: score under this protocol in place of the file's.
        train: False: score and report what is trained already.
        rescore: score again what has scores already.
        wait: False (with `local`): leave when others work on all that is left; the last of them writes the report.
        console: where to talk; default: standard output.

    Raises:
        I2IBenchError: bad input, before anything is written.
        Stopped: a signal asked the run to leave; the trials at work have written checkpoints.
    """
    console = console or Console()
    executors.require_known(executor)
    prepare.fetch_data(file, console)
    the_plan, store = load(file, protocol=protocol)
    warn_of_clash(the_plan)
    before = _states(the_plan, store)
    pending = _pending(the_plan, store, before, train=train, rescore=rescore)
    if not train:
        _require_own(the_plan, store)
    elif hint := adoption.hint(the_plan, store):
        say(console, hint)
    outcomes: dict[str, Outcome] = {}
    if pending:
        with Stop() as stop:
            runner = executors.make(executor, ray_address, wait=wait)
            prepare.require_all(the_plan, store, pending, console)
            for spec in pending:
                stopping.take_back(store.trial(spec.id).path)
            work = jobs.make(the_plan, store, pending, train=train, rescore=rescore)
            features = [job.spec["data"] for job in work if job.kind == "reference"]
            with Monitor(the_plan, store, pending, console, features) as monitor, stop.orderly():
                for job, outcome in runner.run(work, stop):
                    if job.kind == "reference":
                        monitor.featured(job.spec["data"])
                    if not job.shared and outcome.state != "done":
                        outcomes[job.trial] = _remembered(store, job, outcome)
                        monitor.ended(job.trial, outcomes[job.trial])
            if stop.signal is not None:
                raise Stopped(stop.signal)
    states = before | {spec.id: _final_state(the_plan, store, spec, outcomes.get(spec.id)) for spec in pending}
    stopped = tuple(trial for trial, outcome in outcomes.items() if outcome.state == "interrupted")
    if not wait and any(state == "running" for state in states.values()):
        return Summary(None, states, stopped)
    return Summary(report(the_plan, store, protocol=protocol), states, stopped)


def unfinished(the_plan: Plan, store: Store, *, train: bool = True, rescore: bool = False) -> list[TrialSpec]:
    """The trials that there is something to do for, each id once; without `train`, only those that are trained."""
    return _pending(the_plan, store, _states(the_plan, store), train=train, rescore=rescore)


def _states(the_plan: Plan, store: Store) -> dict[str, str]:
    """The state of each trial; one that stands in several rows is done when all their scores are there."""
    states: dict[str, str] = {}
    for spec in the_plan.trials:
        if states.get(spec.id, "done") == "done":
            states[spec.id] = _state(the_plan, store, spec)
    return states


def _pending(the_plan: Plan, store: Store, states: dict[str, str], *, train: bool, rescore: bool) -> list[TrialSpec]:
    pending = {
        spec.id: spec
        for spec in the_plan.trials
        if (rescore or states[spec.id] != "done") and (train or store.trial(spec.id).result() is not None)
    }
    return list(pending.values())


def report(
    the_plan: Plan, store: Store, *, protocol: str | None = None, redraw: bool = False, figures: int | None = None
) -> Path:
    """Write `<reports>/<name>/`, unless it shows this very state of the store already (or `redraw`).

    `protocol` is the one that the plan was made with in place of the file's, and `figures` of so many data sets are
    drawn in place of the first few; the page's own command repeats both.
    """
    folder = the_plan.report_folder
    page, stamp = folder / "index.html", folder / STAMP
    drawn_from = f"{digest(the_plan, store)}\n{_seen_from(folder, the_plan)}\n"
    parts = "index.html", "leaderboard.md", "leaderboard.csv", "trials.parquet", "figures"
    whole = all((folder / name).exists() for name in parts)
    if not redraw and whole and stamp.exists() and stamp.read_text(encoding="utf-8") == drawn_from:
        return page
    require_writable(folder, "reports")
    from i2ibench.report import write  # pandas and seaborn take a second to import

    images = {label: cache.load(entry.source, store.data_cache) for label, entry in the_plan.data.items()}
    options = [f"--protocol {shlex.quote(protocol)}"] if protocol else []
    options += [f"--figures {figures}"] if figures is not None else []
    command = " ".join([f"i2ibench report {shlex.quote(the_plan.file)}", *options]) if options else None
    page = write(the_plan, store, images, folder, command, figures)
    stamp.write_text(drawn_from, encoding="utf-8")
    return page


def warn_of_clash(the_plan: Plan) -> None:
    """A line on standard error if the report's folder holds the report of another benchmark file."""
    folder = the_plan.report_folder
    try:
        _, drawn_from, *_ = (folder / STAMP).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # no report, or half of its stamp
        return
    if drawn_from != _seen_from(folder, the_plan):
        print(
            f"i2ibench: {folder} holds the report of {os.path.normpath(folder / drawn_from)}, which that of "
            f"{the_plan.file} replaces; to keep both, give one of the files another `name:`",
            file=sys.stderr,
        )


def _seen_from(folder: Path, the_plan: Plan) -> str:
    """The way from a report's folder to its benchmark file: the same wherever both are copied to."""
    return os.path.relpath(Path(the_plan.file).resolve(), folder.resolve())


def _remembered(store: Store, job: Job, outcome: Outcome) -> Outcome:
    """A failure that its own process could not write down is written down here, if the disk allows it."""
    if outcome.state == "failed" and not outcome.recorded:
        with suppress(OSError, StoreError):
            store.trial(job.trial).write_error("FAILED", outcome.error)
    return outcome


def _state(the_plan: Plan, store: Store, spec: TrialSpec) -> str:
    return store.trial(spec.id).state(spec.score_key(the_plan.key), the_plan.metrics(spec))


def _final_state(the_plan: Plan, store: Store, spec: TrialSpec, outcome: Outcome | None) -> str:
    """What the store says, but for what it could not be told: a full disk, a damaged file."""
    try:
        state = _state(the_plan, store, spec)
    except StoreError:
        return "damaged"
    if outcome is None or state in ("done", "failed"):
        return state
    return outcome.state


def digest(the_plan: Plan, store: Store) -> str:
    """A hash of everything that the report shows: the plan, and the files of its trials by time and size."""
    found = hashlib.sha256(repr((__version__, the_plan, the_plan.protocol.key())).encode())
    files = [answers.place(store.path)]
    for spec in the_plan.trials:
        folder = store.trial(spec.id).path
        files += (
            folder / "result.json",
            folder / "error.json",
            folder / "scores" / f"{spec.score_key(the_plan.key)}.json",
            folder / "points" / f"{spec.score_key(the_plan.key)}.json",
            folder / "curves.jsonl",
        )
    for file in files:
        status = None
        with suppress(FileNotFoundError):
            status = file.stat()
        found.update(repr((file.name, status and (status.st_mtime_ns, status.st_size))).encode())
    return found.hexdigest()

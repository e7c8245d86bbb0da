"""The whole way of a benchmark, from its file to its report: what the command line calls, and scripts can too."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from i2ibench import __version__, assets, config, executors, plan
from i2ibench.data import cache
from i2ibench.data.images import Images
from i2ibench.errors import DataError
from i2ibench.job import Job
from i2ibench.monitor import Monitor
from i2ibench.plan import DataPlan, Plan, TrialSpec
from i2ibench.store import Store, require_writable

BYTES_PER_TRIAL = 20e6  # weights, logs and checkpoints of the narrow default networks, generously


@dataclass(frozen=True)
class Summary:
    """How a run ended."""

    report: Path  # index.html
    states: dict[str, str]  # trial id -> state

    @property
    def failed(self) -> list[str]:
        return [trial for trial, state in self.states.items() if state == "failed"]


def load(file: Path | str, *, protocol: str | None = None) -> tuple[Plan, Store]:
    """The plan of a benchmark file, and its store.

    Raises:
        ConfigError, DataError: one line that names the place in the file.
    """
    the_plan = plan.make(config.load(Path(file)), protocol)
    return the_plan, Store(the_plan.store)


def run(
    file: Path | str,
    *,
    executor: str = "ray",
    ray_address: str | None = None,
    protocol: str | None = None,
    train: bool = True,
    rescore: bool = False,
    console: Console | None = None,
) -> Summary:
    """Do what is missing of a benchmark, and write its report.

    Args:
        file: the benchmark file.
        executor: `ray` or `local`.
        ray_address: an existing cluster, host:port; default: RAY_ADDRESS, else a cluster of this machine.
        protocol: score under this protocol in place of the file's.
        train: False: score and report what is trained already.
        rescore: score again what has scores already.
        console: where to talk; default: standard output.

    Raises:
        I2IBenchError: bad input, before anything is written.
    """
    console = console or Console()
    executors.require_known(executor)
    the_plan, store = load(file, protocol=protocol)
    pending = unfinished(the_plan, store, train=train, rescore=rescore)
    if pending:
        runner = executors.make(executor, ray_address)
        _prepare(the_plan, store, pending, console)
        jobs = [_job(the_plan, store, spec, train=train, rescore=rescore) for spec in pending]
        with Monitor(the_plan, store, pending, console):
            for _ in runner.run(jobs):
                pass
    states = {spec.id: _state(the_plan, store, spec) for spec in the_plan.trials}
    return Summary(report(the_plan, store, protocol=protocol), states)


def unfinished(the_plan: Plan, store: Store, *, train: bool = True, rescore: bool = False) -> list[TrialSpec]:
    """The trials that there is something to do for, each id once; without `train`, only those that are trained."""
    pending = {
        spec.id: spec
        for spec in the_plan.trials
        if (rescore or _state(the_plan, store, spec) != "done") and (train or store.trial(spec.id).result() is not None)
    }
    return sorted(pending.values(), key=lambda spec: spec.backward)  # those wait for the training of another


def report(the_plan: Plan, store: Store, *, protocol: str | None = None, redraw: bool = False) -> Path:
    """Write `<reports>/<name>/`, unless it shows this very state of the store already (or `redraw`).

    `protocol` is the one that the plan was made with in place of the file's; the page's own command repeats it.
    """
    folder = Path(the_plan.reports) / the_plan.name
    page, stamp = folder / "index.html", folder / ".drawn-from"
    drawn_from = _digest(the_plan, store)
    whole = all((folder / name).exists() for name in ("index.html", "leaderboard.md", "leaderboard.csv", "figures"))
    if not redraw and whole and stamp.exists() and stamp.read_text(encoding="utf-8") == drawn_from:
        return page
    require_writable(folder, "reports")
    from i2ibench.report import write  # pandas and seaborn take a second to import

    images = {label: cache.load(entry.source, store.data_cache) for label, entry in the_plan.data.items()}
    command = f"i2ibench report {shlex.quote(the_plan.file)} --protocol {shlex.quote(protocol)}" if protocol else None
    page = write(the_plan, store, images, folder, command)
    stamp.write_text(drawn_from, encoding="utf-8")
    return page


def _prepare(the_plan: Plan, store: Store, pending: Sequence[TrialSpec], console: Console) -> None:
    """Everything that can go wrong before the first trial: disk space, data that does not decode, missing weights."""
    store.require_writable()
    require_writable(Path(the_plan.reports) / the_plan.name, "reports")
    images = {label: _read(entry, store, console) for label, entry in the_plan.data.items()}
    store.require_writable(int(sum(images[spec.data].test_a.nbytes + BYTES_PER_TRIAL for spec in pending)))
    for name in dict.fromkeys((*the_plan.protocol.assets(the_plan.all_metrics), *the_plan.assets)):
        with _progress(console, f"fetching {name}") as advance:
            assets.ensure(name, say=lambda line: console.print(line, highlight=False), progress=advance)


def _read(entry: DataPlan, store: Store, console: Console) -> Images:
    """A data set from the cache, decoded into it first; bad data leaves no store behind that was not there before."""
    fresh = not store.path.exists()
    try:
        with _progress(console, f"reading {entry.label}") as advance:
            images = cache.load(entry.source, store.data_cache, advance)
        if images.fingerprint != entry.fingerprint:
            raise DataError("it is changing while it is read; run again when its files are complete")
        if min(len(images.test_a), len(images.test_b)) < 2:
            raise DataError("scores need at least 2 test images")
    except DataError as error:
        if fresh:
            shutil.rmtree(store.path, ignore_errors=True)
        raise DataError(f"{entry.place}: {error}") from None
    return images


@contextmanager
def _progress(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar that appears with the first sign of progress; nothing where the output is no terminal."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _job(the_plan: Plan, store: Store, spec: TrialSpec, *, train: bool, rescore: bool) -> Job:
    """A trial's job: one, though it may stand in several rows that ask for different metrics."""
    twins = [twin for twin in the_plan.trials if twin.id == spec.id]
    metrics = dict.fromkeys(metric for twin in twins for metric in the_plan.metrics(twin))
    protocol = the_plan.protocol.model_dump(mode="json")
    return Job(plan.to_json(spec), str(store.path), protocol, tuple(metrics), train, rescore)


def _state(the_plan: Plan, store: Store, spec: TrialSpec) -> str:
    return store.trial(spec.id).state(the_plan.protocol.key(), the_plan.metrics(spec))


def _digest(the_plan: Plan, store: Store) -> str:
    """A hash of everything that the report shows: the plan, and the files of its trials by time and size."""
    digest = hashlib.sha256(repr((__version__, the_plan, the_plan.protocol.key())).encode())
    for spec in the_plan.trials:
        folder = store.trial(spec.id).path
        for file in (
            folder / "result.json",
            folder / "error.json",
            folder / "scores" / f"{the_plan.protocol.key()}.json",
        ):
            status = file.stat() if file.exists() else None
            digest.update(repr((file.name, status and (status.st_mtime_ns, status.st_size))).encode())
    return digest.hexdigest()

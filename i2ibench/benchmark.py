"""The whole way of a benchmark, from its file to its report: what the command line calls, and scripts can too."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from i2ibench import assets, config, executors, plan
from i2ibench.data import cache
from i2ibench.errors import ConfigError
from i2ibench.job import Job
from i2ibench.monitor import Monitor
from i2ibench.plan import Plan, TrialSpec
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
    the_plan, store = load(file, protocol=protocol)
    pending = unfinished(the_plan, store, train=train, rescore=rescore)
    if pending:
        _prepare(the_plan, store, pending, console)
        protocol_values = the_plan.protocol.model_dump(mode="json")
        jobs = [
            Job(plan.to_json(spec), str(store.path), protocol_values, the_plan.metrics(spec), train, rescore)
            for spec in pending
        ]
        with Monitor(the_plan, store, pending, console):
            for _ in executors.make(executor, ray_address).run(jobs):
                pass
    states = {spec.id: _state(the_plan, store, spec) for spec in the_plan.trials}
    return Summary(report(the_plan, store, protocol=protocol), states)


def unfinished(the_plan: Plan, store: Store, *, train: bool = True, rescore: bool = False) -> list[TrialSpec]:
    """The trials that there is something to do for, each id once; without `train`, only those that are trained."""
    specs = {spec.id: spec for spec in the_plan.trials}.values()
    return [
        spec
        for spec in specs
        if (rescore or _state(the_plan, store, spec) != "done") and (train or store.trial(spec.id).result() is not None)
    ]


def report(the_plan: Plan, store: Store, *, protocol: str | None = None, redraw: bool = False) -> Path:
    """Write `<reports>/<name>/`, unless it shows this very state of the store already (or `redraw`).

    `protocol` is the one that the plan was made with in place of the file's; the page's own command repeats it.
    """
    folder = Path(the_plan.reports) / the_plan.name
    page, stamp = folder / "index.html", folder / ".drawn-from"
    drawn_from = _digest(the_plan, store)
    if not redraw and page.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == drawn_from:
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
    images = {}
    for label, entry in the_plan.data.items():
        with console.status(f"reading data set {label}"):
            images[label] = cache.load(entry.source, store.data_cache)
        if images[label].fingerprint != entry.fingerprint:
            raise ConfigError(f"data set '{label}' is changing while it is read; run again when its files are complete")
    store.require_writable(int(sum(images[spec.data].test_a.nbytes + BYTES_PER_TRIAL for spec in pending)))
    for name in dict.fromkeys((*the_plan.protocol.assets(the_plan.all_metrics), *the_plan.assets)):
        assets.ensure(name, say=lambda line: console.print(line, highlight=False))


def _state(the_plan: Plan, store: Store, spec: TrialSpec) -> str:
    return store.trial(spec.id).state(the_plan.protocol.key(), the_plan.metrics(spec))


def _digest(the_plan: Plan, store: Store) -> str:
    """A hash of everything that the report shows: the plan, and the files of its trials by time and size."""
    digest = hashlib.sha256(repr((the_plan, the_plan.protocol.key())).encode())
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

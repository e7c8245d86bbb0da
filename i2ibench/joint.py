"""Several benchmarks on one board: their plans made one, after a check that their scores can stand in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from i2ibench import benchmark
from i2ibench.data import cache
from i2ibench.errors import ConfigError
from i2ibench.metrics.catalog import METRICS
from i2ibench.plan import DataPlan, Plan
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial, require_writable

if TYPE_CHECKING:
    from i2ibench.statistics import Comparison

Runs = Sequence[tuple[Plan, Store]]


class Stores(Store):
    """Several stores that look like one: each trial lies in the store of its own benchmark."""

    def __init__(self, first: Store, homes: Mapping[str, Store]) -> None:
        super().__init__(first.path)
        self._homes = homes

    def trial(self, trial_id: str) -> Trial:
        home = self._homes.get(trial_id)
        return super().trial(trial_id) if home is None else home.trial(trial_id)


@dataclass(frozen=True)
class Change:
    """One row by one score in two benchmarks, where they do not stand on the same trials."""

    data: str
    comparison: Comparison
    title: str


def compare(files: Sequence[Path], out: Path) -> tuple[Path, list[Change]]:
    """Write one report of several benchmark files into `out`; return its page, and what differs between equal names.

    Raises:
        ConfigError: fewer than two files, or their protocols or data sets differ.
        ResultsError: scores of one column were made under different protocols.
    """
    if len(files) < 2:
        raise ConfigError("compare takes two benchmark files or more")
    runs = [benchmark.load(file) for file in files]
    the_plan, store, twins = join(runs)
    require_writable(out, "--to")
    from i2ibench.report import build, write

    images = {}
    for plan, home in runs:
        for label, entry in plan.data.items():
            if label not in images:
                images[label] = cache.load(entry.source, home.data_cache)
    command = " ".join(["i2ibench compare", *map(str, files), "--to", str(out)])
    page = write(the_plan, store, images, out, command)
    changes = [
        Change(board.data, one, next(column.title for column in board.columns if column.name == one.metric))
        for board in build(the_plan, store).boards
        for one in board.comparisons
        if twins.get(one.a) is not None and twins.get(one.a) == twins.get(one.b)
    ]
    return page, changes


def join(runs: Runs) -> tuple[Plan, Stores, dict[str, str]]:
    """One plan over all trials, the stores they lie in, and the common name of rows that several benchmarks have.

    Rows of equal name stay one if they stand on the same trials; else each is followed by the name of its benchmark.
    """
    (first, _), *others = runs
    for other, _ in others:
        if other.protocol.key() != first.protocol.key():
            raise ConfigError(
                f"{first.file} and {other.file} are scored under different protocols "
                f"({first.protocol.name} and {other.protocol.name}); give both the same `protocol:`, and run "
                "`i2ibench evaluate` on the one you changed"
            )
    names = _names([plan for plan, _ in runs])
    twins: dict[str, str] = {}
    homes: dict[str, Store] = {}
    trials: dict[tuple[str, str, str], TrialSpec] = {}
    shared = _shared(runs)
    for (plan, store), name in zip(runs, names, strict=True):
        for spec in plan.trials:
            label = spec.label
            if not spec.reference and spec.label not in shared:
                label = f"{spec.label} ({name})"
                twins[label] = spec.label
            if store.trial(spec.id).result() is not None or spec.id not in homes:
                homes[spec.id] = store
            trials.setdefault((label, spec.data, spec.id), replace(spec, label=label))
    joined = replace(
        first,
        name=" and ".join(names),
        trials=tuple(trials.values()),
        skipped=tuple(dict.fromkeys(skip for plan, _ in runs for skip in plan.skipped)),
        data=_data([plan for plan, _ in runs]),
        text="\n".join(f"# {plan.file}\n{plan.text}" for plan, _ in runs),
    )
    return joined, Stores(runs[0][1], homes), twins


def _names(plans: Sequence[Plan]) -> list[str]:
    """A name for each benchmark: its own, or its file where several have that."""
    own = [plan.name for plan in plans]
    return [plan.name if own.count(plan.name) == 1 else plan.file for plan in plans]


def _shared(runs: Runs) -> set[str]:
    """Labels that one benchmark alone has, or that stand on the same trials in all that have them."""
    by_label: dict[str, list[frozenset[str]]] = {}
    for plan, _ in runs:
        for label in {spec.label for spec in plan.trials}:
            ids = frozenset(spec.id for spec in plan.trials if spec.label == label)
            by_label.setdefault(label, []).append(ids)
    return {label for label, sets in by_label.items() if len(set(sets)) == 1}


def _data(plans: Sequence[Plan]) -> dict[str, DataPlan]:
    """Every data set once, with the metrics that all benchmarks score it by."""
    joined: dict[str, DataPlan] = {}
    for plan in plans:
        for label, entry in plan.data.items():
            before = joined.setdefault(label, entry)
            same = before.fingerprint == entry.fingerprint and before.source.params == entry.source.params
            if not same or before.declared != entry.declared:
                raise ConfigError(
                    f"{entry.place}: data set '{label}' is another than at {before.place} (files, size or direction); "
                    "give it another label to show both"
                )
            metrics = tuple(m for m in METRICS if m in before.metrics and m in entry.metrics)
            joined[label] = replace(before, metrics=metrics)
    return joined

"""Several runs on one board: their plans made one, after a check that their scores can stand in one table."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2ibench import benchmark, changes, record
from i2ibench.changes import Compared
from i2ibench.data import cache
from i2ibench.disk import require_writable
from i2ibench.errors import ConfigError, absent
from i2ibench.metrics.catalog import METRICS
from i2ibench.plan import DataPlan, Plan
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial

if TYPE_CHECKING:
    from i2ibench.data.images import Images

Runs = Sequence[tuple[Plan, Store]]


class Stores(Store):
    """Several stores that look like one: each trial lies, maybe under another id, in the store of its own run."""

    def __init__(self, first: Store, homes: Mapping[str, tuple[Store, str]]) -> None:
        super().__init__(first.path)
        self._homes = homes

    def trial(self, trial_id: str) -> Trial:
        if trial_id not in self._homes:
            return super().trial(trial_id)
        home, own_id = self._homes[trial_id]
        return home.trial(own_id)


@dataclass(frozen=True)
class Joint:
    """Several runs as one plan."""

    plan: Plan
    store: Stores
    names: tuple[str, ...]  # of the runs
    rows: tuple[dict[str, str], ...]  # for each run: a label of its own -> the row that it is here

    @property
    def twins(self) -> dict[str, tuple[str, ...]]:
        """A label that runs share, on other trials each -> its rows, in their order."""
        labels = dict.fromkeys(label for rows in self.rows for label, row in rows.items() if row != label)
        return {label: tuple(dict.fromkeys(rows[label] for rows in self.rows if label in rows)) for label in labels}


def compare(runs: Sequence[str | Path], out: Path) -> tuple[Path, Compared]:
    """Write one report of several runs into `out`; return its page, and what differs between rows of equal name.

    Args:
        runs: each a benchmark file, FILE@STORE for a file with another store than its own, or the folder of a report.
        out: the folder of the joint report.

    Raises:
        ConfigError: fewer than two runs, one whose store holds nothing of it, or their protocols or data sets differ.
        ResultsError: scores of one column were made under different protocols.
        StoreError: a folder is no report that can be compared, or a store is not there.
    """
    if len(runs) < 2:
        raise ConfigError("compare takes two runs or more: benchmark files, FILE@STORE, or folders of reports")
    given = [str(run) for run in runs]
    opened = [_open(run) for run in given]
    for run, (plan, store) in zip(given, opened, strict=True):
        if all(store.trial(spec.id).result() is None for spec in plan.trials):
            raise ConfigError(
                f"{run}: none of its trials is done in {store.path}; {plan.file}@STORE names another folder of trials"
            )
    joint = join(opened, given)
    require_writable(out, "--to")
    from i2ibench.report import build, write

    built = build(joint.plan, joint.store)
    compared = changes.find(opened, joint, built.boards)
    command = " ".join(["i2ibench compare", *map(shlex.quote, given), "--to", shlex.quote(str(out))])
    page = write(joint.plan, joint.store, _images(opened), out, command, built=built, compared=compared)
    return page, compared


def _open(run: str) -> tuple[Plan, Store]:
    if Path(run).is_dir():
        return record.load(Path(run))
    file, at, folder = run.rpartition("@")
    if not at or Path(run).exists():
        return benchmark.load(run)
    plan, _ = benchmark.load(file)
    if not Path(folder).is_dir():
        raise ConfigError(f"{run}: {absent(Path(folder), 'folder')}; after the @ stands a folder of trials")
    return replace(plan, store=folder), Store(folder)


def _images(runs: Runs) -> dict[str, Images]:
    """Those of the data sets that are at hand: a report may come from a machine that has others."""
    images: dict[str, Images] = {}
    for plan, home in runs:
        for label, entry in plan.data.items():
            if label not in images and not isinstance(home, record.Recorded):
                images[label] = cache.load(entry.source, home.data_cache)
    return images


def join(runs: Runs, given: Sequence[str] | None = None) -> Joint:
    """One plan over all trials, the stores they lie in, and the rows that several runs have under one name.

    Rows of equal name stay one if they stand on the same trials; else each is followed by the name of its run. A trial
    that two stores hold with other results or costs is two.

    Args:
        given: what the runs were asked for by, where their own names do not tell them apart.
    """
    (first, _), *others = runs
    for other, _ in others:
        if other.protocol.key() != first.protocol.key():
            raise ConfigError(
                f"{first.file} and {other.file} are scored under different protocols "
                f"({first.protocol.name} and {other.protocol.name}); give both the same `protocol:`, and run "
                "`i2ibench evaluate` on the one you changed"
            )
    names = _names([plan for plan, _ in runs], given)
    own, homes = _homes(runs)
    rows = _rows(runs, own, names)
    trials: dict[tuple[str, str, str], TrialSpec] = {}
    for (plan, _), name, ids, labels in zip(runs, names, own, rows, strict=True):
        for spec in plan.trials:
            label = labels[spec.label]
            new = ids[spec.id]
            trained_as = spec.trained_as if new == spec.id else f"{spec.trained_as} ({name})"
            trials.setdefault((label, spec.data, new), replace(spec, label=label, id=new, trained_as=trained_as))
    joined = replace(
        first,
        name=" and ".join(names),
        trials=tuple(_without_copies(trials.values())),
        skipped=tuple(dict.fromkeys(skip for plan, _ in runs for skip in plan.skipped)),
        data=_data([plan for plan, _ in runs]),
        text="\n".join(f"# {name}: {plan.file}\n{plan.text}" for (plan, _), name in zip(runs, names, strict=True)),
    )
    return Joint(joined, Stores(runs[0][1], homes), names, rows)


def _homes(runs: Runs) -> tuple[list[dict[str, str]], dict[str, tuple[Store, str]]]:
    """For each run the ids of its trials here, and where each of these lies under what id."""
    own: list[dict[str, str]] = []
    homes: dict[str, tuple[Store, str]] = {}
    trainings: dict[str, list[str]] = {}  # of one id in several stores: the ids that they have here
    for i, (plan, store) in enumerate(runs):
        ids: dict[str, str] = {}
        for spec in plan.trials:
            key = spec.score_key(plan.key)
            mine, known = _outcome(store.trial(spec.id), key), trainings.setdefault(spec.id, [])
            before = {new: _outcome(homes[new][0].trial(spec.id), key) for new in known}
            same = next((new for new, theirs in before.items() if not _differ(mine, theirs)), None)
            ids[spec.id] = same or (f"{spec.id} ({i + 1})" if known else spec.id)
            if same is None:
                known.append(ids[spec.id])
            if same is None or mine is not None:
                homes[ids[spec.id]] = store, spec.id
        own.append(ids)
    for label in {spec.label for plan, _ in runs for spec in plan.trials}:
        if len(_of_row(label, runs, own)) > 1:
            _leave_gaps(label, runs, own, homes)
    return own, homes


def _of_row(label: str, runs: Runs, own: Sequence[Mapping[str, str]]) -> set[frozenset[str]]:
    """The trials that a row stands on, in each run that has it."""
    rows = [
        frozenset(ids[spec.id] for spec in plan.trials if spec.label == label and not spec.reference)
        for (plan, _), ids in zip(runs, own, strict=True)
    ]
    return {row for row in rows if row}


def _leave_gaps(label: str, runs: Runs, own: Sequence[dict[str, str]], homes: dict[str, tuple[Store, str]]) -> None:
    """Of a row that is told apart, what one run has not done is missing from its row, and not another's."""
    for i, ((plan, store), ids) in enumerate(zip(runs, own, strict=True)):
        for spec in plan.trials:
            elsewhere = homes[ids[spec.id]][0] is not store
            if spec.label == label and not spec.reference and elsewhere and store.trial(spec.id).result() is None:
                ids[spec.id] = f"{spec.id} ({i + 1})"
                homes[ids[spec.id]] = store, spec.id


Outcome = tuple[Any, Mapping[str, float]]  # costs, and scores


def _outcome(trial: Trial, key: str) -> Outcome | None:
    """What two copies of a trial share, and two trainings of it do not; None while it is not trained."""
    result = trial.result()
    return None if result is None else (result.get("cost"), (trial.scores(key) or {}).get("values") or {})


def _differ(mine: Outcome | None, theirs: Outcome | None) -> bool:
    """Whether these are two trainings. A metric that only one copy was scored by says nothing."""
    if mine is None or theirs is None:
        return False
    both = mine[1].keys() & theirs[1].keys()
    return mine[0] != theirs[0] or any(mine[1][name] != theirs[1][name] for name in both)


def _without_copies(trials: Iterable[TrialSpec]) -> Iterator[TrialSpec]:
    """The trials, each seed of a reference row once: two machines score the same rows."""
    seen: set[tuple[str, str, int]] = set()
    for spec in trials:
        place = spec.label, spec.data, spec.seed
        if not spec.reference or place not in seen:
            seen.add(place)
            yield spec


def _names(plans: Sequence[Plan], given: Sequence[str] | None) -> tuple[str, ...]:
    """A name for each run: its benchmark's own, or what it was asked for by where several have that."""
    own = [plan.name for plan in plans]
    told = given or [plan.file for plan in plans]
    names = tuple(name if own.count(name) == 1 else other for name, other in zip(own, told, strict=True))
    if len(set(names)) < len(names):
        raise ConfigError(f"compare was given {max(names, key=names.count)} twice; name two different runs")
    return names


def _rows(runs: Runs, own: Sequence[Mapping[str, str]], names: Sequence[str]) -> tuple[dict[str, str], ...]:
    """For each run the rows that its labels are here: of one that stands on other trials elsewhere, with a run's name.

    It is that of the first run that has these very trials. Reference rows are the same for all.
    """
    by_label: dict[str, dict[frozenset[str], str]] = {}  # label -> its trials -> the first run that has them
    found: list[dict[str, frozenset[str]]] = []
    for (plan, _), ids, name in zip(runs, own, names, strict=True):
        trials: dict[str, set[str]] = {}
        for spec in plan.trials:
            trials.setdefault(spec.label, set()).add("" if spec.reference else ids[spec.id])
        found.append({label: frozenset(those) for label, those in trials.items()})
        for label, those in found[-1].items():
            by_label.setdefault(label, {}).setdefault(those, name)
    return tuple(
        {label: f"{label} ({by_label[label][t]})" if len(by_label[label]) > 1 else label for label, t in each.items()}
        for each in found
    )


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

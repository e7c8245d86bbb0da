"""What changed between several runs: settings, software and hardware, scores with their tests, and costs."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from i2ibench import frames, statistics
from i2ibench.costs import COSTS
from i2ibench.errors import counted
from i2ibench.identity import BOOKKEEPING
from i2ibench.record import Recorded

if TYPE_CHECKING:
    from i2ibench.joint import Joint
    from i2ibench.plan import Plan
    from i2ibench.report.board import Board, Column
    from i2ibench.spec import TrialSpec
    from i2ibench.statistics import Comparison
    from i2ibench.store import Store

NONE = "–"
LONG = ("git.diff",)  # said to differ, and not shown
BY_CHANCE = ("hardware.host",)  # differs between two nodes of one cluster, and is no finding


@dataclass(frozen=True)
class Difference:
    """A setting, package or piece of hardware that is not the same in all runs."""

    what: str
    where: str  # the rows that it is of; "all shared", or "" where it is of none
    values: tuple[str, ...]  # one for each run


@dataclass(frozen=True)
class Change:
    """One row by one score in two runs, where they do not stand on the same trials."""

    data: str
    comparison: Comparison
    column: Column


@dataclass(frozen=True)
class CostChange:
    """One row by one cost in several runs: the mean of each, None where it has none."""

    data: str
    label: str
    cost: str  # a name of `costs.COSTS`
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Compared:
    """All that is known of the difference between runs."""

    names: tuple[str, ...]
    differences: tuple[Difference, ...]
    scores: tuple[Change, ...]
    costs: tuple[CostChange, ...]
    of_reports: tuple[str, ...] = ()  # the runs that are folders of reports, which hold no images

    @property
    def cost_names(self) -> list[str]:
        """The costs that some row has, as `costs.COSTS` has them."""
        return [name for name in COSTS if any(one.cost == name for one in self.costs)]

    @property
    def costs_by_row(self) -> dict[tuple[str, str], dict[str, tuple[float | None, ...]]]:
        """Data set and row -> cost -> its values."""
        found: dict[tuple[str, str], dict[str, tuple[float | None, ...]]] = {}
        for one in self.costs:
            found.setdefault((one.data, one.label), {})[one.cost] = one.values
        return found

    @property
    def same_hardware(self) -> bool:
        """Whether costs can be compared at all."""
        return not any(one.what.startswith("hardware.") for one in self.differences)


def find(runs: Sequence[tuple[Plan, Store]], joint: Joint, boards: Sequence[Board]) -> Compared:
    """Everything that differs.

    Args:
        runs: each a plan, and the store where its trials lie.
        joint: what they are together.
        boards: of the joint plan.
    """
    names, twins = joint.names, joint.twins
    plans = [plan for plan, _ in runs]
    differences = (*_rows(plans), *_settings(plans, twins), *_surroundings(runs))
    scores = [change for board in boards for change in _scores(board, joint)]
    costs = [cost for board in boards for label in twins for cost in _costs(board, label, joint)]
    of_reports = [name for name, (_, store) in zip(names, runs, strict=True) if isinstance(store, Recorded)]
    return Compared(names, differences, tuple(scores), tuple(costs), tuple(of_reports))


def _scores(board: Board, joint: Joint) -> Iterator[Change]:
    """Twins tested against each other, and corrected for the number of such pairs alone: nothing else is asked here."""
    rows = {row.label: row for row in board.rows}
    pairs = [pair for labels in joint.twins.values() for pair in itertools.combinations(labels, 2)]
    found = frames.per_image(joint.plan, joint.store, board.data, {label for pair in pairs for label in pair})
    for column in board.scores:
        if column.unsound:
            continue
        scores = {label: by_seed for label, row in rows.items() if (by_seed := row.by_seed.get(column.name))}
        values = {label: of[column.name] for label, of in found.items() if column.name in of}
        scored = [(a, b) for a, b in pairs if a in scores and b in scores]
        for one in statistics.compare(column.name, scores, values, column.higher_is_better, scored):
            yield Change(board.data, one, column)


def _rows(plans: Sequence[Plan]) -> Iterator[Difference]:
    """What is in some runs and not in others: rows, data sets, seeds."""
    kinds = {
        "rows": [dict.fromkeys(spec.label for spec in plan.trials) for plan in plans],
        "data sets": [dict.fromkeys(plan.data) for plan in plans],
        "scores": [
            dict.fromkeys(plan.protocol.title(name) for data in plan.data.values() for name in data.metrics)
            for plan in plans
        ],
        "seeds": [dict.fromkeys(str(spec.seed) for spec in plan.trials if not spec.reference) for plan in plans],
    }
    for what, found in kinds.items():
        own = [[name for name in each if not all(name in other for other in found)] for each in found]
        if any(own):
            yield Difference(f"{what} that not all have", "", tuple(", ".join(each) or NONE for each in own))


def _settings(plans: Sequence[Plan], twins: Mapping[str, Sequence[str]]) -> Iterator[Difference]:
    """The keys of a training that differ in rows of equal name; where none does, that the code or the data do."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for label in twins:
        rows = [[spec for spec in plan.trials if spec.label == label] for plan in plans]
        shared = next((data for data in plans[0].data if all(data in {s.data for s in row} for row in rows)), None)
        # Where no data set is in all of them, the data themselves are what differs.
        on = [[spec for spec in row if shared in (None, spec.data)] for row in rows]
        seed = min(set.intersection(*({spec.seed for spec in each} for each in on if each)), default=None)
        specs = [next((spec for spec in each if seed in (None, spec.seed)), None) for each in on]
        told = [None if spec is None else _told(spec) for spec in specs]
        there = [each for each in told if each is not None]
        keys = dict.fromkeys(key for each in there for key in each)
        differing = [key for key in keys if len({each.get(key, NONE) for each in there}) > 1]
        for key in differing:
            values = tuple(NONE if each is None else each.get(key, NONE) for each in told)
            found.setdefault((key, values), []).append(label)
        if not differing:
            hashes = tuple(NONE if spec is None else _hash(spec, seed) for spec in specs)
            if len(set(hashes) - {NONE}) > 1:
                found.setdefault(("code or data of the training (by its hash)", hashes), []).append(label)
            elif seed is not None:
                found.setdefault(("trained anew (same settings and code)", hashes), []).append(label)
            else:
                seeds = tuple(", ".join(str(spec.seed) for spec in each) or NONE for each in on)
                found.setdefault(("trained with other seeds (same settings, method and data)", seeds), []).append(label)
    for (key, values), labels in found.items():
        yield Difference(key, "all shared" if len(labels) == len(twins) else ", ".join(labels), values)


def _hash(spec: TrialSpec, seed: int | None) -> str:
    """What tells one training from another; of seeds that no other run has, what its code and data are."""
    return spec.trained_as.rpartition("-")[2] if seed is not None else f"{spec.code[:5]}{spec.fingerprint[:5]}"


def _told(spec: TrialSpec) -> dict[str, str]:
    """The settings of one training, by their dotted keys."""
    tree = {
        "method": spec.method,
        "params": spec.params,
        "training": {key: value for key, value in spec.training.items() if key not in BOOKKEEPING},
        "resources": spec.resources,
        "data": spec.source_params,
        "init_from": spec.init_from,
        "freeze": list(spec.freeze),
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in frames.flat(tree)}


def _surroundings(runs: Sequence[tuple[Plan, Store]]) -> Iterator[Difference]:
    """Packages, revisions and hardware of the finished trials."""
    found = [frames.provenance(plan, store) for plan, store in runs]
    for key in dict.fromkeys(key for each in found for key in each):
        values = [each.get(key, {}) for each in found]
        if key in BY_CHANCE or all(value.keys() == values[0].keys() for value in values) or not all(found):
            continue
        said = map(_long if key in LONG else _counted, values)
        yield Difference(key, "", tuple(value or NONE for value in said))


def _counted(values: Mapping[str, int]) -> str:
    """The values that trials of a run have; where these are several, with the number of trials that have each."""
    of = {_abridged(value): f" ({counted(trials, 'trial')})" for value, trials in sorted(values.items())}
    return ", ".join(value + (trials if len(of) > 1 else "") for value, trials in of.items())


def _abridged(value: str) -> str:
    """A revision by its beginning, as git itself says it."""
    return value[:10] if re.fullmatch("[0-9a-f]{40}", value) else value


def _long(values: Mapping[str, int]) -> str:
    return f"{sum(value.count(chr(10)) + 1 for value in values)} lines" if values else ""


def _costs(board: Board, label: str, joint: Joint) -> Iterator[CostChange]:
    rows, here = {row.label: row for row in board.rows}, [rows.get(label, "") for rows in joint.rows]
    for column in board.columns:
        if column.kind == "cost":
            cells = [row.cells.get(column.name) if (row := rows.get(name)) else None for name in here]
            if sum(cell is not None for cell in cells) > 1:
                yield CostChange(
                    board.data, label, column.name, tuple(None if cell is None else cell.mean for cell in cells)
                )

"""Leaderboards: results frame -> ranked rows with intervals, references apart, and what is missing with its reason."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pandas as pd

from i2ibench import statistics
from i2ibench.metrics.catalog import METRICS
from i2ibench.results import COSTS
from i2ibench.statistics import Summary

if TYPE_CHECKING:
    from i2ibench.plan import Plan


@dataclass(frozen=True)
class Column:
    """One metric or cost as the reader meets it."""

    name: str
    title: str
    unit: str
    higher_is_better: bool
    description: str
    kind: str  # "score" | "cost"
    decimals: int = 2

    @property
    def arrow(self) -> str:
        return "↑" if self.higher_is_better else "↓"

    @property
    def direction(self) -> str:
        return "higher is better" if self.higher_is_better else "lower is better"


@dataclass(frozen=True)
class Note:
    """A trouble that a finished training had, and how it shows."""

    label: str
    seed: int
    flag: str
    reason: str


@dataclass(frozen=True)
class Row:
    """One method (with its parameters) on one data set."""

    label: str
    method: str
    reference: bool
    seeds_done: int
    seeds: int
    state: str  # "done", or the worst that happened to its trials if none is done
    cells: Mapping[str, Summary | None]
    mean_rank: float | None = None
    best: frozenset[str] = frozenset()  # the columns in which no method has a better mean
    notes: tuple[Note, ...] = ()

    @property
    def flags(self) -> dict[str, str]:
        """Each flag of its trials, with the reasons by seed."""
        reasons: dict[str, list[str]] = {}
        for note in self.notes:
            reasons.setdefault(note.flag, []).append(f"seed {note.seed}: {note.reason}")
        return {flag: "; ".join(of_seeds) for flag, of_seeds in reasons.items()}


@dataclass(frozen=True)
class Problem:
    """A trial without scores, and why."""

    data: str
    label: str
    seed: int | None
    state: str
    reason: str
    log: str


@dataclass(frozen=True)
class Board:
    """The leaderboard of one data set: ranked rows best first, then the reference rows."""

    data: str
    slug: str  # the data set's label as part of a file name; no two boards have the same
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    references: tuple[Row, ...]
    problems: tuple[Problem, ...] = field(default=())

    @property
    def scores(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind == "score")

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes of all rows, from top to bottom."""
        return tuple(note for row in (*self.rows, *self.references) for note in row.notes)

    @property
    def labels(self) -> list[str]:
        """Every row from top to bottom."""
        return [row.label for row in (*self.rows, *self.references)]


def build(results: pd.DataFrame, plan: Plan) -> list[Board]:
    """One board per data set of the plan, from `results.frame`."""
    slugs: list[str] = []
    for data in plan.data:
        slugs.append(_slug(data, slugs))
    return [
        _board(data, slug, results[results["data"] == data], plan.data[data].metrics, plan.protocol.title)
        for slug, data in zip(slugs, plan.data, strict=True)
    ]


def _slug(words: str, taken: Sequence[str]) -> str:
    plain = (
        "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in words).strip("-").lower()
        or "data"
    )
    return (
        plain if plain not in taken else next(f"{plain}-{i}" for i in itertools.count(2) if f"{plain}-{i}" not in taken)
    )


def _board(data: str, slug: str, results: pd.DataFrame, metrics: Sequence[str], title: Callable[[str], str]) -> Board:
    directions = {name: METRICS[name].higher_is_better for name in metrics}
    run = results[results["state"] != "skipped"]
    rows = {str(label): _row(str(label), group) for label, group in run.groupby("label", sort=False)}
    ranked = {label: row for label, row in rows.items() if not row.reference}
    means = pd.DataFrame(
        {name: [_mean(row.cells[name]) for row in ranked.values()] for name in metrics}, index=list(ranked), dtype=float
    )
    positions = statistics.mean_ranks(means, directions)
    best = {name: _best(means[name], higher) for name, higher in directions.items()}
    return Board(
        data,
        slug,
        _columns(metrics, title, means, rows),
        tuple(
            _placed(ranked[str(label)], float(rank), frozenset(name for name in metrics if label in best[name]))
            for label, rank in positions.items()
        ),
        tuple(row for row in rows.values() if row.reference),
        tuple(_problems(results)),
    )


def _row(label: str, trials: pd.DataFrame) -> Row:
    by_trial = trials.drop_duplicates("trial")
    done = by_trial["state"] == "done"
    return Row(
        label,
        str(by_trial["method"].iloc[0]),
        bool(by_trial["reference"].iloc[0]),
        int(done.sum()),
        len(by_trial),
        "done" if done.any() else str(by_trial["state"].iloc[0]),
        {str(metric): statistics.summarise(group["value"]) for metric, group in trials.groupby("metric", sort=False)},
        notes=tuple(
            Note(label, int(trial.seed), note["flag"], note["reason"])
            for trial in by_trial.itertuples()
            if trial.flags
            for note in json.loads(trial.flags)
        ),
    )


def _placed(row: Row, mean_rank: float, best: frozenset[str]) -> Row:
    return replace(row, mean_rank=None if math.isnan(mean_rank) else mean_rank, best=best)


def _mean(summary: Summary | None) -> float | None:
    return None if summary is None else summary.mean


def _best(means: pd.Series, higher_is_better: bool) -> set[str]:
    top = means.max() if higher_is_better else means.min()
    return set(means.index[means == top])


def _columns(
    metrics: Sequence[str], title: Callable[[str], str], means: pd.DataFrame, rows: Mapping[str, Row]
) -> tuple[Column, ...]:
    scores = [
        Column(
            name,
            title(name),
            "",
            METRICS[name].higher_is_better,
            METRICS[name].description,
            "score",
            _decimals(means[name]),
        )
        for name in metrics
    ]
    costs = [
        Column(cost.name, cost.title, cost.unit, cost.higher_is_better, cost.description, "cost")
        for cost in COSTS.values()
        if any(row.cells.get(cost.name) is not None for row in rows.values())
    ]
    return (*scores, *costs)


def _decimals(means: pd.Series) -> int:
    """Decimals that show three significant digits of the smallest mean in a column, so that all its rows align."""
    sizes = means.abs()[means.abs() > 0]
    return 3 if sizes.empty else min(max(2 - math.floor(math.log10(sizes.min())), 0), 5)


def _problems(results: pd.DataFrame) -> list[Problem]:
    undone = results[results["state"] != "done"].drop_duplicates(["label", "trial"])
    return [
        Problem(row.data, row.label, None if pd.isna(row.seed) else int(row.seed), row.state, row.reason, row.log)
        for row in undone.itertuples()
    ]

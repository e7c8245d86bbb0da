"""What a leaderboard is made of: columns, rows, and what is known of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from i2ibench.metrics.catalog import headed
from i2ibench.statistics import Comparison, Summary
from i2ibench.study.analysis import Findings


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
    group: str = "Cost"
    unranked: str = ""  # why it has no part in the mean rank
    unsound: bool = False  # shown, but nobody is best by it

    @property
    def head(self) -> str:
        """The title with what its numbers are in: "PSNR (dB)"."""
        return headed(self.title, self.unit)

    @property
    def arrow(self) -> str:
        return "↑" if self.higher_is_better else "↓"

    @property
    def direction(self) -> str:
        return "higher is better" if self.higher_is_better else "lower is better"


@dataclass(frozen=True)
class Note:
    """What is wrong with a finished training, or with a row as a whole, and how it shows."""

    label: str
    seed: int | None  # None: of the row, whatever the seed
    flag: str
    reason: str

    @property
    def said(self) -> str:
        return self.reason if self.seed is None else f"seed {self.seed}: {self.reason}"


@dataclass(frozen=True)
class Interval:
    """How far one trial's score may move with other test images."""

    seed: int
    low: float
    high: float
    kind: str


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
    tied: frozenset[str] = frozenset()  # those in which it was tested against the best, and does not differ for certain
    by_seed: Mapping[str, Mapping[int, float]] = field(default_factory=dict)  # metric -> seed -> score
    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)  # metric -> one per trial that has one
    steps: int | None = None  # the budget
    notes: tuple[Note, ...] = ()

    def mean(self, name: str) -> float:
        """The mean of a score or a cost; NaN if there is none."""
        cell = self.cells.get(name)
        return math.nan if cell is None else cell.mean

    @property
    def flags(self) -> dict[str, str]:
        """Each flag of the row and its trials, with the reasons by seed."""
        reasons: dict[str, list[str]] = {}
        for note in self.notes:
            reasons.setdefault(note.flag, []).append(note.said)
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
class Published:
    """A score that others report on the same data set and task."""

    method: str
    variant: str  # "" where it is the method's default
    metric: str
    value: float
    source: str
    cite: str  # the same in two words
    kind: str  # "paper" | "re-run"
    protocol: str  # what it depends on that may be otherwise here

    @property
    def name(self) -> str:
        """What it is called in a figure."""
        return f"{self.method}{f' {self.variant}' if self.variant else ''}, {self.cite}"


@dataclass(frozen=True)
class Board:
    """The leaderboard of one data set: ranked rows best first, then the reference rows.

    Or the mean over all ways of a set of several domains, whose rows have no rank of their own.
    """

    data: str
    slug: str  # the data set's label as part of a file name; no two boards have the same
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    references: tuple[Row, ...]
    problems: tuple[Problem, ...] = field(default=())
    compared: tuple[str, ...] = ()  # the rows that were tested against each other
    comparisons: tuple[Comparison, ...] = ()
    published: tuple[Published, ...] = ()  # shown beside the rows, never ranked with them
    ways: int = 1  # more than one: how many data sets this is the mean over
    human: Findings | None = None  # what raters said, where there was a study

    @property
    def ranked(self) -> tuple[Column, ...]:
        """The scores that the mean rank is made of."""
        return tuple(column for column in self.scores if not column.unranked)

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

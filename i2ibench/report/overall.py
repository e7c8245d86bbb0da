"""Who does well over all data sets: places on each and their mean; and mean scores over the ways of several domains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from i2ibench import statistics
from i2ibench.report.board import Board, Column
from i2ibench.statistics import FEWEST_DATA, FEWEST_METHODS, Friedman


@dataclass(frozen=True)
class Standing:
    """One method over all data sets."""

    label: str
    mean_place: float | None  # None where it lacks a data set: to leave one out must not pay
    places: tuple[float | None, ...]  # by data set, in the order of the boards
    firsts: int


@dataclass(frozen=True)
class Average:
    """One method over all ways of a set; a value for each column, None where it lacks a way."""

    label: str
    reference: bool
    values: tuple[float | None, ...]
    best: frozenset[str]  # the columns in which no method has a better mean


@dataclass(frozen=True)
class Means:
    """The scores of a set of several domains, averaged over the ways from each to each other."""

    data: str
    ways: int
    columns: tuple[Column, ...]
    rows: tuple[Average, ...]


@dataclass(frozen=True)
class Overall:
    """The leaderboard over data sets, best mean place first."""

    data: tuple[str, ...]
    standings: tuple[Standing, ...]
    friedman: Friedman | None
    missing: str  # what Friedman's test still lacks, as a sentence; "" if nothing
    means: tuple[Means, ...] = ()


def build(boards: Sequence[Board], sets: Mapping[str, str] | None = None) -> Overall | None:
    """Places by mean rank on each board. None for a single data set, or where nothing is ranked.

    Args:
        sets: of each data set that is one way of a set of several domains, the name of that set.
    """
    if len(boards) < 2:
        return None
    labels = dict.fromkeys(row.label for board in boards for row in board.rows)
    places = pd.DataFrame(
        {
            board.data: pd.Series({row.label: row.mean_rank for row in board.rows}, dtype=float).rank()
            for board in boards
        },
        index=list(labels),
    )
    if places.isna().all(axis=None):
        return None
    means = places.mean(axis=1, skipna=False).sort_values(kind="stable", na_position="last")
    standings = tuple(
        Standing(
            str(label),
            None if math.isnan(mean) else float(mean),
            tuple(None if math.isnan(place) else float(place) for place in places.loc[label]),
            int((places.loc[label] == 1).sum()),
        )
        for label, mean in means.items()
    )
    test = statistics.friedman(places.T)
    order = [standing.label for standing in standings]
    by_set: dict[str, list[Board]] = {}
    for board in boards:
        if (name := (sets or {}).get(board.data)) is not None:
            by_set.setdefault(name, []).append(board)
    means = tuple(_means(name, several, order) for name, several in by_set.items())
    return Overall(tuple(places.columns), standings, test, "" if test else _missing(places.T), means)


def _means(name: str, boards: Sequence[Board], order: Sequence[str]) -> Means:
    """The columns are those that all boards have; the rows stand in `order`, and references after them."""
    first, *others = boards
    columns = tuple(c for c in first.scores if all(c.name in {o.name for o in board.scores} for board in others))
    references = dict.fromkeys(row.label for board in boards for row in board.references)
    labels = [*(label for label in order if any(label == r.label for b in boards for r in b.rows)), *references]
    values: dict[str, tuple[float | None, ...]] = {}
    for label in labels:
        rows = [row for board in boards for row in (*board.rows, *board.references) if row.label == label]
        cells = [[row.cells.get(column.name) for row in rows] for column in columns]
        values[label] = tuple(
            sum(cell.mean for cell in each if cell) / len(boards) if len(rows) == len(boards) and all(each) else None
            for each in cells
        )
    best: dict[str, set[str]] = {}
    for i, column in enumerate(columns):
        found = [v for label in labels if label not in references and (v := values[label][i]) is not None]
        if found and not column.unsound:
            top = max(found) if column.higher_is_better else min(found)
            for label in labels:
                if label not in references and values[label][i] == top:
                    best.setdefault(label, set()).add(column.name)
    rows_made = (Average(label, label in references, values[label], frozenset(best.get(label, ()))) for label in labels)
    return Means(name, len(boards), columns, tuple(rows_made))


def _missing(places: pd.DataFrame) -> str:
    """Why there is no test over data sets, in numbers."""
    scored = places.dropna(axis=0, how="all")
    n, k = len(scored), int(scored.notna().all().sum())
    lacks = []
    if n < FEWEST_DATA:
        lacks.append(f"{FEWEST_DATA} data sets (there are {n}: {FEWEST_DATA - n} missing)")
    if k < FEWEST_METHODS:
        lacks.append(f"{FEWEST_METHODS} methods that are ranked on all of them (there are {k})")
    return f"Friedman’s test and a critical difference need at least {' and '.join(lacks)}."

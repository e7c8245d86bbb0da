"""Who does well over all data sets: places on each and their mean; and mean scores over the ways of several domains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from i2ibench import statistics
from i2ibench.report.board import Board, Column, Row
from i2ibench.statistics import FEWEST_DATA, FEWEST_METHODS, Friedman, Summary


@dataclass(frozen=True)
class Standing:
    """One method over all data sets."""

    label: str
    mean_place: float | None  # None where it lacks a data set: to leave one out must not pay
    places: tuple[float | None, ...]  # by data set, in the order of the boards
    firsts: int


@dataclass(frozen=True)
class Overall:
    """The leaderboard over data sets, best mean place first."""

    data: tuple[str, ...]
    standings: tuple[Standing, ...]
    friedman: Friedman | None
    missing: str  # what Friedman's test still lacks, as a sentence; "" if nothing
    shared: bool = False  # whether data sets are made of the same images, and count as one in Friedman's test
    means: tuple[Board, ...] = ()  # of each set of several domains: its scores over all ways from one to another

    @property
    def first(self) -> tuple[Standing, ...]:
        """Who has the best mean place: several, if they are level."""
        return tuple(one for one in self.standings if one.mean_place == self.standings[0].mean_place)


def build(
    boards: Sequence[Board], sets: Mapping[str, str] | None = None, images: Mapping[str, str] | None = None
) -> Overall | None:
    """Places by mean rank on each board. None for a single data set, or where nothing is ranked.

    Args:
        sets: of each data set that is one way of a set of several domains, the name of that set.
        images: of each data set what tells its images from others. Those that share them (ways, directions, sizes)
            share trainings and luck too, and count as one in Friedman's test, by their mean place.
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
    block = [(images or {}).get(str(data), str(data)) for data in places]
    blocks = places.T.groupby(block, sort=False).agg(lambda column: column.mean(skipna=False))
    test, shared = statistics.friedman(blocks), len(set(block)) < len(block)
    order = [standing.label for standing in standings]
    by_set: dict[str, list[Board]] = {}
    for board in boards:
        if (name := (sets or {}).get(board.data)) is not None:
            by_set.setdefault(name, []).append(board)
    means = tuple(_means(name, several, order) for name, several in by_set.items())
    return Overall(tuple(places.columns), standings, test, "" if test else _missing(blocks, shared), shared, means)


def _means(name: str, boards: Sequence[Board], order: Sequence[str]) -> Board:
    """The columns are those that all boards have; the rows stand in `order`, and references after them."""
    first, *others = boards
    columns = tuple(c for c in first.scores if all(c.name in {o.name for o in board.scores} for board in others))
    found: dict[str, list[Row]] = {}
    for board in boards:
        for row in (*board.rows, *board.references):
            found.setdefault(row.label, []).append(row)
    rows = [_mean_row(found[label], columns, len(boards)) for label in order if label in found]
    best = {column.name: _best(column, rows) for column in columns if not column.unsound}
    return Board(
        f"{name}, mean of {len(boards)} ways",
        f"{first.slug}-mean",
        columns,
        tuple(replace(row, best=frozenset(m for m, labels in best.items() if row.label in labels)) for row in rows),
        tuple(_mean_row(each, columns, len(boards)) for each in found.values() if each[0].reference),
        ways=len(boards),
    )


def _mean_row(rows: Sequence[Row], columns: Sequence[Column], ways: int) -> Row:
    """One row over all ways; without a score where it lacks a way."""
    whole = len(rows) == ways
    return Row(
        rows[0].label,
        rows[0].method,
        rows[0].reference,
        min(row.seeds_done for row in rows) if whole else 0,
        max(row.seeds for row in rows),
        next((row.state for row in rows if row.state != "done"), "done" if whole else "waiting"),
        {
            column.name: _average(column.name, rows) if whole else None
            for column in columns
            if all(column.name in row.cells for row in rows)
        },
        by_seed={column.name: _by_seed(column.name, rows) for column in columns},
    )


def _by_seed(metric: str, rows: Sequence[Row]) -> dict[int, float]:
    """The mean of each seed's scores over the ways; empty where the ways have different seeds."""
    first, *others = (row.by_seed.get(metric, {}) for row in rows)
    if any(other.keys() != first.keys() for other in others):
        return {}
    return {seed: float(np.mean([value, *(other[seed] for other in others)])) for seed, value in sorted(first.items())}


def _average(metric: str, rows: Sequence[Row]) -> Summary | None:
    """Over seeds; the mean alone where the ways have different ones."""
    cells = [cell for row in rows if (cell := row.cells[metric]) is not None]
    if len(cells) < len(rows):
        return None
    if by_seed := _by_seed(metric, rows):
        return statistics.summarise(by_seed.values())
    mean = float(np.mean([cell.mean for cell in cells]))
    return Summary(mean, None, None, min(cell.n for cell in cells), (mean,))


def _best(column: Column, rows: Sequence[Row]) -> set[str]:
    means = {row.label: cell.mean for row in rows if (cell := row.cells.get(column.name)) is not None}
    top = (max if column.higher_is_better else min)(means.values(), default=None)
    return {label for label, mean in means.items() if mean == top}


def _missing(places: pd.DataFrame, shared: bool) -> str:
    """Why there is no test over data sets, in numbers."""
    scored = places.dropna(axis=0, how="all")
    n, k = len(scored), int(scored.notna().all().sum())
    lacks = []
    if n < FEWEST_DATA:
        lacks.append(f"{FEWEST_DATA} data sets (there are {n}: {FEWEST_DATA - n} missing)")
    if k < FEWEST_METHODS:
        lacks.append(f"{FEWEST_METHODS} methods that are ranked on all of them (there are {k})")
    once = " Ways, directions and sizes of the same images count as one." if shared else ""
    return f"Friedman’s test and a critical difference need at least {' and '.join(lacks)}.{once}"

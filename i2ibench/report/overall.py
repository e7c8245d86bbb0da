"""Who does well over all data sets: places on each, their mean, and whether the differences could be chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from i2ibench import statistics
from i2ibench.report.board import Board
from i2ibench.statistics import FEWEST_DATA, FEWEST_METHODS, Friedman


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


def build(boards: Sequence[Board]) -> Overall | None:
    """Places by mean rank on each board. None for a single data set, or where nothing is ranked."""
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
    return Overall(tuple(places.columns), standings, test, "" if test else _missing(places.T))


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

"""Leaderboards: results frame -> ranked rows with intervals, references apart, and what is missing with its reason."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from i2ibench import statistics
from i2ibench.costs import COSTS
from i2ibench.metrics.catalog import METRICS
from i2ibench.report.board import Board, Column, Interval, Note, Problem, Row
from i2ibench.report.drawing import listed

if TYPE_CHECKING:
    from i2ibench.plan import Plan


BELOW_COPY = "worse than copy"


def build(
    results: pd.DataFrame,
    plan: Plan,
    stamps: Mapping[str, Mapping[str, Any]] | None = None,
    bounds: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
) -> list[Board]:
    """One board per data set of the plan.

    Args:
        results: from `frames.frame`.
        stamps: from `frames.stamps`; they say where FID is unsound.
        bounds: from `frames.bounds`; what some metrics know of how well one does without a method.
    """
    slugs: list[str] = []
    for data in plan.data:
        slugs.append(_slug(data, slugs))
    groups = dict(iter(results.groupby("data", sort=False)))
    made = [
        _board(data, slug, groups.get(data, results[:0]), plan, rank_deficient((stamps or {}).get(data, {})))
        for slug, data in zip(slugs, plan.data, strict=True)
    ]
    return [_bounded(board, (bounds or {}).get(board.data, {})) for board in made]


def _bounded(board: Board, bounds: Mapping[str, Mapping[str, float]]) -> Board:
    """With a reference row for each thing that was scored without a method, in the columns that know it."""
    cells: dict[str, dict[str, statistics.Summary | None]] = {}
    for column in board.scores:
        for name, value in bounds.get(column.name, {}).items():
            label = f"{name} (no method)" if name in board.labels else name
            cells.setdefault(label, {})[column.name] = statistics.summarise([value])
    rows = [Row(label, "", True, 0, 0, "done", of_row) for label, of_row in cells.items()]
    return replace(board, references=(*board.references, *rows))


def rank_deficient(stamp: Mapping[str, Any]) -> bool:
    """Whether a protocol's stamp says that its FID stands on too few images for the number of features."""
    return bool(stamp.get("metrics", {}).get("fid", {}).get("rank_deficient"))


def _slug(words: str, taken: Sequence[str]) -> str:
    plain = (
        "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in words).strip("-").lower()
        or "data"
    )
    return (
        plain if plain not in taken else next(f"{plain}-{i}" for i in itertools.count(2) if f"{plain}-{i}" not in taken)
    )


def _board(data: str, slug: str, results: pd.DataFrame, plan: Plan, deficient: bool) -> Board:
    metrics = plan.data[data].metrics
    rows = _rows(results[results["state"] != "skipped"])
    ranked = {label: row for label, row in rows.items() if not row.reference}
    means = pd.DataFrame(
        {m: [row.mean(m) for row in ranked.values()] for m in metrics}, index=list(ranked), dtype=float
    )
    unranked = _unranked(metrics, ranked, deficient)
    counted = {m: METRICS[m].higher_is_better for m in metrics if m not in unranked}
    positions = statistics.mean_ranks(means[list(counted)], counted)
    unsound = {"fid"} if deficient else set()
    best = {m: _best(means[m], METRICS[m].higher_is_better) for m in metrics if m not in unsound}
    columns = _columns(metrics, plan.protocol.title, means, rows, unranked, unsound)
    placed = [
        _placed(ranked[str(label)], float(rank), frozenset(m for m, labels in best.items() if label in labels))
        for label, rank in positions.items()
    ]
    references = tuple(row for row in rows.values() if row.reference)
    copy = next((row for row in references if row.method == "copy"), None)
    judged = tuple(placed if copy is None else (_against_copy(row, copy, columns) for row in placed))
    return Board(data, slug, columns, judged, references, tuple(_problems(results)))


def _against_copy(row: Row, copy: Row, columns: Sequence[Column]) -> Row:
    """The row, flagged where the input itself, unchanged, has the better mean on more than half of their scores."""
    worse, better = beaten_by(row, copy, columns)
    if len(worse) <= len(better):
        return row
    reason = (
        f"the unchanged input has the better mean on {len(worse)} of {len(worse) + len(better)} scores "
        f"({listed([column.title for column in worse])}; n = {row.seeds_done}, untested)"
    )
    return replace(row, notes=(*row.notes, Note(row.label, None, BELOW_COPY, reason)))


def beaten_by(row: Row, other: Row, columns: Sequence[Column]) -> tuple[list[Column], list[Column]]:
    """The scores by which `other` has the better mean, and those by which it has not, of those that both have."""
    found: tuple[list[Column], list[Column]] = ([], [])
    for column in columns:
        ours, theirs = row.cells.get(column.name), other.cells.get(column.name)
        if column.kind == "score" and not column.unsound and ours is not None and theirs is not None:
            worse = ours.mean < theirs.mean if column.higher_is_better else ours.mean > theirs.mean
            found[0 if worse else 1].append(column)
    return found


def _unranked(metrics: Sequence[str], ranked: Mapping[str, Row], deficient: bool) -> dict[str, str]:
    """The metrics that have no part in the mean rank, and why."""
    reasons = {
        metric: "not every method here can have it"
        for metric in metrics
        if any(metric not in row.cells for row in ranked.values())
    }
    if deficient and "fid" in metrics and set(metrics) - set(reasons) != {"fid"}:
        reasons["fid"] = "there are too few images for the number of features (rank-deficient), so FID is biased"
    return reasons


READ = (
    "label", "method", "reference", "seed", "trial", "state", "flags", "steps", "kind", "metric", "value", "low",
    "high", "interval",
)  # fmt: skip


def _rows(results: pd.DataFrame) -> dict[str, Row]:
    """Every label with its row. Lists, since frames by the thousand would take a minute."""
    records: dict[str, list[dict[str, Any]]] = {}
    for values in zip(*(results[name].tolist() for name in READ), strict=True):
        records.setdefault(values[0], []).append(dict(zip(READ, values, strict=True)))
    return {label: _row(label, found) for label, found in records.items()}


def _row(label: str, records: Sequence[Mapping[str, Any]]) -> Row:
    first_of_each: dict[str, Mapping[str, Any]] = {}
    for record in records:
        first_of_each.setdefault(record["trial"], record)
    by_trial = list(first_of_each.values())
    first = by_trial[0]
    done = sum(trial["state"] == "done" for trial in by_trial)
    cells: dict[str, list[float]] = {}
    by_seed: dict[str, dict[int, float]] = {}
    intervals: dict[str, list[Interval]] = {}
    for record in records:
        metric, value = record["metric"], record["value"]
        if first["reference"] and record["kind"] == "cost":
            continue  # it computes nothing that is worth a comparison, and no form of the report shows it
        cells.setdefault(metric, []).append(value)
        if record["kind"] == "score" and not math.isnan(value):
            seed = int(record["seed"])
            by_seed.setdefault(metric, {})[seed] = value
            if record["interval"]:
                interval = Interval(seed, record["low"], record["high"], record["interval"])
                intervals.setdefault(metric, []).append(interval)
    return Row(
        label,
        first["method"],
        first["reference"],
        done,
        len(by_trial),
        "done" if done else first["state"],
        {metric: statistics.summarise(values) for metric, values in cells.items()},
        by_seed=by_seed,
        intervals={metric: tuple(found) for metric, found in intervals.items()},
        steps=None if pd.isna(first["steps"]) else int(first["steps"]),
        notes=tuple(
            Note(label, int(trial["seed"]), note["flag"], note["reason"])
            for trial in by_trial
            if trial["flags"]
            for note in json.loads(trial["flags"])
        ),
    )


def _placed(row: Row, mean_rank: float, best: frozenset[str]) -> Row:
    return replace(row, mean_rank=None if math.isnan(mean_rank) else mean_rank, best=best)


def _best(means: pd.Series, higher_is_better: bool) -> set[str]:
    top = means.max() if higher_is_better else means.min()
    return set(means.index[means == top])


def _columns(
    metrics: Sequence[str],
    title: Callable[[str], str],
    means: pd.DataFrame,
    rows: Mapping[str, Row],
    unranked: Mapping[str, str],
    unsound: Collection[str],
) -> tuple[Column, ...]:
    scores = [
        Column(
            name,
            title(name),
            METRICS[name].unit,
            METRICS[name].higher_is_better,
            METRICS[name].description,
            "score",
            METRICS[name].places(*means[name]),
            _group(name),
            unranked.get(name, ""),
            name in unsound,
        )
        for name in sorted(metrics, key=lambda name: GROUPS.index(_group(name)))
    ]
    costs = [
        Column(cost.name, cost.title, cost.unit, cost.higher_is_better, cost.description, "cost")
        for cost in COSTS.values()
        if any(row.cells.get(cost.name) is not None for row in rows.values())
    ]
    return (*scores, *costs)


GROUPS = ("Sets of images", "Each output and its target", "Styles and cycles", "Tasks")


def _group(metric: str) -> str:
    """What a score compares."""
    needs = METRICS[metric].needs
    if needs & {"palette", "labels", "scorer"}:
        return "Tasks"
    if needs & {"styles", "cycle"}:
        return "Styles and cycles"
    return "Each output and its target" if "pairs" in needs else "Sets of images"


def _problems(results: pd.DataFrame) -> list[Problem]:
    undone = results[results["state"] != "done"].drop_duplicates(["label", "trial"])
    return [
        Problem(row.data, row.label, None if pd.isna(row.seed) else int(row.seed), row.state, row.reason, row.log)
        for row in undone.itertuples()
    ]

"""Figures of what a budget buys: scores against training steps and time, and against the number of training images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from i2ibench.identity import BOOKKEEPING
from i2ibench.report.board import Board, Column, Row
from i2ibench.report.drawing import (
    SHOWN,
    Drawing,
    joined_rows,
    legend_above,
    listed,
    log_axis,
    reference_lines,
    say_below,
    shorten,
)
from i2ibench.report.style import Looks, figure, house

if TYPE_CHECKING:
    from i2ibench.plan import Plan

Line = list[tuple[float, Row]]  # rows that belong together, each with its place on the axis


def steps(board: Board, plan: Plan, looks: Looks) -> Drawing | None:
    """Scores against budget, where a method stands on the board with several: one line each, by steps and by time."""
    lines = _by_steps(board, plan)
    columns = _columns([board], lines)
    if not columns:
        return None
    with house():
        drawing = figure(11, 6.4)
        axes = drawing.subplots(2, len(columns), squeeze=False, sharey="col")
        for across, column in zip(axes.T, columns, strict=True):
            _panel(across[0], column, lines, "training steps (log)", looks)
            _panel(across[1], column, [_by_time(line) for line in lines], "training time (s, log)", looks)
        legend_above(drawing, axes[0, 0], 4)
    names = [f"{_name(line)} ({', '.join(f'{steps:,.0f}' for steps, _ in line)} steps)" for line in lines]
    return Drawing(
        f"budget-{board.slug}",
        "Score against budget",
        "Rows of one method that differ in their training steps alone, joined by a line: mean over seeds, bars span "
        "them. By steps above, by wall time below (log scales).",
        f"{listed([column.title for column in columns])} on {board.data} against training steps and time: "
        f"{'; '.join(names)}.",
        drawing,
    )


def images(board: Board, boards: Sequence[Board], plan: Plan, looks: Looks) -> Drawing | None:
    """Scores against the number of training images, where data sets differ in nothing else; on the largest one's board.

    Args:
        boards: all of the report.
    """
    family = _family(board, boards, plan)
    if len(family) < 2 or board.data != family[-1][1].data:
        return None
    labels = [row.label for row in board.rows]
    found = {label: [(n, row) for n, b in family for row in b.rows if row.label == label] for label in labels}
    lines = [[(n, row) for n, row in line if row.state == "done"] for line in found.values()]
    lines = [line for line in lines if len(line) > 1][:SHOWN]
    columns = _columns([b for _, b in family], lines)
    if not columns:
        return None
    with house():
        drawing = figure(11, 3.7)
        axes = drawing.subplots(1, len(columns), squeeze=False)[0]
        for ax, column in zip(axes, columns, strict=True):
            _panel(ax, column, lines, "training images (log)", looks)
            reference_lines(ax, column, board.references, named=True)
            ax.set_ylabel("")
        legend_above(drawing, axes[0])
    names = listed([b.data for _, b in family])
    say_below(drawing, f"data sets: {names}")
    sizes = listed([f"{n:,.0f}" for n, _ in family])
    return Drawing(
        f"images-{board.slug}",
        "Score against training images",
        f"The data sets {names} differ in the number of their training images alone. "
        "Mean over seeds, bars span them (log scale). Dotted lines are the references, which do not train.",
        f"{listed([column.title for column in columns])} after training on {sizes} images: "
        f"{listed([line[0][1].label for line in lines])}.",
        drawing,
    )


def _columns(boards: Sequence[Board], lines: Sequence[Line]) -> list[Column]:
    """Up to three scores that all boards have and some row too; those that are sound everywhere."""
    unsound = {column.name for board in boards for column in board.scores if column.unsound}
    common = set.intersection(*({column.name for column in board.scores} for board in boards)) - unsound
    rows = [row for line in lines for _, row in line]
    return [c for c in boards[0].scores if c.name in common and any(row.cells.get(c.name) for row in rows)][:3]


def _by_steps(board: Board, plan: Plan) -> list[Line]:
    """Finished rows that are alike but for their budget, by steps; only where there are two budgets or more."""
    rows = {row.label: row for row in board.rows if row.state == "done" and row.steps}
    families: dict[str, dict[int, Row]] = {}
    for spec in plan.trials:
        if spec.data == board.data and spec.label in rows:
            settings = {k: v for k, v in spec.training.items() if k not in ("steps", *BOOKKEEPING)}
            row = rows[spec.label]
            assert row.steps is not None
            alike = repr((spec.method, spec.params, settings, spec.init_from, spec.freeze))
            families.setdefault(alike, {}).setdefault(row.steps, row)
    several = [line for line in families.values() if len(line) > 1][:SHOWN]
    return [[(float(steps), line[steps]) for steps in sorted(line)] for line in several]


def _by_time(line: Line) -> Line:
    times = [(row.cells.get("train_seconds"), row) for _, row in line]
    return [(time.mean, row) for time, row in times if time is not None and time.mean]


def _family(board: Board, boards: Sequence[Board], plan: Plan) -> list[tuple[float, Board]]:
    """The boards of data sets that are this one's but for `train_images`, by that number."""

    def alike(data: str) -> tuple[object, ...]:
        source = plan.data[data].source
        return type(source), source.params.model_dump(exclude={"train_images"}), plan.data[data].metrics

    sizes = [(getattr(plan.data[b.data].source.params, "train_images", None), b) for b in boards if b.data in plan.data]
    family = [(float(n), b) for n, b in sizes if n is not None and alike(b.data) == alike(board.data)]
    return sorted(family, key=lambda member: member[0])


def _name(line: Line) -> str:
    """The words that the labels of all its rows have, or else their method's name."""
    labels = [row.label.split() for _, row in line]
    return " ".join(word for word in labels[0] if all(word in label for label in labels)) or line[0][1].method


def _panel(ax: Axes, column: Column, lines: Sequence[Line], along: str, looks: Looks) -> None:
    seen: list[float] = []
    for line in lines:
        if line:
            seen += joined_rows(ax, column, line, shorten(_name(line)), looks)
    if seen:
        log_axis(ax.xaxis, "{:g}".format, min(seen), max(seen))
    ax.set(title=f"{column.head} {column.arrow}", xlabel=along, ylabel=column.direction)

"""Figures of training: losses against steps and time, and what a larger budget buys."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from i2ibench.report.board import Board, Column, Row
from i2ibench.report.drawing import SHOWN, Drawing, left_out, listed, log_axis, shorten
from i2ibench.report.style import RULE, TERM_COLOURS, Looks, figure, house

if TYPE_CHECKING:
    from i2ibench.plan import Plan

PLAYER_STYLES = ("-", "--", ":", "-.")
PANELS = 8  # methods with learning curves, a panel each: more make a figure that nobody reads, and take seconds to draw
CURVE_POINTS = 200  # per curve: more cannot be told apart, and makes the SVG heavy


def curves(board: Board, points: pd.DataFrame, looks: Looks) -> Drawing | None:
    """Every loss term against the step, one panel per method; the band spans the seeds."""
    trained = set(points["label"])
    labels = [row.label for row in board.rows if row.label in trained][:PANELS]
    if not labels:
        return None
    with house():
        columns = min(2, len(labels))
        lines = math.ceil(len(labels) / columns)
        drawing = figure(11, 0.4 + 2.8 * lines)
        axes = drawing.subplots(lines, columns, squeeze=False)
        for ax, label in zip(axes.flat, labels, strict=False):
            _curve_panel(ax, label, points[points["label"] == label], looks)
        for ax in axes.flat[len(labels) :]:
            ax.set_visible(False)
    return Drawing(
        f"curves-{board.slug}",
        "Learning curves",
        "Loss terms as they are summed (weights included), smoothed. The line is the mean over seeds, the band spans "
        "them; each player has its line style. The axes below count training steps, wall time and, on a GPU, GPU-hours."
        + left_out(board, PANELS),
        f"Loss terms against training step and time on {board.data}, one panel each for {listed(labels)}.",
        drawing,
    )


def _curve_panel(ax: Axes, label: str, points: pd.DataFrame, looks: Looks) -> None:
    players = list(points["player"].unique())
    for i, player in enumerate(players):
        for j, (term, group) in enumerate(points[points["player"] == player].groupby("term", sort=False)):
            table = _smooth(group.pivot_table(index="step", columns="seed", values="value"))
            colour, style = TERM_COLOURS[j % len(TERM_COLOURS)], PLAYER_STYLES[i % len(PLAYER_STYLES)]
            ax.plot(
                table.index, table.mean(axis=1), color=colour, linestyle=style, linewidth=1.5, label=f"{player}: {term}"
            )
            if table.shape[1] > 1:
                ax.fill_between(
                    table.index, table.min(axis=1), table.max(axis=1), color=colour, alpha=0.15, linewidth=0
                )
    if (points["value"] > 0).all():
        log_axis(ax.yaxis, "{:g}".format, points["value"].min(), points["value"].max())
    ax.set_title(shorten(label, 40), x=0.05)
    ax.plot(0.018, 1.075, marker="s", markersize=8, color=looks.colours[label], transform=ax.transAxes, clip_on=False)
    ax.margins(x=0.01)
    _time_axes(ax, points)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.04), fontsize=8, handlelength=1.8, labelspacing=0.25)


def _time_axes(ax: Axes, points: pd.DataFrame) -> None:
    """Wall time, and GPU-hours where there was a GPU, below the steps: a training runs at an even pace."""
    last = points.sort_values("step").iloc[-1]
    ax.set_xlabel("training step", labelpad=1)
    if pd.isna(last["seconds"]) or last["seconds"] <= 0 or last["step"] <= 0:
        return
    pace = last["seconds"] / last["step"]
    unit, size = ("hours", 3600.0) if last["seconds"] > 7200 else ("min", 60.0) if last["seconds"] > 120 else ("s", 1.0)
    scales = [(f"wall time ({unit})", pace / size)]
    if last["gpus"] > 0:
        scales.append(("GPU-hours", pace / 3600 * last["gpus"]))
    for i, (title, factor) in enumerate(scales, 1):
        axis = ax.secondary_xaxis(-0.22 * i, functions=(_times(factor), _times(1 / factor)))
        axis.set_xlabel(title, labelpad=1)
        axis.spines["bottom"].set_color(RULE)


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda x: x * factor


def _smooth(table: pd.DataFrame) -> pd.DataFrame:
    """A running mean over about 5 % of the curve, then at most CURVE_POINTS of its points."""
    smooth = table.rolling(max(1, len(table) // 20), min_periods=1, center=True).mean()
    return (
        smooth.iloc[np.unique(np.linspace(0, len(smooth) - 1, CURVE_POINTS).round().astype(int))]
        if len(smooth)
        else smooth
    )


def budget(board: Board, plan: Plan, looks: Looks) -> Drawing | None:
    """Scores against budget, where a method stands on the board with several: one line each, by steps and by time."""
    lines = _families(board, plan)
    rows = [row for line in lines for row in line]
    columns = [c for c in board.scores if not c.unsound and any(row.cells.get(c.name) for row in rows)][:3]
    if not columns:
        return None
    with house():
        drawing = figure(11, 6.4)
        axes = drawing.subplots(2, len(columns), squeeze=False, sharey="col")
        for across, column in enumerate(columns):
            for ax, unit in zip(axes[:, across], ("training steps", "training time (s)"), strict=True):
                _budget_panel(ax, column, lines, unit, looks)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside upper center", ncols=min(4, len(labels)))
    names = [f"{line[0].method} ({', '.join(f'{row.steps:,}' for row in line)} steps)" for line in lines]
    return Drawing(
        f"budget-{board.slug}",
        "Score against budget",
        "Rows of one method that differ in their training steps alone, joined by a line: mean over seeds, bars span "
        "them. By steps above, by wall time below (log scales).",
        f"{listed([column.title for column in columns])} on {board.data} against training steps and time: "
        f"{'; '.join(names)}.",
        drawing,
    )


def _families(board: Board, plan: Plan) -> list[list[Row]]:
    """Finished rows that are alike but for their budget, by steps; only where there are two budgets or more."""
    rows = {row.label: row for row in board.rows if row.state == "done" and row.steps}
    families: dict[str, dict[int, Row]] = {}
    for spec in plan.trials:
        if spec.data == board.data and spec.label in rows:
            settings = {k: v for k, v in spec.training.items() if k not in ("steps", "log_every", "checkpoint_every")}
            row = rows[spec.label]
            assert row.steps is not None
            families.setdefault(repr((spec.method, spec.params, settings)), {}).setdefault(row.steps, row)
    return [[line[steps] for steps in sorted(line)] for line in families.values() if len(line) > 1][:SHOWN]


def _budget_panel(ax: Axes, column: Column, lines: Sequence[Sequence[Row]], unit: str, looks: Looks) -> None:
    seen: list[float] = []
    for line in lines:
        points = []
        for row in line:
            score, time = row.cells.get(column.name), row.cells.get("train_seconds")
            x = row.steps if unit == "training steps" else time and time.mean
            if score is not None and x:
                points.append((float(x), score.mean, min(score.values), max(score.values)))
        if not points:
            continue
        xs, means, lows, highs = map(np.array, zip(*points, strict=True))
        colour = looks.colours[line[0].label]
        ax.plot(xs, means, color=colour, marker=looks.markers[line[0].label], markeredgecolor="white", markersize=8,
                label=shorten(line[0].label))  # fmt: skip
        ax.vlines(xs, lows, highs, color=colour, linewidth=1.2)
        seen += xs.tolist()
    if seen:
        log_axis(ax.xaxis, "{:g}".format, min(seen), max(seen))
    ax.set(title=f"{column.title} {column.arrow}", xlabel=unit, ylabel=column.direction)

"""The charts of a report: scores, learning curves, and cost against quality; each with its caption and alt text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from i2ibench.report.leaderboard import Board, Column, Row
from i2ibench.report.style import INK, MUTED, REFERENCE_COLOUR, RULE, TERM_COLOURS, Looks, figure, house

PLAYER_STYLES = ("-", "--", ":", "-.")
CURVE_POINTS = 200  # per curve: more cannot be told apart, and makes the SVG heavy


@dataclass(frozen=True)
class Drawing:
    """A figure with what a reader who does not see it needs."""

    name: str  # of its files, without suffix
    title: str
    caption: str
    alt: str
    figure: Figure
    raster: bool = False  # made of pixels: the page shows its PNG, not its SVG

    def save(self, folder: Path) -> None:
        """Write name.png and name.svg.

        Laid out once and drawn twice; `savefig` would do the one twice and the other five times, a second per figure.
        """
        with house():
            layout = self.figure.get_layout_engine()
            if layout is not None:
                layout.execute(self.figure)
                self.figure.set_layout_engine("none")
            FigureCanvasAgg(self.figure).print_png(folder / f"{self.name}.png", pil_kwargs={"compress_level": 4})
            FigureCanvasSVG(self.figure).print_svg(folder / f"{self.name}.svg", metadata={"Date": None})


def scores(board: Board, looks: Looks) -> Drawing | None:
    """Each seed's score and the mean, per metric; rows as in the leaderboard."""
    rows = [row for row in (*board.rows, *board.references) if any(row.cells.get(c.name) for c in board.scores)]
    if not rows:
        return None
    with house():
        columns = min(3, len(board.scores))
        lines = math.ceil(len(board.scores) / columns)
        drawing = figure(11, lines * (0.9 + 0.3 * len(rows)))
        axes = drawing.subplots(lines, columns, squeeze=False, sharey=True)
        for ax, column in zip(axes.flat, board.scores, strict=False):
            _score_panel(ax, column, rows, looks)
        for ax in axes.flat[len(board.scores) :]:
            ax.set_visible(False)
    best = "; ".join(
        f"{column.title}: {listed(sorted(row.label for row in board.rows if column.name in row.best))}"
        for column in board.scores
    )
    return Drawing(
        f"scores-{board.slug}",
        "Scores with their spread over seeds",
        "Each marker is one seed, each bar the mean of a method. Grey rows and dotted lines are the references.",
        f"Scores on {board.data}, one panel per metric. Best mean of each: {best}.",
        drawing,
    )


def _score_panel(ax: Axes, column: Column, rows: Sequence[Row], looks: Looks) -> None:
    points = pd.DataFrame(
        [
            (y, row.label, value)
            for y, row in enumerate(rows)
            if (cell := row.cells.get(column.name))
            for value in cell.values
        ],
        columns=["row", "label", "value"],
    )
    for y, row in enumerate(rows):
        if (cell := row.cells.get(column.name)) is None:
            ax.text(
                0.03,
                y,
                "needs pairs",
                transform=ax.get_yaxis_transform(),
                va="center",
                color=MUTED,
                fontsize=8.5,
                backgroundcolor="white",
            )
        else:
            ax.vlines(cell.mean, y - 0.32, y + 0.32, color=looks.colours[row.label], linewidth=2.4, zorder=3)
            if row.reference:
                ax.axvline(cell.mean, color=REFERENCE_COLOUR, linewidth=1, linestyle=":", zorder=1)
    sns.scatterplot(
        points, x="value", y="row", hue="label", palette=looks.colours, ax=ax,
        s=52, alpha=0.75, edgecolor="white", linewidth=0.8, legend=False, zorder=4,
    )  # fmt: skip
    ax.set(title=f"{column.title} {column.arrow}", xlabel=column.direction, ylabel="", ylim=(len(rows) - 0.4, -0.6))
    ax.set_yticks(range(len(rows)), [shorten(row.label) for row in rows], color=INK)
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    references = sum(row.reference for row in rows)
    if 0 < references < len(rows):
        ax.axhline(len(rows) - references - 0.5, color=RULE, linewidth=1)


def curves(board: Board, points: pd.DataFrame, looks: Looks) -> Drawing | None:
    """Every loss term against the step, one panel per method; the band spans the seeds."""
    points = points[points["data"] == board.data]
    labels = [row.label for row in board.rows if (points["label"] == row.label).any()]
    if not labels:
        return None
    with house():
        columns = min(2, len(labels))
        lines = math.ceil(len(labels) / columns)
        drawing = figure(11, 0.4 + 2.6 * lines)
        axes = drawing.subplots(lines, columns, squeeze=False)
        for ax, label in zip(axes.flat, labels, strict=False):
            _curve_panel(ax, label, points[points["label"] == label], looks)
        for ax in axes.flat[len(labels) :]:
            ax.set_visible(False)
        for ax in axes.flat[: len(labels)][-columns:]:
            ax.set_xlabel("training step")
    return Drawing(
        f"curves-{board.slug}",
        "Learning curves",
        "Loss terms as they are summed (weights included), smoothed. The line is the mean over seeds, the band spans "
        "them; each player has its line style.",
        f"Loss terms against training step on {board.data}, one panel each for {listed(labels)}.",
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
        _log_axis(ax.yaxis, "{:g}".format, points["value"].min(), points["value"].max())
    ax.set_title(shorten(label, 40), x=0.05)
    ax.plot(0.018, 1.075, marker="s", markersize=8, color=looks.colours[label], transform=ax.transAxes, clip_on=False)
    ax.margins(x=0.01)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.04), fontsize=8, handlelength=1.8, labelspacing=0.25)


def _smooth(table: pd.DataFrame) -> pd.DataFrame:
    """A running mean over about 5 % of the curve, then at most CURVE_POINTS of its points."""
    smooth = table.rolling(max(1, len(table) // 20), min_periods=1, center=True).mean()
    return (
        smooth.iloc[np.unique(np.linspace(0, len(smooth) - 1, CURVE_POINTS).round().astype(int))]
        if len(smooth)
        else smooth
    )


def tradeoff(board: Board, looks: Looks, cost: str = "train_seconds") -> Drawing | None:
    """A cost (log axis) against LPIPS and FID, or the two first metrics where those are not scored."""
    axis = next((column for column in board.columns if column.name == cost), None)
    shown = sorted(board.scores, key=lambda column: column.name not in ("lpips", "fid"))[:2]
    rows = [row for row in board.rows if (cell := row.cells.get(cost)) and cell.mean > 0 and row.state == "done"]
    if axis is None or not rows or not shown:
        return None
    with house():
        drawing = figure(11, 4.2)
        axes = drawing.subplots(1, len(shown), squeeze=False)[0]
        for ax, column in zip(axes, shown, strict=True):
            for row in rows:
                _tradeoff_point(ax, axis, column, row, looks)
            for row in board.references:
                if cell := row.cells.get(column.name):
                    ax.axhline(cell.mean, color=REFERENCE_COLOUR, linewidth=1, linestyle=":")
                    ax.annotate(
                        row.label, (1, cell.mean), xycoords=("axes fraction", "data"), xytext=(-3, 3),
                        textcoords="offset points", ha="right", color=MUTED, fontsize=8.5,
                    )  # fmt: skip
            costs = [value for row in rows if (cell := row.cells[cost]) for value in cell.values]
            _log_axis(ax.xaxis, "{:g}".format, min(costs), max(costs))
            ax.set(
                title=f"{column.title} {column.arrow}",
                xlabel=f"{axis.title} ({axis.unit} per trial, log scale)",
                ylabel=column.direction,
            )
        handles, labels = axes[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside right upper")
    return Drawing(
        f"tradeoff-{board.slug}",
        "Cost against quality",
        "Mean training time and mean score of each method; thin lines span the seeds. Dotted lines are the references, "
        "which do not train.",
        f"Training time against {listed([column.title for column in shown])} on {board.data} "
        f"for {listed([row.label for row in rows])}.",
        drawing,
    )


def _tradeoff_point(ax: Axes, axis: Column, column: Column, row: Row, looks: Looks) -> None:
    x, y = row.cells[axis.name], row.cells.get(column.name)
    if x is None or y is None:
        return
    colour = looks.colours[row.label]
    ax.hlines(y.mean, min(x.values), max(x.values), color=colour, linewidth=1.2)
    ax.vlines(x.mean, min(y.values), max(y.values), color=colour, linewidth=1.2)
    ax.plot(
        x.mean, y.mean, linestyle="none", marker=looks.markers[row.label], markersize=10, color=colour,
        markeredgecolor="white", label=shorten(row.label), zorder=3,
    )  # fmt: skip


def _log_axis(axis: Axis, text: Callable[[float], str], low: float, high: float) -> None:
    """A logarithmic axis with ticks that can be read: decades alone where there are many, 1-2-5 steps where few."""
    axis._set_axes_scale("log")  # type: ignore[attr-defined]
    axis.set_major_locator(
        LogLocator(subs=(1.0,) if high / low > 300 else (1.0, 2.0, 5.0) if high / low > 4 else range(1, 10))
    )
    axis.set_major_formatter(lambda value, _: text(value))
    axis.set_minor_locator(NullLocator())


def shorten(words: str, limit: int = 26) -> str:
    return words if len(words) <= limit else words[: limit - 1] + "…"


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: a, b and c."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else "none"

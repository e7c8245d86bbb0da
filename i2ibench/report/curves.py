"""Figures of training: losses and scores against steps, time and GPU-hours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from i2ibench.data.images import evenly_spaced
from i2ibench.report.board import Board, Column
from i2ibench.report.drawing import (
    SHOWN,
    Drawing,
    left_out,
    legend_above,
    listed,
    log_axis,
    panels,
    reference_lines,
    shorten,
)
from i2ibench.report.style import RULE, TERM_COLOURS, Looks, figure, house

PLAYER_STYLES = ("-", "--", ":", "-.")
PLAYER_DOTS = ("o", "x", "^", "+")  # where there is no line to see, of one point
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
        for ax, label in zip(panels(drawing, len(labels), columns), labels, strict=True):
            _curve_panel(ax, label, points[points["label"] == label], looks)
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
    # Generators first, whoever moves first: the same line in all panels.
    players = sorted(points["player"].unique(), key=lambda player: "discriminator" in player)
    for i, player in enumerate(players):
        for j, (term, group) in enumerate(points[points["player"] == player].groupby("term", sort=False)):
            table = _smooth(group.pivot_table(index="step", columns="seed", values="value"))
            colour, style = TERM_COLOURS[j % len(TERM_COLOURS)], PLAYER_STYLES[i % len(PLAYER_STYLES)]
            dot = PLAYER_DOTS[i % len(PLAYER_DOTS)] if len(table) == 1 else None
            ax.plot(
                table.index, table.mean(axis=1), color=colour, linestyle=style, marker=dot, linewidth=1.5,
                label=f"{player}: {term}",
            )  # fmt: skip
            if table.shape[1] > 1:
                ax.fill_between(
                    table.index, table.min(axis=1), table.max(axis=1), color=colour, alpha=0.15, linewidth=0
                )
    positive = (points["value"] > 0).all()
    ax.set_ylabel("loss (log)" if positive else "loss")
    if positive:
        log_axis(ax.yaxis, "{:g}".format, points["value"].min(), points["value"].max())
    ax.set_title(shorten(label, 40), x=0.05)
    ax.plot(0.018, 1.075, marker="s", markersize=8, color=looks.colours[label], transform=ax.transAxes, clip_on=False)
    ax.set_xlim(0, 1.03 * points["step"].max())
    _time_axes(ax, points)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.04), fontsize=8, handlelength=1.8, labelspacing=0.25)


def _time_axes(ax: Axes, points: pd.DataFrame) -> None:
    """Wall time, and GPU-hours where there was a GPU, below the steps: a training runs at an even pace."""
    ends = points.sort_values("step").groupby("seed").last()
    last = ends.iloc[-1]
    ax.set_xlabel("training step", labelpad=1)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    pace = (ends["seconds"] / ends["step"].where(ends["step"] > 0)).mean()  # over the seeds, as the line is
    if pd.isna(pace) or pace <= 0:
        return
    unit, size = _time_unit(pace * ends["step"].max())
    scales = [(f"wall time ({unit})", pace / size)]
    if last["gpus"] > 0:
        scales.append(("GPU-hours", pace / 3600 * last["gpus"]))
    for i, (title, factor) in enumerate(scales, 1):
        axis = ax.secondary_xaxis(-0.22 * i, functions=(_times(factor), _times(1 / factor)))
        axis.set_xlabel(title, labelpad=1)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.spines["bottom"].set_color(RULE)


def _time_unit(seconds: float) -> tuple[str, float]:
    return ("hours", 3600.0) if seconds > 7200 else ("min", 60.0) if seconds > 120 else ("s", 1.0)


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda x: x * factor


def _smooth(table: pd.DataFrame) -> pd.DataFrame:
    """A running mean over about 5 % of the curve, then at most CURVE_POINTS of its points."""
    smooth = table.rolling(max(1, len(table) // 20), min_periods=1, center=True).mean()
    return smooth.iloc[evenly_spaced(len(smooth), CURVE_POINTS)]


def metrics(board: Board, points: pd.DataFrame, looks: Looks) -> Drawing | None:
    """Scores against training, of the methods that were scored on their way: by steps, by time, and by GPU-hours.

    Args:
        points: from `learning.points`, of this data set.
    """
    scored = set(points["label"])
    labels = [row.label for row in board.rows if row.label in scored][:SHOWN]
    found = [c for c in board.scores if c.name in set(points["metric"])]
    columns = ([c for c in found if not c.unsound] or found)[:3]
    if not labels or not columns:
        return None
    unit, size = _time_unit(points["seconds"].max())
    scales = [("training step", "step", 1.0), (f"wall time ({unit})", "seconds", size)]
    if (points["device"] == "GPU").all():
        scales.append(("GPU-hours", "device_hours", 1.0))
    with house():
        drawing = figure(11, 0.6 + 2.9 * len(scales))
        axes = drawing.subplots(len(scales), len(columns), squeeze=False, sharey="col")
        for column, across in zip(columns, axes.T, strict=True):
            own = points[points["metric"] == column.name]
            for ax, (title, name, divisor) in zip(across, scales, strict=True):
                for label in labels:
                    _metric_line(ax, label, own[own["label"] == label], name, divisor, looks)
                reference_lines(ax, column, board.references, named=True)
                ax.set(xlabel=title)
                ax.margins(x=0.03)
            across[0].set(title=f"{column.head} {column.arrow}")
            if not column.higher_is_better and own["value"].min() > 0:
                log_axis(across[0].yaxis, "{:g}".format, own["value"].min(), own["value"].max())
        legend_above(drawing, axes[0, 0])
    return Drawing(
        f"progress-{board.slug}",
        "Scores while training",
        "The networks as they were on the way, scored like the final ones: same test images, same protocol. The line "
        "is the mean over seeds, up to the last step that all have (the end is the leaderboard's score); the band "
        "spans them. Where learning rates decay, an early point is not what a training of that length would reach; and "
        "to choose the best point by these test scores would flatter it. Dotted lines are the references, which do not "
        "train." + (f" Shown are the first {SHOWN} of {len(scored)} methods." if len(scored) > SHOWN else ""),
        f"{listed([column.title for column in columns])} on {board.data} against "
        f"{listed([title for title, _, _ in scales])}: " + "; ".join(_ends(points, columns[0], labels)) + ".",
        drawing,
    )


def _metric_line(ax: Axes, label: str, points: pd.DataFrame, name: str, divisor: float, looks: Looks) -> None:
    values = _by_step(points)
    if values.empty:
        return
    xs = _ended(points).groupby("step")[name].mean().loc[values.index] / divisor
    colour = looks.colours[label]
    if values.shape[1] > 1:
        ax.fill_between(xs, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.15, linewidth=0)
    ax.plot(
        xs, values.mean(axis=1), color=colour, marker=looks.markers[label], markeredgecolor="white", markersize=8,
        markevery=[len(xs) - 1], label=shorten(label),
    )  # fmt: skip
    ax.plot(xs, values.mean(axis=1), color=colour, linestyle="none", marker=".", markersize=5)


def _by_step(points: pd.DataFrame) -> pd.DataFrame:
    """The values of one method's seeds: at the steps that all of them have, or the mean would jump where one ends."""
    return _ended(points).pivot_table(index="step", columns="seed", values="value").dropna()


def _ended(points: pd.DataFrame) -> pd.DataFrame:
    """Without the seeds that are not scored to their end yet, if there are others."""
    ended = points["seed"].isin(points["seed"][points["final"].astype(bool)])
    return points[ended] if ended.any() else points


def _ends(points: pd.DataFrame, column: Column, labels: Sequence[str]) -> list[str]:
    """What each line does, in words: "pix2pix from 0.2 at step 100 to 0.03 at step 600"."""
    own = points[points["metric"] == column.name]
    told = []
    for label in labels:
        means = _by_step(own[own["label"] == label]).mean(axis=1)
        if len(means):
            first, last = (f"{means.iloc[i]:.3g} at step {means.index[i]:,}" for i in (0, -1))
            told.append(f"{label} from {first} to {last}")
    return told

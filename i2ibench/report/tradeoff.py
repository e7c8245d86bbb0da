"""The figure of what quality costs: training time, speed and size, with the methods that nobody beats in both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from i2ibench.report.board import Board, Column, Row
from i2ibench.report.drawing import Drawing, left_out, legend_above, listed, log_axis, reference_lines, shorten, top
from i2ibench.report.style import INK, Looks, figure, house
from i2ibench.statistics import Summary, pareto

AGAINST = ("train_seconds", "translate_images_per_second", "parameters")


def tradeoff(board: Board, looks: Looks) -> Drawing | None:
    """Two scores (LPIPS and KID or FID, where they are) against every cost there is, with their Pareto fronts."""
    rows = top(board)
    costs = [c for name in AGAINST for c in board.columns if c.name == name and any(row.mean(name) > 0 for row in rows)]
    wanted = ("lpips", "kid" if any(c.unsound for c in board.scores) else "fid")
    scores = sorted(board.scores, key=lambda column: (column.unsound, column.name not in wanted))[:2]
    scores = [column for column in scores if any(row.cells.get(column.name) for row in rows)]
    if len(rows) < 2 or not costs or not scores:  # one method has nothing to trade against
        return None
    fronts: list[str] = []
    with house():
        drawing = figure(11, 0.6 + 3.3 * len(scores))
        axes = drawing.subplots(len(scores), len(costs), squeeze=False, sharey="row", sharex="col")
        for line, score in zip(axes, scores, strict=True):
            for ax, cost in zip(line, costs, strict=True):
                front = _panel(ax, cost, score, rows, board.references, looks, name=cost is costs[-1])
                fronts.append(f"{score.title} and {cost.title.lower()}: {listed(front)}")
            line[0].set_ylabel(f"{score.head} {score.arrow}")
        for ax, cost in zip(axes[-1], costs, strict=True):
            unit = f" ({cost.unit}, log)" if cost.unit not in ("", "1/s") else " (log)"  # "img/s" says it already
            ax.set_xlabel(f"{cost.title}{unit} {cost.arrow}")
        legend_above(drawing, axes[0, 0])
    return Drawing(
        f"tradeoff-{board.slug}",
        "Cost against quality",
        "Means of each method; thin lines span the seeds. On the grey steps, in full colour, are the methods that no "
        "other beats in both (Pareto front of the means). Dotted lines are the references, which do not train."
        + left_out(board),
        f"Cost against quality on {board.data}. On the Pareto fronts of {'; '.join(fronts)}.",
        drawing,
    )


def _panel(
    ax: Axes, cost: Column, score: Column, rows: Sequence[Row], references: Sequence[Row], looks: Looks, *, name: bool
) -> list[str]:
    """Draw one pair and return the labels on its front, by cost."""
    points = np.array([[row.mean(cost.name), row.mean(score.name)] for row in rows])
    usable = np.isfinite(points).all(axis=1) & (points[:, 0] > 0)
    kept = [row for row, good in zip(rows, usable, strict=True) if good]
    points = points[usable]
    if not kept:
        return []
    signs = np.array([-1 if cost.higher_is_better else 1, -1 if score.higher_is_better else 1])
    best = pareto(points * signs)
    order = [i for i in np.argsort(points[:, 0] * signs[0], kind="stable") if best[i]]
    _front(ax, points[order], signs)
    for i, row in enumerate(kept):
        x, y = row.cells[cost.name], row.cells[score.name]
        assert x is not None
        assert y is not None
        _point(ax, row, x, y, bool(best[i]), looks)
    reference_lines(ax, score, references, named=name)
    log_axis(ax.xaxis, _amount, float(points[:, 0].min()), float(points[:, 0].max()))
    ax.margins(0.12)
    return [kept[i].label for i in order]


def _front(ax: Axes, points: np.ndarray, signs: np.ndarray) -> None:
    """What no method of the front is beaten by, as steps from the one edge to the other: far beyond what is shown."""
    (first_x, _), (_, last_y) = points[0], points[-1]
    far_x, far_y = points[0, 0] * 1e6 ** signs[0], points[0, 1] + 1e6 * signs[1] * abs(points[0, 1])
    xs, ys = [first_x, *points[:, 0], far_x], [far_y, *points[:, 1], last_y]
    # An artist and no plot: the axes should not grow to its ends.
    ax.add_artist(Line2D(xs, ys, drawstyle="steps-post", color="#b4bac4", linewidth=2.5, zorder=1))


def _point(ax: Axes, row: Row, x: Summary, y: Summary, on_front: bool, looks: Looks) -> None:
    colour, alpha = looks.colours[row.label], 1.0 if on_front else 0.4
    ax.hlines(y.mean, min(x.values), max(x.values), color=colour, linewidth=1.2, alpha=alpha)
    ax.vlines(x.mean, min(y.values), max(y.values), color=colour, linewidth=1.2, alpha=alpha)
    ax.plot(
        x.mean, y.mean, linestyle="none", marker=looks.markers[row.label], markersize=9, color=colour, alpha=alpha,
        markeredgecolor=INK if on_front else "white", label=shorten(row.label), zorder=3,
    )  # fmt: skip


def _amount(value: float) -> str:
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"

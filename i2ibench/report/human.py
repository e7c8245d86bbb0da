"""The human study in a report: what raters preferred and took for real, as a figure."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from i2ibench.report.board import Board
from i2ibench.report.drawing import SHOWN, Drawing, shorten
from i2ibench.report.style import INK, MUTED, Looks, figure, house
from i2ibench.study import words
from i2ibench.study.analysis import Fooling, Preferred


def drawing(board: Board, looks: Looks) -> Drawing | None:
    """Preference and fooling rate of each method, with intervals; None where nobody was asked."""
    found = board.human
    if found is None or not (found.preferred or found.fooling):
        return None
    panels: list[tuple[str, Sequence[Preferred | Fooling]]] = []
    if found.preferred:
        panels.append(("preferred to another method", found.preferred[:SHOWN]))
    if found.fooling:
        panels.append(("taken for the real image", found.fooling[:SHOWN]))
    with house():
        made = figure(11, 1.1 + 0.34 * max(len(rows) for _, rows in panels))
        axes = made.subplots(1, len(panels), squeeze=False)[0]
        for ax, (title, rows) in zip(axes, panels, strict=True):
            _panel(ax, title, rows, looks)
    told = "; ".join(
        f"{title}: " + ", ".join(f"{row.label} {words.share(row.share)}" for row in rows) for title, rows in panels
    )
    return Drawing(
        f"human-{board.slug}",
        "What people chose",
        "Shares of the answers with their 95% intervals over raters and images. The dotted line is what chance gives: "
        "no preference, or outputs that nobody can tell from real images.",
        f"Human study on {board.data}. {told}.",
        made,
    )


def _panel(ax: Axes, title: str, rows: Sequence[Preferred | Fooling], looks: Looks) -> None:
    ax.axvline(50, color=MUTED, linewidth=1, linestyle=":", zorder=0)
    for y, row in enumerate(rows):
        colour = looks.colours.get(row.label, MUTED)
        if row.share.low is not None and row.share.high is not None:
            ax.hlines(y, 100 * row.share.low, 100 * row.share.high, color=colour, linewidth=2.2)
        ax.plot(
            100 * row.share.value, y, marker=looks.markers.get(row.label, "o"), markersize=8, color=colour,
            markeredgecolor=INK,
        )  # fmt: skip
    ax.set_yticks(range(len(rows)), [shorten(row.label) for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(-3, 103)
    ax.set_xlabel(f"% of answers: {title}")
    ax.grid(axis="y", visible=False)

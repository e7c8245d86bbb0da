"""A drawing: a figure with its words for who does not see it, saved as PNG, SVG and PDF; and its small helpers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from i2ibench.report.board import Board, Column, Row
from i2ibench.report.style import MUTED, REFERENCE_COLOUR, Looks, house

if TYPE_CHECKING:
    from i2ibench.plan import Plan

SHOWN = 12  # methods in a figure: more cannot be told apart by colour and marker


@dataclass(frozen=True)
class Saved:
    """A figure whose files are written."""

    name: str  # of its files, without suffix
    title: str
    caption: str
    alt: str
    raster: bool = False  # made of pixels: the page shows its PNG, not its SVG


@dataclass(frozen=True)
class Drawing:
    """A figure with what a reader who does not see it needs; the fields are those of `Saved`."""

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    raster: bool = False

    def save(self, folder: Path) -> Saved:
        """Write name.png, name.svg and name.pdf.

        Laid out once and drawn thrice; `savefig` would do the one thrice and the other often, a second per figure.
        """
        with house():
            layout = self.figure.get_layout_engine()
            if layout is not None:
                layout.execute(self.figure)
                self.figure.set_layout_engine("none")
            place = folder / self.name
            FigureCanvasAgg(self.figure).print_png(f"{place}.png", pil_kwargs={"compress_level": 4})
            FigureCanvasSVG(self.figure).print_svg(f"{place}.svg", metadata={"Date": None})
            FigureCanvasPdf(self.figure).print_pdf(f"{place}.pdf", metadata={"CreationDate": None})
        return Saved(self.name, self.title, self.caption, self.alt, self.raster)


def source(board: Board, plan: Plan) -> str:
    """What a figure says of its data set: its name, where there are several. Figures leave the page that says it."""
    return f"data set: {board.data}" if len(plan.data) > 1 else ""


def say_below(figure: Figure, words: str) -> None:
    """A line under a figure's axes, at its left edge."""
    with house():
        figure.supxlabel(words, x=0.0, ha="left", size=9.5, color=MUTED)


def top(board: Board) -> list[Row]:
    """The rows that figures show: the first SHOWN of the board that finished."""
    return [row for row in board.rows if row.state == "done"][:SHOWN]


def left_out(board: Board, shown: int = SHOWN) -> str:
    """A sentence for captions where a figure does not show every row; "" where it does."""
    done = sum(row.state == "done" for row in board.rows)
    return f" Shown are the first {shown} of {done} methods." if done > shown else ""


def log_axis(axis: Axis, text: Callable[[float], str], low: float, high: float) -> None:
    """A logarithmic axis with ticks that can be read: as few to a decade as there are decades, even ones within one."""
    if high < 1.02 * low:  # one value: a scale has nothing to say
        axis.set_major_locator(FixedLocator([low]))
        axis.set_major_formatter(lambda value, _: text(float(f"{value:.3g}")))
        return
    axis._set_axes_scale("log")  # type: ignore[attr-defined]
    if high / low > 4:
        few = (1.0,) if high / low > 300 else (1.0, 3.0) if high / low > 12 else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=few))
    else:
        ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
        axis.set_major_locator(FixedLocator([tick for tick in ticks if 0.9 * low <= tick <= 1.1 * high]))
    axis.set_major_formatter(lambda value, _: text(value))
    axis.set_minor_locator(NullLocator())


def reference_lines(ax: Axes, score: Column, references: Sequence[Row], *, named: bool) -> None:
    """Dotted lines where the references stand, with their names at the right edge if there is room for them."""
    for row in references:
        cell = row.cells.get(score.name)
        if cell is None or not math.isfinite(cell.mean):
            continue
        ax.axhline(cell.mean, color=REFERENCE_COLOUR, linewidth=1, linestyle=":", zorder=0)
        if named:
            ax.annotate(
                row.label, (1, cell.mean), xycoords=("axes fraction", "data"), xytext=(4, 0),
                textcoords="offset points", va="center", color=MUTED, fontsize=8.5, annotation_clip=False,
            )  # fmt: skip


def joined_rows(ax: Axes, score: Column, points: Sequence[tuple[float, Row]], name: str, looks: Looks) -> list[float]:
    """Rows at their places, joined by a line in the first one's colour; bars span the seeds. Returns the places."""
    found = [(x, cell) for x, row in points if (cell := row.cells.get(score.name)) is not None]
    if not found:
        return []
    xs, colour, marker = [x for x, _ in found], *(look[points[0][1].label] for look in (looks.colours, looks.markers))
    means, spans = [cell.mean for _, cell in found], [(min(cell.values), max(cell.values)) for _, cell in found]
    ax.plot(xs, means, color=colour, marker=marker, markeredgecolor="white", markersize=8, label=name)
    ax.vlines(xs, *zip(*spans, strict=True), color=colour, linewidth=1.2)
    return xs


def panels(figure: Figure, count: int, columns: int, *, sharey: bool = False) -> list[Axes]:
    """That many axes, in lines of `columns`."""
    axes = figure.subplots(math.ceil(count / columns), columns, squeeze=False, sharey=sharey).flat
    for spare in axes[count:]:
        spare.set_visible(False)
    return list(axes[:count])


def legend_above(figure: Figure, ax: Axes, most: int = 6) -> None:
    """Name what one of the axes shows above them all, in lines of `most` names."""
    handles, names = ax.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=legend_columns(len(names), most))


def legend_columns(entries: int, most: int = 6) -> int:
    """How many columns let a legend fill its lines evenly: 7 entries are 4 and 3, and not 2 under the first of 6."""
    return math.ceil(entries / math.ceil(entries / most)) if entries else 1


def shorten(words: str, limit: int = 26) -> str:
    """Words that fit into a figure. A space of no width before a "_" keeps matplotlib from leaving the name out."""
    shown = words if len(words) <= limit else words[: limit - 1] + "…"
    return f"\u200b{shown}" if shown.startswith("_") else shown


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: a, b and c."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else "none"

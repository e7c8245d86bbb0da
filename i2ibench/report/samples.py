"""The sample grid: input | target | every method, on the same test images, enlarged without smoothing."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from i2ibench.report.figures import Drawing, shorten
from i2ibench.report.leaderboard import Board
from i2ibench.report.style import INK, MUTED, Looks, figure, house

if TYPE_CHECKING:
    from i2ibench.data.source import Images
    from i2ibench.plan import Plan
    from i2ibench.store import Store

ROWS = 8
GUTTER = 6  # pixels between images
CELL = 116  # least width of an enlarged image, so that the labels above fit
DPI = 100


def grid(board: Board, plan: Plan, store: Store, images: Images, looks: Looks, rows: int = ROWS) -> Drawing | None:
    """The first seed of every ranked method on test images spaced evenly over the split: chosen by no one's looks.

    Reference rows are left out: `copy` would repeat the input, and `oracle` shows images that belong to other inputs.
    """
    columns = _outputs(board, plan, store, images.test_a.shape)
    if not columns:
        return None
    count = len(images.test_a)
    chosen = np.unique(np.linspace(0, count - 1, min(rows, count)).round().astype(int))
    shown = [("input", images.test_a), *([("target", images.test_b)] if images.paired else []), *columns]
    cells = [[np.asarray(array[i]) for _, array in shown] for i in chosen]
    names = [images.test_names[i] for i in chosen]
    methods = [label for label, _ in columns]
    fixed = "input, target and" if images.paired else "input and"
    return Drawing(
        f"samples-{board.slug}",
        "Samples",
        f"{len(chosen)} of {count} test images, evenly spaced; the first seed of each method, in the order of the "
        "leaderboard. Enlarged without smoothing.",
        f"Grid of {fixed} the translations by {', '.join(methods)} for {len(chosen)} test images of {board.data}.",
        _draw(cells, [label for label, _ in shown], names, looks),
        raster=True,
    )


def _outputs(board: Board, plan: Plan, store: Store, shape: tuple[int, ...]) -> list[tuple[str, np.ndarray]]:
    """Label and translated test images of each ranked method that has them, in the order of the board."""
    found: dict[str, np.ndarray] = {}
    for spec in plan.trials:
        if spec.data == board.data and not spec.reference and spec.label not in found:
            outputs = store.trial(spec.id).outputs()
            if outputs is not None and outputs.shape == shape:  # a failed trial may have left others
                found[spec.label] = outputs
    return [(row.label, found[row.label]) for row in board.rows if row.label in found]


def _draw(cells: Sequence[Sequence[np.ndarray]], labels: Sequence[str], names: Sequence[str], looks: Looks) -> Figure:
    canvas, pitch = _canvas(cells)
    titles = ["\n".join(shorten(line, 16) for line in textwrap.wrap(label, 15)[:2]) for label in labels]
    left, top, edge = 74, 34 + 16 * max(title.count("\n") for title in titles), 6  # margins in pixels
    width, height = left + canvas.shape[1] + edge, top + canvas.shape[0] + edge

    def at(x: float, y: float) -> tuple[float, float]:
        """Pixels right of the images' left and above their top edge, as shares of the figure."""
        return (left + x) / width, 1 - (top - y) / height

    half = (pitch - GUTTER) / 2
    with house():
        drawing = figure(width / DPI, height / DPI, constrained=False)
        drawing.set_dpi(DPI)
        drawing.figimage(canvas, left, edge)  # pixel for pixel
        for i, (label, title) in enumerate(zip(labels, titles, strict=True)):
            centre = i * pitch + half
            drawing.text(*at(centre, 10), title, ha="center", va="bottom", size=9.5, weight="bold", color=INK)
            if label in looks.colours and i:
                ends = zip(at(centre - half, 5), at(centre + half, 5), strict=True)
                drawing.add_artist(Line2D(*ends, color=looks.colours[label], linewidth=3, solid_capstyle="butt"))
        for i, name in enumerate(names):
            drawing.text(*at(-8, -i * pitch - half), shorten(name, 10), ha="right", va="center", size=8, color=MUTED)
    return drawing


def _canvas(cells: Sequence[Sequence[np.ndarray]]) -> tuple[np.ndarray, int]:
    """The images side by side on white, each pixel a square of several; and the distance from one to the next."""
    zoom = max(1, -(-CELL // cells[0][0].shape[1]))
    side = cells[0][0].shape[1] * zoom
    pitch = side + GUTTER
    canvas = np.full((len(cells) * pitch - GUTTER, len(cells[0]) * pitch - GUTTER, 3), 255, np.uint8)
    for y, line in enumerate(cells):
        for x, image in enumerate(line):
            canvas[y * pitch : y * pitch + side, x * pitch : x * pitch + side] = image.repeat(zoom, 0).repeat(zoom, 1)
    return canvas, pitch

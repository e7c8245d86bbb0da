"""Grids of images: side by side on white, pixel for pixel or reduced, with column titles and row names."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from i2ibench.report.drawing import shorten
from i2ibench.report.style import INK, MUTED, figure, house

GUTTER = 6  # pixels between images
CELL = 116  # least width of an image, so that the labels above fit; smaller ones are enlarged
LARGEST = 192  # and the most; larger ones are reduced: whole ones lie in the store
NOTE = 14  # pixels for the line of text under an image
DPI = 100

Cells = Sequence[Sequence[np.ndarray | None]]


def draw(
    cells: Cells,
    titles: Sequence[str],
    names: Sequence[str],
    colours: Mapping[int, str],
    notes: Sequence[Sequence[str]] | None = None,
    source: str = "",
) -> Figure:
    """A figure of rows of images, uint8 (H, W, 3); None leaves a place empty, and smaller ones stand in the middle.

    Args:
        names: of the rows; may have two lines.
        colours: of a bar under the titles of some columns.
        notes: a line of text under each image.
        source: a line under them all.
    """
    seen = [[None if image is None else _resized(image) for image in row] for row in cells]
    side = max(max(image.shape[:2]) for row in seen for image in row if image is not None)
    across, down = side + GUTTER, side + GUTTER + (NOTE if notes else 0)
    canvas = _canvas(seen, side, across, down)
    wrapped = ["\n".join(shorten(line, 16) for line in textwrap.wrap(title, 15)[:2]) for title in titles]
    left, above, edge = 82, 34 + 16 * max(title.count("\n") for title in wrapped), 6  # margins in pixels
    below = edge + (22 if source else 0)
    width, height = left + canvas.shape[1] + edge, above + canvas.shape[0] + below

    def at(x: float, y: float) -> tuple[float, float]:
        """Pixels right of the images' left and above their top edge, as shares of the figure."""
        return (left + x) / width, 1 - (above - y) / height

    with house():
        drawing = figure(width / DPI, height / DPI, constrained=False)
        drawing.set_dpi(DPI)
        place = drawing.add_axes((left / width, below / height, canvas.shape[1] / width, canvas.shape[0] / height))
        place.imshow(canvas, aspect="auto", interpolation="none")  # pixel for pixel; `figimage` is so in a PNG alone
        place.axis("off")
        drawing.text(*at(edge - left, above - height + 4), source, va="bottom", size=9.5, color=MUTED)
        for i, title in enumerate(wrapped):
            start = i * across
            drawing.text(*at(start + side / 2, 10), title, ha="center", va="bottom", size=9.5, weight="bold", color=INK)
            if i in colours:
                ends = zip(at(start, 5), at(start + side, 5), strict=True)
                drawing.add_artist(Line2D(*ends, color=colours[i], linewidth=3, solid_capstyle="butt"))
        for j, name in enumerate(names):
            lines = "\n".join(shorten(line, 11) for line in name.split("\n"))
            drawing.text(*at(-8, -j * down - side / 2), lines, ha="right", va="center", size=8, color=MUTED)
            for i, note in enumerate(notes[j] if notes else ()):
                drawing.text(
                    *at(i * across + side / 2, -j * down - side - 2), note, ha="center", va="top", size=8, color=MUTED
                )
    return drawing


def _canvas(cells: Cells, side: int, across: int, down: int) -> np.ndarray:
    """White, with each image in the middle of a square of its own."""
    canvas = np.full((len(cells) * down - GUTTER, max(map(len, cells)) * across - GUTTER, 3), 255, np.uint8)
    for y, line in enumerate(cells):
        for x, image in enumerate(line):
            if image is not None:
                height, width = image.shape[:2]
                top, left = y * down + (side - height) // 2, x * across + (side - width) // 2
                canvas[top : top + height, left : left + width] = image
    return canvas


def _resized(image: np.ndarray) -> np.ndarray:
    """A small image with each pixel a square of several; a large one reduced."""
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer > LARGEST:
        size = round(width * LARGEST / longer), round(height * LARGEST / longer)
        return np.asarray(Image.fromarray(np.asarray(image)).resize(size, Image.Resampling.LANCZOS))
    zoom = max(1, -(-CELL // longer))
    return np.asarray(image).repeat(zoom, 0).repeat(zoom, 1)

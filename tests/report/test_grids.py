"""Images of a grid stand under their titles in every format, and keep each of their pixels."""

import re
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from i2ibench.report import grids
from i2ibench.report.drawing import Drawing


def test_images_are_where_their_titles_are_in_png_svg_and_pdf(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 3, grids.CELL, grids.CELL, 3), dtype=np.uint8)
    figure = grids.draw([[*row] for row in noise], ["input", "target", "ours"], ["one", "two"], {})
    Drawing("grid", "", "", "", figure, raster=True).save(tmp_path)

    png = np.asarray(Image.open(tmp_path / "grid.png").convert("RGB"))
    step = grids.CELL + grids.GUTTER
    width, height = 3 * step - grids.GUTTER, 2 * step - grids.GUTTER
    left, bottom = png.shape[1] - width - 6, 6  # the margins
    top = png.shape[0] - height - bottom
    for j, row in enumerate(noise):
        for i, image in enumerate(row):
            y, x = top + j * step, left + i * step
            np.testing.assert_array_equal(png[y : y + grids.CELL, x : x + grids.CELL], image)

    points = 72 / grids.DPI
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", (tmp_path / "grid.pdf").read_bytes(), re.DOTALL)
    (page,) = [text for text in map(_inflated, streams) if b" Do" in text]
    (placed,) = re.findall(rb"1 0 0 1 (\S+) (\S+) cm (\S+) 0 0 (\S+) 0 \S+ cm /I1 Do", page)
    expected = [left * points, bottom * points, width * points, -height * points]
    np.testing.assert_allclose([float(number) for number in placed], expected, atol=0.01)

    svg = (tmp_path / "grid.svg").read_text()
    (shown,) = re.findall(r'width="(\d+)" height="(\d+)" transform="matrix\((\S+) 0 0 (\S+) (\S+) (\S+)\)"', svg)
    expected = [width, height, points, points, left * points, top * points]
    np.testing.assert_allclose([float(number) for number in shown], expected, atol=0.01)


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""

"""Scores against training as a figure: what its lines are, and what it says to who does not see it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from i2ibench import frames, learning
from i2ibench.report import curves, leaderboard
from i2ibench.report.board import Board
from i2ibench.report.drawing import legend_columns
from i2ibench.report.style import Looks


@pytest.fixture
def board(benchmark: Any) -> Board:
    for label in ("pix2pix", "VAE"):
        benchmark.method(label, 0.5)
    benchmark.references()
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    return board


def points(device: str = "core") -> pd.DataFrame:
    """Two seeds of pix2pix, of which one ran longer, one that is being scored, and one of the VAE."""
    rows = [
        (label, seed, step, step / (2 + seed), value + seed)
        for label, seed, steps, value in (("pix2pix", 0, (100, 200), 0.2), ("pix2pix", 1, (100, 200, 300), 0.2),
                                          ("pix2pix", 2, (100,), 0.9),
                                          ("VAE", 0, (100,), 0.5))
        for step in steps
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["label", "seed", "step", "seconds", "value"])
    ends = {("pix2pix", 0, 200), ("pix2pix", 1, 300)}
    table["final"] = [(row.label, row.seed, row.step) in ends for row in table.itertuples()]
    return table.assign(data="glyphs", metric="lpips", device=device, device_hours=table["seconds"] / 7200)


def test_lines_are_means_over_seeds_where_all_have_points(board: Board) -> None:
    drawing = curves.metrics(board, points(), Looks(["pix2pix", "VAE"], ["copy", "oracle"]))
    assert drawing is not None
    steps, seconds = drawing.figure.axes
    by_label = {line.get_label(): line for line in steps.get_lines()}
    np.testing.assert_allclose(by_label["pix2pix"].get_xydata(), [(100, 0.7), (200, 0.7)])
    np.testing.assert_allclose(by_label["VAE"].get_xydata(), [(100, 0.5)])
    in_time = next(line for line in seconds.get_lines() if line.get_label() == "pix2pix")
    np.testing.assert_allclose(in_time.get_xdata(), [(50 + 100 / 3) / 2, (100 + 200 / 3) / 2])
    (band,) = steps.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.2, 1.2))
    assert [text.get_text() for text in steps.texts] == ["copy"], "oracle has no LPIPS"
    assert "pix2pix from 0.7 at step 100 to 0.7 at step 200" in drawing.alt


def test_gpu_hours_where_all_trained_on_gpus(board: Board) -> None:
    looks = Looks(["pix2pix", "VAE"], ["copy", "oracle"])
    drawing = curves.metrics(board, points("GPU"), looks)
    assert drawing is not None
    assert [ax.get_xlabel() for ax in drawing.figure.axes] == ["training step", "wall time (s)", "GPU-hours"]
    assert "GPU-hours" in drawing.alt
    assert curves.metrics(board, points()[:0], looks) is None
    empty = pd.DataFrame(columns=list(learning.COLUMNS))
    assert curves.metrics(board, empty, looks) is None


def test_a_loss_of_one_point_is_a_dot(board: Board) -> None:
    """A line of one point shows nothing: its legend would stand beside an empty panel."""
    rows = [
        ("pix2pix", 0, step, step / 9, "generator", term, 1.0, 0.0)
        for term, steps in (("gan", (40,)), ("l1", (20, 40)))
        for step in steps
    ]
    table = pd.DataFrame(rows, columns=["label", "seed", "step", "seconds", "player", "term", "value", "gpus"])
    drawing = curves.curves(board, table, Looks(["pix2pix", "VAE"], ["copy", "oracle"]))
    assert drawing is not None
    marks = {line.get_label(): line.get_marker() for line in drawing.figure.axes[0].get_lines()}
    assert (marks["generator: gan"], marks["generator: l1"]) == ("o", "None")


def test_a_legend_fills_its_lines_evenly() -> None:
    assert [legend_columns(entries) for entries in (0, 1, 6, 7, 13)] == [1, 1, 6, 4, 5]

"""Scores against budget: which rows and data sets belong together, and where they are drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from i2ibench import frames
from i2ibench.data.shapes import ShapeParams, Shapes
from i2ibench.plan import DataPlan
from i2ibench.report import budget, leaderboard
from i2ibench.report.style import Looks

LOOKS = Looks(["pix2pix", "VAE"], ["copy", "oracle"])


def boards(benchmark: Any) -> list[Any]:
    return leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)


def test_data_sets_that_differ_in_training_images_alone_make_one_figure(benchmark: Any) -> None:
    metrics = benchmark.plan.data["glyphs"].metrics
    for label, size, n, quality in (("many", 32, 1000, 0.7), ("few", 32, 40, 0.4), ("large", 64, 40, 0.5)):
        source = Shapes(ShapeParams(size=size, train_images=n))
        entry = DataPlan(label, "benchmark.yaml:3", source, "5eed", metrics)
        benchmark.plan = replace(benchmark.plan, data=benchmark.plan.data | {label: entry})
        benchmark.data, benchmark.images[label] = label, benchmark.images["glyphs"]
        benchmark.method("pix2pix", quality)
        benchmark.references()
    benchmark.method("VAE", 0.5)  # on one of them alone
    made = boards(benchmark)
    drawings = {board.data: budget.images(board, made, benchmark.plan, LOOKS) for board in made}
    assert [data for data, drawing in drawings.items() if drawing] == ["many"]
    _, kid, lpips = drawings["many"].figure.axes
    (line,) = [line for line in lpips.get_lines() if line.get_label() == "pix2pix"]
    rows = {board.data: row for board in made for row in board.rows if row.label == "pix2pix"}
    expected = [(n, rows[data].cells["lpips"].mean) for n, data in ((40, "few"), (1000, "many"))]
    np.testing.assert_allclose(line.get_xydata(), expected)
    assert kid.get_xscale() == "log"
    assert drawings["many"].figure.get_supxlabel() == "data sets: few and many"
    assert "after training on 40 and 1,000 images: pix2pix." in drawings["many"].alt


def test_rows_that_differ_in_steps_alone_are_joined(benchmark: Any) -> None:
    for label, steps, more in (("pix2pix", 500, {"log_every": 50}), ("pix2pix long", 900, {"log_every": 10}),
                               ("pix2pix other", 700, {"ema": 0.9})):  # fmt: skip
        benchmark.method(label, steps / 1000)
        done = benchmark.plan.trials[-2:]
        training = {"steps": steps, **more}
        changed = tuple(replace(spec, params={}, training=training) for spec in done)
        benchmark.plan = replace(benchmark.plan, trials=(*benchmark.plan.trials[:-2], *changed))
    (board,) = boards(benchmark)
    looks = Looks(["pix2pix", "pix2pix long", "pix2pix other"], [])
    drawing = budget.steps(board, benchmark.plan, looks)
    assert drawing is not None
    assert drawing.alt.endswith("against training steps and time: pix2pix (500, 900 steps).")
    joined = [line for line in drawing.figure.axes[0].get_lines() if len(line.get_xdata()) > 1]
    assert [list(line.get_xdata()) for line in joined] == [[500, 900]]


def test_a_line_is_named_by_the_words_that_its_rows_share(benchmark: Any) -> None:
    for label in ("VAE (old)", "VAE (new)", "wide", "narrow"):
        benchmark.method(label, 0.5)
    rows = {row.label: row for row in boards(benchmark)[0].rows}
    assert budget._name([(20.0, rows["VAE (new)"]), (60.0, rows["VAE (old)"])]) == "VAE"
    assert budget._name([(20.0, rows["wide"]), (60.0, rows["narrow"])]) == "wide", "the method of the first"

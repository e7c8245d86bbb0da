"""The figure of sampler steps: which rows belong together, and what it draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from i2ibench import frames
from i2ibench.report import leaderboard, steps
from i2ibench.report.style import Looks

SCORES = {"fid": 60.0, "kid": 0.1, "lpips": 0.2, "ssim": 0.6, "psnr": 14.0}


def add(benchmark: Any, label: str, training: str, seeds: int = 2, **params: Any) -> None:
    """A row that is another's training, translated in its own way."""
    for seed in range(seeds):
        spec = benchmark.spec(label, seed, **params)
        shared = replace(spec, trained_as=f"{training}-s{seed}")
        benchmark.plan = replace(benchmark.plan, trials=(*benchmark.plan.trials[:-1], shared))
        speed = {"translate_images_per_second": 400 / params["sample_steps"]}
        values = SCORES | {"lpips": 0.1 + 0.2 / params["sample_steps"] + 0.005 * seed}
        benchmark.finish(shared, values, cost=speed | {"train_seconds": 9.0})


def of(benchmark: Any) -> tuple[Any, Looks]:
    plan, store = benchmark.plan, benchmark.store
    table = frames.frame(plan, store)
    (board,) = leaderboard.build(table, plan, frames.stamps(plan, store), frames.bounds(plan, store))
    return board, Looks([spec.label for spec in plan.trials], [row.label for row in board.references])


@pytest.fixture
def several(benchmark: Any) -> Any:
    """Two methods of which one training serves several rows, one that stands alone, and the references."""
    for n in (50, 4, 16):
        add(benchmark, f"Palette sample_steps={n}", "p", sample_steps=n, sampler="ddim", width=8)
    for eta in (0.0, 1.0):
        for n in (5, 20):
            add(benchmark, f"BBDM sample_steps={n} eta={eta}", "b", sample_steps=n, eta=eta)
    add(benchmark, "Palette wide", "w", sample_steps=4, sampler="ddim", width=16)
    benchmark.references()
    return benchmark


def test_rows_of_one_training_are_lines_along_the_number_that_they_differ_in(several: Any) -> None:
    board, _ = of(several)
    lines = {tuple(row.label for row in line.rows.values()): line for line in steps.families(board, several.plan)}
    assert {line.key for line in lines.values()} == {"sample_steps"}
    assert set(lines) == {
        ("Palette sample_steps=4", "Palette sample_steps=16", "Palette sample_steps=50"),
        *((f"BBDM sample_steps=5 eta={eta}", f"BBDM sample_steps=20 eta={eta}") for eta in (0.0, 1.0)),
    }
    palette = next(line for line in lines.values() if line.name == "Palette")
    assert list(palette.rows) == [4, 16, 50]
    assert [x for x, _ in palette.against(True)] == pytest.approx([0.01, 0.04, 0.125]), "seconds of an image"


def test_the_figure_shows_each_score_against_steps_and_time(several: Any, tmp_path: Any) -> None:
    board, looks = of(several)
    drawing = steps.steps(board, several.plan, looks)
    assert drawing is not None
    assert "Palette (sample_steps 4, 16, 50)" in drawing.alt
    upper, lower = drawing.figure.axes[:3], drawing.figure.axes[3:]
    lpips = next(ax for ax in upper if ax.get_title(loc="left").startswith("LPIPS"))
    drawn = {line.get_label(): line for line in lpips.get_lines()}
    assert {"Palette", "BBDM eta=0.0", "BBDM eta=1.0"} <= set(drawn)
    assert drawn["Palette"].get_xdata() == pytest.approx([4, 16, 50])
    assert drawn["Palette"].get_ydata() == pytest.approx([0.1025 + 0.2 / n for n in (4, 16, 50)])
    assert {ax.get_xlabel() for ax in lower} == {"seconds per image (log)"}
    drawing.save(tmp_path)
    assert np.asarray(Image.open(tmp_path / f"{drawing.name}.png")).std() > 5
    assert (tmp_path / f"{drawing.name}.svg").exists()


def test_a_board_without_such_rows_has_no_figure(benchmark: Any) -> None:
    benchmark.method("VAE", 0.4)
    add(benchmark, "Palette", "p", sample_steps=4, sampler="ddim")
    board, looks = of(benchmark)
    assert steps.steps(board, benchmark.plan, looks) is None

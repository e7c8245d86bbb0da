"""Who stands where, what a cell says, and the tables that are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from i2ibench import frames
from i2ibench.metrics.catalog import METRICS, headed
from i2ibench.report import leaderboard, tables, words
from i2ibench.report.board import Board, Column
from i2ibench.statistics import summarise

GOOD = {"fid": 10.0, "kid": 0.01, "lpips": 0.1, "ssim": 0.9, "psnr": 20.0}
BAD = {"fid": 90.0, "kid": 0.20, "lpips": 0.4, "ssim": 0.4, "psnr": 10.0}


def board(benchmark: Any) -> Board:
    (only,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    return only


def test_best_mean_rank_stands_first_whatever_the_order_of_the_file(benchmark: Any) -> None:
    benchmark.finish(benchmark.spec("bad", 0), BAD)
    benchmark.finish(benchmark.spec("good", 0), GOOD)
    first, second = board(benchmark).rows
    assert (first.label, first.mean_rank, first.best) == ("good", 1.0, frozenset(GOOD))
    assert (second.label, second.mean_rank, second.best) == ("bad", 2.0, frozenset())


@pytest.mark.parametrize(
    ("value", "shown"), [(-0.0002, "0.000"), (0.0, "0.000"), (-0.0006, "−0.001"), (float("nan"), "nan"), (2.0, "2.000")]
)
def test_a_score_of_nothing_has_no_sign(value: float, shown: str) -> None:
    """KID is unbiased, so that it is below 0 as often as above where there is no difference."""
    column = Column("kid", "KID", "", False, "", "score", 3)
    assert tables.number(column, value) == shown
    assert tables.number(column, np.float64(value)) == shown


def test_references_are_not_ranked_and_win_nothing(finished: Any) -> None:
    made = board(finished)
    assert [row.label for row in made.references] == ["copy", "oracle"]
    assert all(row.mean_rank is None and not row.best for row in made.references)
    assert made.rows[0].label == "pix2pix"
    assert "fid" in made.rows[0].best  # though oracle's is far lower


def test_what_is_scored_without_a_method_stands_among_the_references(finished: Any) -> None:
    bounds = {"glyphs": {"ssim": {"floor": 0.1, "copy": 0.2}, "psnr": {"floor": 5.0}, "cycle": {"floor": 0.0}}}
    (made,) = leaderboard.build(frames.frame(finished.plan, finished.store), finished.plan, bounds=bounds)
    floor, twin = made.references[2:]
    assert (floor.label, twin.label) == ("floor", "copy (no method)"), "two rows of one name would be one"
    means = {row.label: {name: cell.mean for name, cell in row.cells.items() if cell} for row in (floor, twin)}
    assert means == {"floor": {"ssim": 0.1, "psnr": 5.0}, "copy (no method)": {"ssim": 0.2}}
    assert floor.seeds == 0
    assert not floor.best
    assert "*floor*" in tables.to_markdown("benchmark", [made])


def test_oracle_has_no_paired_scores(finished: Any) -> None:
    oracle = board(finished).references[1]
    assert oracle.cells.get("fid") is not None
    assert oracle.cells.get("ssim") is None


def test_a_failed_seed_leaves_the_mean_of_the_others_and_a_reason(finished: Any) -> None:
    made = board(finished)
    unit = next(row for row in made.rows if row.label == "UNIT")
    assert (unit.seeds_done, unit.seeds, unit.state) == (1, 2, "done")
    assert unit.cells["fid"] == summarise([120.0])
    states = {(problem.label, problem.state) for problem in made.problems}
    assert states == {
        ("UNIT", "diverged"),
        ("<script>alert(1)</script>", "failed"),
        ("late", "waiting"),
        ("pix2pix on unpaired", "skipped"),
    }


def test_a_flag_stands_in_the_row_the_csv_and_the_markdown_with_its_reason(benchmark: Any) -> None:
    benchmark.finish(benchmark.spec("flat", 0), BAD, flags={"collapse": "all <alike>"})
    benchmark.finish(benchmark.spec("flat", 1), BAD, flags={"collapse": "again", "discriminator has won": "0.001"})
    benchmark.finish(benchmark.spec("well", 0), GOOD)
    made = board(benchmark)
    well, flat = made.rows
    assert flat.flags == {"collapse": "seed 0: all <alike>; seed 1: again", "discriminator has won": "seed 1: 0.001"}
    assert well.flags == {}
    assert [(note.label, note.seed, note.flag) for note in made.notes] == [
        ("flat", 0, "collapse"), ("flat", 1, "collapse"), ("flat", 1, "discriminator has won"),
    ]  # fmt: skip
    table = tables.to_frame([made]).set_index("label")
    assert table["flags"].to_dict() == {"well": "", "flat": "collapse; discriminator has won"}
    text = tables.to_markdown("flags", [made])
    assert "| flat (collapse, discriminator has won, see below) |" in text
    assert "- flat (seed 0): collapse: all &lt;alike&gt;\n" in text
    assert "| well " in text


def test_a_method_that_lacks_a_metric_is_behind_those_that_do_not(benchmark: Any) -> None:
    benchmark.finish(benchmark.spec("partial", 0), {"fid": 1.0})
    benchmark.finish(benchmark.spec("bad", 0), BAD)
    rows = board(benchmark).rows
    assert [row.label for row in rows] == ["bad", "partial"]
    assert rows[1].mean_rank is None


def test_slugs_of_different_labels_differ() -> None:
    taken: list[str] = []
    for label in ("a b", "a-b", "A/B", "漢字"):
        taken.append(leaderboard._slug(label, taken))
    assert taken == ["a-b", "a-b-2", "a-b-3", "data"]


@pytest.mark.parametrize(
    ("name", "unit", "value", "text"),
    [
        ("parameters", "", 4_213_004, "4.21M"),
        ("parameters", "", 950, "950"),
        ("train_seconds", "s", 7.26, "7.3 s"),
        ("train_seconds", "s", 98.4, "98 s"),
        ("train_seconds", "s", 150, "2.5 min"),
        ("train_seconds", "s", 9000, "2.5 h"),
        ("images_per_second", "1/s", 1234.5, "1,234"),
        ("images_per_second", "1/s", 3.14, "3.1"),
    ],
)
def test_costs_read_well(name: str, unit: str, value: float, text: str) -> None:
    assert tables.number(Column(name, name, unit, False, "", "cost"), value) == text


def test_a_column_shows_three_digits_of_its_smallest_mean() -> None:
    fid = METRICS["fid"]
    assert fid.places(0.00531, 0.21) == 5
    assert fid.places(42.5, 190.0, float("nan")) == 1
    assert fid.places(420.0, 190.0) == 0
    assert fid.places(1e-9) == 5
    assert fid.places() == fid.places(0.0) == 3
    assert METRICS["psnr"].places(15.5) == 2
    assert [headed("PSNR", "dB"), headed("Training", "s"), headed("FID", "")] == ["PSNR (dB)", "Training", "FID"]


def test_csv_holds_mean_spread_and_n(report: Path) -> None:
    table = pd.read_csv(report / "leaderboard.csv").set_index("label")
    assert table.loc["UNIT", ["fid", "fid_n", "seeds_done", "seeds"]].tolist() == [120.0, 1, 1, 2]
    assert pd.isna(table.loc["UNIT", "fid_half_width"])
    assert table.loc["oracle", "fid"] == pytest.approx(4.25)
    assert table.loc["oracle", "fid_half_width"] == pytest.approx(12.7062 * 0.0707107 / 2**0.5, rel=1e-4)
    assert pd.isna(table.loc["oracle", "ssim"])
    assert table.loc["late", "state"] == "waiting"


def test_markdown_shows_names_as_they_are_and_says_what_failed(report: Path) -> None:
    text = (report / "leaderboard.md").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "pix2pix lambda\\_l1=10" in text
    assert "| 42.5 ±" in text  # FID stands on too few images here, so that nobody is best by it
    assert "FID (VGG16) has no part in it: there are too few images" in text
    assert "**0.00531 ±" in text
    assert "DIVERGED: generator.kl became NaN at step 210" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1


def test_a_row_that_copy_beats_on_most_scores_is_flagged_and_a_sentence_says_so(benchmark: Any) -> None:
    benchmark.references()  # of copy: fid 190, kid 0.21, lpips 0.31, ssim 0.52, psnr 10.4
    benchmark.finish(benchmark.spec("weak", 0), GOOD | {"kid": 0.3, "lpips": 0.5, "ssim": 0.1})
    benchmark.finish(benchmark.spec("even", 0), GOOD | {"kid": 0.3, "lpips": 0.5})
    stamps = {"glyphs": {}}
    (made,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan, stamps)
    weak, even = (next(row for row in made.rows if row.label == label) for label in ("weak", "even"))
    assert even.flags == {}
    assert list(weak.flags) == ["worse than copy"]
    assert "on 3 of 5 scores (KID (VGG16), LPIPS and SSIM; n = 1, untested)" in weak.flags["worse than copy"]
    assert words.against_copy(made) == (
        "On most scores weak does worse than copy, which changes nothing. "
        "On KID (VGG16) and LPIPS no method beats copy."
    )
    assert "weak does worse than copy" in words.summary([made])
    assert "Flagged" not in words.summary([made])
    assert "- weak: worse than copy: the unchanged input" in tables.to_markdown("x", [made])
    assert words.against_copy(replace(made, references=())) == ""


def test_reference_rows_have_no_costs_in_any_form(finished: Any) -> None:
    made = board(finished)
    table = tables.to_frame([made]).set_index("label")
    costs = [column.name for column in made.columns if column.kind == "cost"]
    assert costs
    assert table.loc[["copy", "oracle"], costs].isna().all(axis=None)
    assert table.loc["pix2pix", costs].notna().all()

"""Ties, wins and places: what the board claims follows from the tests, and one training never counts for several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from i2ibench import frames
from i2ibench.report import leaderboard, overall, ranking, significance, words
from i2ibench.report.board import Board
from i2ibench.report.style import Looks

LABELS = ("best", "close", "far")
QUALITY = {"best": 0.100, "close": 0.101, "far": 0.300}


def built(benchmark: Any, seeds: int, labels: tuple[str, ...] = LABELS) -> Board:
    rng = np.random.default_rng(7)
    hard = rng.normal(0, 0.02, 48)
    for label in labels:
        for seed in range(seeds):
            values = QUALITY[label] + hard + rng.normal(0, 0.005, 48)
            benchmark.finish(
                benchmark.spec(label, seed),
                {
                    "fid": 900 * QUALITY[label] + rng.normal(0, 2),
                    "kid": 0.1,
                    "lpips": values.mean(),
                    "ssim": 0.5,
                    "psnr": 9.0,
                },
                per_image={"lpips": values},
            )
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    return significance.compared(board, frames.per_image(benchmark.plan, benchmark.store, "glyphs", labels))


def test_what_does_not_differ_from_the_best_is_tied_and_what_does_is_not(benchmark: Any) -> None:
    board = built(benchmark, seeds=5)
    rows = {row.label: row for row in board.rows}
    assert "lpips" in rows["best"].best
    assert "lpips" in rows["close"].tied
    assert "lpips" not in rows["far"].tied
    won = significance.win_matrix(board)
    assert [one.metric for one in won["best", "far"]] == ["fid", "lpips"]
    assert won["far", "best"] == []
    assert [one.metric for one in won["close", "far"]] == ["fid", "lpips"]


def test_equal_scores_are_all_best_and_nobody_is_tied_with_them(benchmark: Any) -> None:
    board = built(benchmark, seeds=2)
    assert all("kid" in row.best and "kid" not in row.tied for row in board.rows)


def test_with_one_seed_only_scores_of_images_are_tested_and_it_says_for_what(benchmark: Any) -> None:
    board = built(benchmark, seeds=1)
    tested = {one.metric for one in board.comparisons if one.p is not None}
    assert tested == {"lpips"}
    assert "holds for these trained networks alone" in words.tests_note(board)
    assert "(n = 48)" in words.tests_note(board)


def test_a_method_with_one_seed_is_not_tested_beside_others_with_several(benchmark: Any) -> None:
    built(benchmark, seeds=3, labels=("best", "far"))
    benchmark.finish(
        benchmark.spec("close", 0),
        {"fid": 300.0, "kid": 0.1, "lpips": 0.9, "ssim": 0.5, "psnr": 9.0},
        per_image={"lpips": np.linspace(0.8, 1.0, 48)},
    )
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    board = significance.compared(board, frames.per_image(benchmark.plan, benchmark.store, "glyphs", LABELS))
    with_one = [one for one in board.comparisons if "close" in (one.a, one.b)]
    assert with_one
    assert all(one.p is None and one.winner is None for one in with_one)


def test_a_leader_that_lost_over_the_seeds_that_both_have_leads_nothing_for_sure(benchmark: Any) -> None:
    kid = {"lucky": {0: 0.010, 1: 0.300, 2: 0.310}, "beaten": {1: 0.250, 2: 0.2601}}  # its seed 0 is missing
    for label, scores in kid.items():
        for seed, score in scores.items():
            benchmark.finish(
                benchmark.spec(label, seed), {"fid": 9.0, "kid": score, "lpips": 0.1, "ssim": 0.5, "psnr": 9.0}
            )
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    board = significance.compared(board, {})
    rows = {row.label: row for row in board.rows}
    assert "kid" in rows["lucky"].best
    (one,) = [one for one in board.comparisons if one.metric == "kid"]
    assert one.winner == "beaten"
    assert "kid" in rows["beaten"].tied
    assert "significant" not in words.certainty(board)
    assert "not shown to be worse than the leader" in words.certainty(board)


def test_who_leads_by_a_score_is_tested_however_far_down_it_stands(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(significance, "COMPARED", 2)
    rng = np.random.default_rng(0)
    for place in range(5):
        for seed in range(3):
            kid = 0.01 if place == 4 else 0.1 * (place + 1)  # the last by all but this
            scores = {"fid": 9.0 + place, "kid": kid, "lpips": 0.1 + place, "ssim": 0.9 - place, "psnr": 30.0 - place}
            noisy = {name: value + 0.001 * rng.normal() for name, value in scores.items()}
            benchmark.finish(benchmark.spec(f"m{place}", seed), noisy)
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    board = significance.compared(board, {})
    assert board.compared == ("m0", "m1", "m4")
    assert "The lead on FID" in words.certainty(board)
    assert "KID" in words.certainty(board)
    assert "nothing can be tested" not in words.certainty(board)
    note = words.tests_note(board)
    assert "Tested are 3 of 5 methods: the first, and those that lead by some score." in note
    assert "(3, Holm)" in note


def test_the_number_of_pairs_is_of_those_that_have_a_p(benchmark: Any) -> None:
    built(benchmark, seeds=3)
    benchmark.finish(benchmark.spec("single", 0), {"fid": 9.0, "kid": 0.1, "lpips": 0.1, "ssim": 0.5, "psnr": 9.0})
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    board = significance.compared(board, frames.per_image(benchmark.plan, benchmark.store, "glyphs", LABELS))
    assert len(board.compared) == 4
    assert "(3, Holm)" in words.tests_note(board), "not the six pairs of four methods"


def test_the_csv_of_comparisons_holds_every_pair_of_every_score(report: Any, finished: Any) -> None:
    table = pd.read_csv(report / "comparisons.csv")
    k = 7  # rows that finished
    assert len(table) == 4 * k * (k - 1) // 2  # FID is unsound here
    assert table["p"].dropna().between(0, 1).all()
    decided = table["winner"].notna()
    assert (table.loc[decided, "p"] < 0.05).all()


def test_fid_over_few_images_is_shown_but_neither_ranked_nor_best(benchmark: Any) -> None:
    benchmark.finish(benchmark.spec("a", 0), {"fid": 1.0, "kid": 0.2, "lpips": 0.1, "ssim": 0.5, "psnr": 9.0})
    benchmark.finish(benchmark.spec("b", 0), {"fid": 9.0, "kid": 0.1, "lpips": 0.1, "ssim": 0.5, "psnr": 9.0})
    table = frames.frame(benchmark.plan, benchmark.store)
    (board,) = leaderboard.build(table, benchmark.plan, {"glyphs": {"metrics": {"fid": {"rank_deficient": True}}}})
    assert [row.label for row in board.rows] == ["b", "a"]
    assert not any("fid" in row.best for row in board.rows)
    assert board.rows[0].cells["fid"] is not None
    assert "fid" not in {column.name for column in board.ranked}
    (sound,) = leaderboard.build(table, benchmark.plan, {"glyphs": {"metrics": {"fid": {"rank_deficient": False}}}})
    assert "fid" in {column.name for column in sound.ranked}


def boards(benchmark: Any, mean_ranks: list[dict[str, float | None]]) -> list[Board]:
    from i2ibench.report.board import Row

    return [
        Board(
            f"d{i}", f"d{i}", (), tuple(Row(n, n, False, 1, 1, "done", {}, mean_rank=r) for n, r in ranks.items()), ()
        )
        for i, ranks in enumerate(mean_ranks)
    ]


def test_places_over_data_sets_and_who_lacks_one_comes_last(benchmark: Any) -> None:
    made = overall.build(boards(benchmark, [{"a": 1.2, "b": 1.8, "c": 1.0}, {"a": 1.0, "b": 3.0, "c": None}]))
    assert made is not None
    assert [(s.label, s.mean_place, s.places, s.firsts) for s in made.standings] == [
        ("a", 1.5, (2.0, 1.0), 1), ("b", 2.5, (3.0, 2.0), 0), ("c", None, (1.0, None), 1),
    ]  # fmt: skip
    assert made.friedman is None
    assert (
        "5 data sets (there are 2: 3 missing) and 3 methods that are ranked on all of them (there are 2)"
        in made.missing
    )


def test_data_sets_of_the_same_images_are_one_to_friedmans_test(benchmark: Any) -> None:
    ranks: list[dict[str, float | None]] = [{"a": 1.0, "b": 2.0, "c": 3.0}] * 6
    ways = overall.build(boards(benchmark, ranks), images=dict.fromkeys([f"d{i}" for i in range(6)], "the same"))
    assert ways is not None
    assert ways.friedman is None
    assert "there are 1: 4 missing" in ways.missing
    assert "Ways, directions and sizes of the same images count as one." in ways.missing
    twice = overall.build(boards(benchmark, ranks), images={"d0": "shared", "d1": "shared"})
    assert twice is not None
    assert twice.friedman is not None
    assert twice.friedman.data == 5
    drawing = ranking.diagram(twice, Looks(["a", "b", "c"], []))
    assert drawing is not None
    assert "n = 5 data sets (ways, directions and sizes of the same images count as one)" in drawing.caption


def test_one_data_set_has_no_overall_standing(benchmark: Any) -> None:
    assert overall.build(boards(benchmark, [{"a": 1.0, "b": 2.0}])) is None


def test_enough_data_sets_get_a_diagram_that_says_who_is_not_told_apart(benchmark: Any) -> None:
    made = overall.build(
        boards(benchmark, [{"a": 1.0, "b": 2.0 + i % 2, "c": 3.0 - i % 2, "d": 4.0} for i in range(8)])
    )
    assert made is not None
    assert made.missing == ""
    drawing = ranking.diagram(made, Looks(["a", "b", "c", "d"], []))
    assert drawing is not None
    assert "n = 8 data sets" in drawing.caption
    assert drawing.alt.startswith("Critical-difference diagram. Mean places: a 1.00, ")
    assert made.friedman is not None
    assert made.friedman.critical_difference == pytest.approx(
        2.569 * (4 * 5 / (6 * 8)) ** 0.5, rel=1e-3
    )  # Demšar, table 5a

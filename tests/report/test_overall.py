"""Mean scores over the ways of a set of several domains: only of rows that have all of them, and the best is marked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from i2ibench.report import overall, tables, words
from i2ibench.report.board import Board, Column, Row
from i2ibench.statistics import Summary, summarise

FID = Column("fid", "FID", "", False, "distance", "score")
PSNR = Column("psnr", "PSNR", "dB", True, "likeness", "score")


def board(
    data: str,
    ranks: dict[str, float],
    scores: dict[str, tuple[float | None, float]],
    columns: tuple[Column, ...] = (FID, PSNR),
) -> Board:
    def row(label: str) -> Row:
        cells = {
            column.name: None if value is None else Summary(value, None, None, 1, (value,))
            for column, value in zip((FID, PSNR), scores[label], strict=True)
        }
        return Row(label, label, label == "copy", 1, 1, "done", cells, mean_rank=ranks.get(label))

    rows = [row(label) for label in scores]
    return Board(data, data, columns, tuple(r for r in rows if not r.reference), tuple(r for r in rows if r.reference))


def test_scores_are_averaged_over_the_ways_of_their_set_alone() -> None:
    made = overall.build(
        [
            board("fonts a to b", {"x": 2, "y": 1}, {"x": (30.0, 10.0), "y": (10.0, 9.0), "copy": (90.0, 5.0)}),
            board("fonts b to a", {"x": 2, "y": 1}, {"x": (20.0, 14.0), "y": (20.0, 9.0), "copy": (70.0, 6.0)}),
            board("others", {"x": 1, "y": 2}, {"x": (1.0, 1.0), "y": (2.0, 2.0), "copy": (3.0, 3.0)}),
        ],
        {"fonts a to b": "fonts", "fonts b to a": "fonts"},
    )
    assert made is not None
    (means,) = made.means
    assert (means.data, means.ways) == ("fonts, mean of 2 ways", 2)
    assert [(row.label, row.reference, *scores(row)) for row in (*means.rows, *means.references)] == [
        ("y", False, 15.0, 9.0),
        ("x", False, 25.0, 12.0),
        ("copy", True, 80.0, 5.5),
    ]
    assert [set(row.best) for row in means.rows] == [{"fid"}, {"psnr"}]


def scores(row: Row) -> list[float | None]:
    return [cell and cell.mean for cell in row.cells.values()]


def test_the_interval_of_a_mean_is_over_seeds_each_averaged_over_the_ways() -> None:
    ways = [{0: 1.0, 1: 3.0, 2: 5.0}, {0: 10.0, 1: 10.0, 2: 40.0}]
    boards = []
    for i, by_seed in enumerate(ways):
        row = Row("x", "x", False, 3, 3, "done", {"fid": summarise(by_seed.values())}, 1.0, by_seed={"fid": by_seed})
        boards.append(Board(f"way {i}", f"way-{i}", (FID,), (row,), ()))
    made = overall.build(boards, {"way 0": "s", "way 1": "s"})
    assert made is not None
    (row,) = made.means[0].rows
    assert row.cells["fid"] == summarise([5.5, 6.5, 22.5])
    shorter = replace(boards[1].rows[0], by_seed={"fid": {0: 10.0, 1: 10.0}})
    made = overall.build([boards[0], replace(boards[1], rows=(shorter,))], {"way 0": "s", "way 1": "s"})
    assert made is not None
    cell = made.means[0].rows[0].cells["fid"]
    assert cell is not None
    assert (cell.mean, cell.half_width) == (pytest.approx(11.5), None)


@pytest.mark.parametrize("lacks", [(None, 9.0), "the row"])
def test_a_row_that_lacks_a_way_has_no_mean_and_a_column_that_a_way_lacks_is_left_out(lacks: object) -> None:
    second = {"x": (20.0, 14.0), "copy": (70.0, 6.0)} | ({"y": lacks} if isinstance(lacks, tuple) else {})
    boards = [board("s a to b", {"x": 1, "y": 2}, {"x": (30.0, 10.0), "y": (10.0, 9.0), "copy": (90.0, 5.0)})]
    sets = {"s a to b": "s", "s b to a": "s"}
    made = overall.build([*boards, board("s b to a", {"x": 1, "y": 2}, second)], sets)
    assert made is not None
    by_label = {row.label: row for row in made.means[0].rows}
    assert by_label["y"].cells["fid"] is None
    assert "fid" in by_label["x"].best
    made = overall.build([*boards, board("s b to a", {"x": 1, "y": 2}, second, columns=(PSNR,))], sets)
    assert made is not None
    assert made.means[0].columns == (PSNR,)


def test_those_that_are_level_share_a_place_and_the_lead() -> None:
    none = {"x": (1.0, 1.0), "y": (1.0, 1.0), "z|z": (1.0, 1.0), "w": (1.0, 1.0)}
    made = overall.build(
        [
            board("one", {"x": 1, "y": 2, "z|z": 3, "w": 4}, none),
            board("two", {"x": 2, "y": 1, "z|z": 3}, none),
        ]
    )
    assert made is not None
    places = [one.mean_place for one in made.standings]
    assert places == [1.5, 1.5, 3.0, None]
    assert [one.label for one in made.first] == ["x", "y"]
    assert [words.position(place, places) for place in places] == ["1", "1", "3", "–"]
    *_, header, _, x, _, z, w = tables.to_markdown("name", [], made).splitlines()
    assert [part.strip() for part in header.strip("|").split("|")] == ["Method", "Mean place", "First on", "one", "two"]
    assert [part.strip() for part in x.strip("|").split("|")] == ["x", "1.5", "1", "1", "2"]
    assert w.strip("| ").split()[-1] == "–"
    assert "z\\|z" in z
    assert tables.overall(made).isna().sum().sum() == 2


def test_a_data_set_on_which_nothing_is_finished_yet_is_no_reason_to_give_up() -> None:
    made = overall.build([board("one", {"x": 1, "y": 2}, {"x": (1.0, 1.0), "y": (1.0, 1.0)}), board("two", {}, {})])
    assert made is not None
    *_, x, y = tables.to_markdown("name", [], made).splitlines()
    assert [part.strip() for part in x.strip("|").split("|")] == ["x", "–", "1", "1", "–"]
    assert [part.strip() for part in y.strip("|").split("|")] == ["y", "–", "0", "2", "–"]

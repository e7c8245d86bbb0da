"""Answers of several stores made one: nobody counts twice, nothing is lost, and contradictions change nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from i2ibench.errors import StoreError
from i2ibench.study import answers as kept
from i2ibench.study import union
from i2ibench.study.answers import Answers
from i2ibench.study.design import cells

POOL = cells({"d": {m: [f"{m}-s0"] for m in "abc"}}, {"d": [0, 1, 2, 3]}, ("better",))


def study(store: Path) -> Answers:
    made = Answers(store)
    made.create()
    return made


def answer(answers: Answers, code: str, times: int, *, left: bool = True) -> None:
    for _ in range(times):
        waiting = answers.state(code)[2]
        assert waiting is not None
        assert answers.answer(code, waiting.place, chose_left=left, seconds=1.5)


def facts(store: Path) -> list[tuple]:
    """All answers, without the numbers that a file gives to its raters."""
    return [(one.cell, one.a_is_left, one.check, one.chose_a, one.seconds, one.at) for one in kept.read(store)]


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Path, Path, Path]:
    return tmp_path / "a", tmp_path / "b", tmp_path / "all"


def test_raters_of_all_stores_come_together_and_nobody_comes_twice(stores: tuple[Path, Path, Path]) -> None:
    a, b, to = stores
    codes = [study(store).enrol(POOL, 5) for store in (a, b)]
    for store, code in zip((a, b), codes, strict=True):
        answer(Answers(store), code, 4)
    assert union.lacking([a, b], to) == 8
    assert not to.exists()
    assert union.bring([a, b], to) == 8
    assert sorted(facts(to), key=repr) == sorted(facts(a) + facts(b), key=repr)
    assert {one.rater for one in kept.read(to)} == {0, 1}, "both were number 0 where they began"
    before = kept.read(to)
    assert (union.lacking([a, b], to), union.bring([b, a, a], to)) == (0, 0)
    assert kept.read(to) == before
    assert [Answers(to).state(code)[:2] for code in codes] == [(4, 7), (4, 7)], "and they may go on there"
    assert Answers(to).state(codes[1])[2] == Answers(b).state(codes[1])[2]


def test_a_rater_who_went_on_in_two_copies_keeps_all_answers(stores: tuple[Path, Path, Path]) -> None:
    a, b, to = stores
    code = study(a).enrol(POOL, 5)
    answer(Answers(a), code, 2)
    shutil.copytree(a, to)
    shutil.copytree(a, b)
    answer(Answers(b), code, 3)
    assert union.bring([b], to) == 3
    assert facts(to) == facts(b)


def test_a_store_without_a_study_brings_nothing(stores: tuple[Path, Path, Path]) -> None:
    a, b, to = stores
    assert (union.lacking([a, b], to), union.bring([a, b], to)) == (0, 0)
    assert not to.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE answer SET chose_a = 1 - chose_a WHERE question = 2", "gave another answer to question 2 than in"),
        ("UPDATE question SET image = 9 WHERE id = 2", "was asked other questions than in"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_contradiction_is_refused_and_nothing_is_written(
    stores: tuple[Path, Path, Path], change: str, message: str, there: bool
) -> None:
    a, b, to = stores
    code = study(a).enrol(POOL, 5)
    answer(Answers(a), code, 3)
    shutil.copytree(a, b)
    answer(study(b), Answers(b).enrol(POOL, 5), 1)
    with closing(sqlite3.connect(kept.place(b))) as db, db:
        assert db.execute(change).rowcount == 1
    if there:
        shutil.copytree(a, to)
    before = facts(to)
    others = [b] if there else [a, b]
    for call in (union.lacking, union.bring):
        with pytest.raises(StoreError, match=f"{code} {message}") as caught:
            call(others, to)
        assert "\n" not in str(caught.value)
    assert facts(to) == before


def test_a_damaged_file_is_one_line(stores: tuple[Path, Path, Path]) -> None:
    a, _, to = stores
    kept.place(a).parent.mkdir(parents=True)
    kept.place(a).write_bytes(b"no database, but long enough to be taken for one" * 40)
    with pytest.raises(StoreError, match="cannot be read"):
        union.lacking([a], to)


def test_more_raters_than_a_store_has_are_refused(
    stores: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, to = stores
    monkeypatch.setattr(union, "MOST_RATERS", 1)
    for store in (a, b):
        study(store).enrol(POOL, 5)
    with pytest.raises(StoreError, match=r"more than 1$"):
        union.lacking([a, b], to)

"""The file of answers: several raters at once, one answer per question, and what a kill or a damaged file leaves."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from i2ibench.errors import I2IBenchError, StoreError
from i2ibench.study import answers as kept
from i2ibench.study.answers import Answers, Full, UnknownRater
from i2ibench.study.design import cells

POOL = cells({"d": {m: [f"{m}-s0"] for m in "abc"}}, {"d": [0, 1, 2, 3]}, ("better",))


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    made = Answers(tmp_path)
    made.create()
    return made


def answer_all(answers: Answers, code: str, most: int = 99) -> int:
    for count in range(most):
        waiting = answers.state(code)[2]
        if waiting is None:
            return count
        assert answers.answer(code, waiting.place, chose_left=True, seconds=1.5)
    return most


def test_raters_who_come_at_once_share_the_questions_evenly(answers: Answers) -> None:
    together = threading.Barrier(8, timeout=60)

    def come() -> tuple[str, int]:
        together.wait()
        code = answers.enrol(POOL, 6)
        return code, answer_all(answers, code)

    with ThreadPoolExecutor(8) as pool:
        codes, counts = zip(*pool.map(lambda _: come(), range(8)), strict=True)
    assert len(set(codes)) == 8
    assert set(counts) == {6 + 2}
    found = [one for one in kept.read(answers.path.parents[1]) if not one.check]
    assert len(found) == 48
    times = Counter(one.cell.key for one in found)
    assert set(times.values()) == {4}, "12 cells, 48 answers"
    assert set(Counter((one.cell.key, one.a_is_left) for one in found).values()) == {2}
    assert {one.rater for one in found} == set(range(8))
    assert all(one.chose_a == one.a_is_left and one.seconds == 1.5 for one in found)


def test_one_answer_per_question_whoever_sends_it_again(answers: Answers) -> None:
    code = answers.enrol(POOL, 3)
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda i: answers.answer(code, 0, i % 2 == 0, 1.0), range(8)))
    assert sorted(written) == [False] * 7 + [True]
    first = kept.read(answers.path.parents[1])
    assert len(first) == 1
    assert not answers.answer(code, 0, first[0].chose_a != first[0].a_is_left, 9.0)
    assert kept.read(answers.path.parents[1]) == first
    with closing(sqlite3.connect(answers.path)) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO answer SELECT question, chose_a, seconds, at FROM answer")


def test_a_rater_comes_back_where_they_left(answers: Answers) -> None:
    code = answers.enrol(POOL, 5)
    answer_all(answers, code, most=3)
    again = Answers(answers.path.parents[1])
    spelled = f" {code[:4].lower()}-{code[4:].lower()} "
    done, total, waiting = again.state(spelled)
    assert (done, total) == (3, 7)
    assert waiting is not None
    assert waiting.place == 3
    assert answer_all(again, code) == 4
    assert again.state(code) == (7, 7, None)


def test_what_a_rater_left_open_is_given_to_others(answers: Answers) -> None:
    gone = answers.enrol(POOL, 6, now=0)
    at_once = answers.enrol(POOL, 6, now=60)
    much_later = answers.enrol(POOL, 6, now=kept.AWAY + 61)
    with closing(sqlite3.connect(answers.path)) as db:
        of = [
            {
                row[1:]
                for row in db.execute("SELECT rater, image, a, b FROM question WHERE rater = ? AND NOT is_check", (n,))
            }
            for n in range(3)
        ]
    assert not of[0] & of[1], "while somebody is at them, others get the rest"
    assert of[2] == of[0]
    assert len({gone, at_once, much_later}) == 3


def test_a_rater_is_forgotten_who_asks_for_it(answers: Answers) -> None:
    stays, goes = answers.enrol(POOL, 4), answers.enrol(POOL, 4)
    answer_all(answers, stays), answer_all(answers, goes, most=5)
    assert answers.forget(goes) == 5
    assert {one.rater for one in kept.read(answers.path.parents[1])} == {0}
    with pytest.raises(UnknownRater):
        answers.state(goes)
    assert answers.state(answers.enrol(POOL, 4))[0] == 0, "who comes next begins anew"


def test_what_is_wrong_is_one_line(answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownRater):
        answers.state("AAAAAAAA")
    with pytest.raises(UnknownRater):
        answers.answer("' OR 1=1 --", 0, True, 1.0)
    code = answers.enrol(POOL, 3)
    with pytest.raises(I2IBenchError, match="no such question"):
        answers.answer(code, 5, True, 1.0)
    monkeypatch.setattr(kept, "MOST_RATERS", 1)
    with pytest.raises(Full):
        answers.enrol(POOL, 3)
    assert kept.read(tmp_path / "elsewhere") == []
    damaged = kept.place(tmp_path / "damaged")
    damaged.parent.mkdir(parents=True)
    damaged.write_text("not SQLite " * 100)
    for call in (lambda: kept.read(tmp_path / "damaged"), Answers(tmp_path / "damaged").create):
        with pytest.raises(StoreError, match=r"answers\.db") as error:
            call()
        assert "\n" not in str(error.value)

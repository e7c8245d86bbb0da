"""Brings the answers of several stores into one: raters are known by their codes, and nobody counts twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from i2ibench.errors import StoreError
from i2ibench.study import answers
from i2ibench.study.answers import COLUMNS, MOST_RATERS, Answers


def lacking(stores: Sequence[Path], to: Path) -> int:
    """How many answers of `stores` the store `to` lacks. Writes nothing.

    Raises:
        StoreError: two of them contradict each other, a file is damaged, or there are too many raters.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as trial:
        trial.executescript(answers.SCHEMA)
        if answers.place(to).exists():
            with answers.reading(to) as home:
                home.backup(trial)
        return sum(_bring(store, trial) for store in _with_answers(stores))


def bring(stores: Sequence[Path], to: Path) -> int:
    """Bring the answers that `to` lacks into it, all or none; how many that were. Raises StoreError as `lacking`."""
    found = _with_answers(stores)
    if not found:
        return 0
    home = Answers(to)
    home.create()
    with home.writing() as db:
        return sum(_bring(store, db) for store in found)


def _with_answers(stores: Sequence[Path]) -> list[Path]:
    return [store for store in stores if answers.place(store).exists()]


def _bring(store: Path, home: sqlite3.Connection) -> int:
    with answers.reading(store) as source:
        raters = source.execute("SELECT number, code, begun, seen FROM rater ORDER BY number").fetchall()
        return sum(_bring_rater(source, store, home, *rater) for rater in raters)


def _bring_rater(
    source: sqlite3.Connection, store: Path, home: sqlite3.Connection, number: int, code: str, begun: float, seen: float
) -> int:
    """A rater of one file, with all that was asked and answered, into another; how many answers are new there."""
    theirs = _questions(source, number)
    known = home.execute("SELECT number FROM rater WHERE code = ?", (code,)).fetchone()
    if known is None:
        (free,) = home.execute("SELECT coalesce(max(number) + 1, 0) FROM rater").fetchone()
        if free >= MOST_RATERS:
            raise StoreError(f"{answers.place(store)}: with its raters there would be more than {MOST_RATERS}")
        home.execute("INSERT INTO rater VALUES (?, ?, ?, ?)", (free, code, begun, seen))
        home.executemany(
            f"INSERT INTO question (rater, place, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(free, *asked) for asked in theirs],
        )
        known = (free,)
    ours = _questions(home, known[0])
    if ours.keys() != theirs.keys():
        raise _contradiction(store, code, "was asked other questions")
    new = 0
    for asked, (_, answer) in theirs.items():
        question, there = ours[asked]
        if answer is not None and there is None:
            home.execute("INSERT INTO answer VALUES (?, ?, ?, ?)", (question, *answer))
            new += 1
        elif answer is not None and answer != there:
            raise _contradiction(store, code, f"gave another answer to question {asked[0] + 1}")
    home.execute("UPDATE rater SET seen = max(seen, ?) WHERE number = ?", (seen, known[0]))
    return new


def _questions(db: sqlite3.Connection, rater: int) -> dict[tuple, tuple[int, tuple | None]]:
    """Place and content of each question of a rater -> its id, and (choice, seconds, time) of its answer, if any."""
    rows = db.execute(
        f"SELECT id, chose_a, seconds, at, place, {COLUMNS} FROM question LEFT JOIN answer ON answer.question = id "
        "WHERE rater = ?",
        (rater,),
    )
    return {tuple(asked): (id, None if at is None else (chose, seconds, at)) for id, chose, seconds, at, *asked in rows}


def _contradiction(store: Path, code: str, what: str) -> StoreError:
    return StoreError(
        f"{answers.place(store)}: the rater {code} {what} than in another store; remove the rater from one of them "
        f"(`i2ibench study STORE --forget {code}`)"
    )

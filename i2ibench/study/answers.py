"""Raters, questions and answers in SQLite: many raters at once, one answer per question, nothing lost by a kill.

`<store>/_study/answers.db`, with SQLite's rollback journal: a store may lie on a file system that several machines
share, and its other one (WAL) is for one machine alone. One file for all benchmarks of a store, because an answer is
about trials and an image, whichever benchmark shows them.
"""

from __future__ import annotations

import os
import random
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from i2ibench.errors import I2IBenchError, StoreError
from i2ibench.study.design import Cell, Kind, Question, assign, practise

LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # that nobody takes for another
LENGTH = 8  # of a code: 9e11 of them
MOST_RATERS = 5000  # of a store; whoever asks for more is no rater
AWAY = 2 * 3600  # seconds after which the open questions of a rater are given to others too

SCHEMA = """
CREATE TABLE IF NOT EXISTS rater (
    number INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, begun REAL NOT NULL, seen REAL NOT NULL);
CREATE TABLE IF NOT EXISTS question (
    id INTEGER PRIMARY KEY, rater INTEGER NOT NULL REFERENCES rater, place INTEGER NOT NULL,
    kind TEXT NOT NULL, data TEXT NOT NULL, image INTEGER NOT NULL,
    a TEXT NOT NULL, b TEXT NOT NULL, a_is_left INTEGER NOT NULL, is_check INTEGER NOT NULL, exposure REAL,
    UNIQUE (rater, place));
CREATE TABLE IF NOT EXISTS answer (
    question INTEGER PRIMARY KEY REFERENCES question, chose_a INTEGER NOT NULL CHECK (chose_a IN (0, 1)),
    seconds REAL NOT NULL, at REAL NOT NULL);
"""
COLUMNS = "kind, data, image, a, b, a_is_left, is_check, exposure"
CHECK, PRACTICE = 1, 2  # values of is_check


class UnknownRater(I2IBenchError):
    """No rater has this code."""


class Full(I2IBenchError):
    """There are more raters than any study has."""


@dataclass(frozen=True)
class Open:
    """A question that waits for its answer."""

    place: int
    question: Question
    exposure: float | None  # seconds for which the images are shown; None: until the answer


@dataclass(frozen=True)
class Answer:
    """What a rater chose."""

    rater: int
    cell: Cell
    a_is_left: bool
    check: bool
    exposure: float | None
    chose_a: bool
    seconds: float  # from the images' appearance to the choice
    at: float


class Answers:
    """The file. Every call is a transaction of its own, so any number of threads and processes may make them."""

    def __init__(self, store: Path) -> None:
        self.path = place(store)

    def create(self) -> None:
        """Make the file. Raises StoreError if it cannot be written, or is something else."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as db:
                db.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self.path}: cannot be used for answers ({error}); move it away") from None

    def enrol(
        self,
        pool: Sequence[Cell],
        count: int,
        seed: int = 0,
        exposure: float | None = None,
        now: float | None = None,
        practice: Sequence[Cell] = (),
        rounds: int = 0,
    ) -> str:
        """A new rater with questions of their own; the code by which they come back. See `design.assign`.

        Before them come `rounds` questions to practise on; see `design.practise`.

        Raises:
            Full: there are MOST_RATERS already.
        """
        now = time.time() if now is None else now
        with self.writing() as db:
            (number,) = db.execute("SELECT coalesce(max(number) + 1, 0) FROM rater").fetchone()
            if number >= MOST_RATERS:
                raise Full("this study takes no more raters")
            code = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
            questions = practise(practice, rounds, random.Random(f"{seed} {number} practice"))
            questions += assign(pool, _asked(db, now), count, random.Random(f"{seed} {number}"))
            db.execute("INSERT INTO rater VALUES (?, ?, ?, ?)", (number, code, now, now))
            db.executemany(
                f"INSERT INTO question (rater, place, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        number, at, q.cell.kind, q.cell.data, q.cell.image, q.cell.a, q.cell.b, q.a_is_left,
                        PRACTICE if q.practice else q.check, exposure if q.cell.kind == "real" else None,
                    )
                    for at, q in enumerate(questions)
                ],
            )  # fmt: skip
        return code

    def state(self, code: str) -> tuple[int, int, Open | None]:
        """How many questions a rater has answered, of how many, and the next one. Raises UnknownRater.

        While they practise, so many of the practice; after that, of the others.
        """
        with closing(self._connect()) as db:
            number = _rater(db, code)
            row = db.execute(
                f"SELECT place, {COLUMNS} FROM question WHERE rater = ? AND id NOT IN (SELECT question FROM answer) "
                "ORDER BY place LIMIT 1",
                (number,),
            ).fetchone()
            waiting = _open(row) if row else None
            practising = waiting is not None and waiting.question.practice
            done, total = db.execute(
                "SELECT count(answer.question), count(*) FROM question LEFT JOIN answer ON answer.question = id "
                "WHERE rater = ? AND (is_check = ?) = ?",
                (number, PRACTICE, practising),
            ).fetchone()
        return done, total, waiting

    def question(self, code: str, at_place: int) -> Question:
        """One of a rater's questions. Raises as `answer`."""
        with closing(self._connect()) as db:
            row = db.execute(
                f"SELECT place, {COLUMNS} FROM question WHERE rater = ? AND place = ?", (_rater(db, code), at_place)
            ).fetchone()
        if row is None:
            raise I2IBenchError("there is no such question")
        return _open(row).question

    def answer(self, code: str, at_place: int, chose_left: bool, seconds: float) -> bool:
        """Write an answer down; False if there was one already, which stays.

        Raises:
            UnknownRater: nobody has this code.
            I2IBenchError: the rater has no such question.
        """
        with self.writing() as db:
            number, now = _rater(db, code), time.time()
            found = db.execute(
                "SELECT id, a_is_left FROM question WHERE rater = ? AND place = ?", (number, at_place)
            ).fetchone()
            if found is None:
                raise I2IBenchError("there is no such question")
            question, a_is_left = found
            written = db.execute(
                "INSERT INTO answer VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (question, int(chose_left == bool(a_is_left)), seconds, now),
            )
            db.execute("UPDATE rater SET seen = ? WHERE number = ?", (now, number))
            return written.rowcount == 1

    def forget(self, code: str) -> int:
        """Remove a rater with all that they answered; how many answers that were. Raises UnknownRater."""
        with self.writing() as db:
            number = _rater(db, code)
            gone = db.execute(
                "DELETE FROM answer WHERE question IN (SELECT id FROM question WHERE rater = ?)", (number,)
            )
            db.execute("DELETE FROM question WHERE rater = ?", (number,))
            db.execute("DELETE FROM rater WHERE number = ?", (number,))
            return gone.rowcount

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60, isolation_level=None)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all that is done in it is done, or nothing."""
        with closing(self._connect()) as db:
            db.execute("BEGIN IMMEDIATE")  # what is read here is still so when it is written
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def plain(code: str) -> str:
    """A rater's code as it is kept, however it was typed."""
    return code.replace("-", "").strip().upper()


def place(store: Path) -> Path:
    """Where the answers of a store lie."""
    return store / "_study" / "answers.db"


def read(store: Path) -> list[Answer]:
    """All answers of a store but to practice, in the order in which they were given; none where there was no study.

    Raises:
        StoreError: the file is damaged.
    """
    if not place(store).exists():
        return []
    with reading(store) as db:
        rows = db.execute(
            f"SELECT rater, chose_a, seconds, at, {COLUMNS} FROM answer JOIN question ON question = id "
            "WHERE is_check != ? ORDER BY at, id",
            (PRACTICE,),
        ).fetchall()
    return [
        Answer(
            rater, Cell(cast(Kind, kind), data, image, a, b), bool(a_is_left), bool(check), exposure,
            bool(chose_a), seconds, at,
        )
        for rater, chose_a, seconds, at, kind, data, image, a, b, a_is_left, check, exposure in rows
    ]  # fmt: skip


@contextmanager
def reading(store: Path) -> Iterator[sqlite3.Connection]:
    """The file of a store's answers, which must be there. Raises StoreError if it is damaged."""
    file = place(store)
    try:
        # What a killed server left half-written is taken back by the first who may write there.
        mode = "mode=rw" if os.access(file, os.W_OK) and os.access(file.parent, os.W_OK) else "mode=ro"
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True, timeout=60)) as db:
            yield db
    except sqlite3.Error as error:
        raise StoreError(f"{file}: cannot be read ({error}); move it away to go on without its answers") from None


def _rater(db: sqlite3.Connection, code: str) -> int:
    found = db.execute("SELECT number FROM rater WHERE code = ?", (plain(code),)).fetchone()
    if found is None:
        raise UnknownRater("nobody has this code; check its letters")
    return int(found[0])


def _asked(db: sqlite3.Connection, now: float) -> dict[tuple[str, str, int, str, str], tuple[int, int]]:
    """How often each cell was answered, or waits for a rater who was seen lately, with `a` left and right."""
    rows = db.execute(
        "SELECT kind, data, image, a, b, sum(a_is_left), sum(1 - a_is_left) FROM question JOIN rater ON rater = number "
        "LEFT JOIN answer ON answer.question = id WHERE NOT is_check AND (answer.question IS NOT NULL OR seen > ?) "
        "GROUP BY kind, data, image, a, b",
        (now - AWAY,),
    )
    return {(kind, data, image, a, b): (left, right) for kind, data, image, a, b, left, right in rows}


def _open(row: tuple) -> Open:
    at, kind, data, image, a, b, a_is_left, check, exposure = row
    question = Question(Cell(kind, data, image, a, b), bool(a_is_left), check == CHECK, check == PRACTICE)
    return Open(at, question, exposure)

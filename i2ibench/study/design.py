"""Which questions a rater gets: all equally often, each method as often left as right, checks among them. Pure."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["real", "better"]
REAL, NOISE = "(real)", "(noise)"  # what stands in the place of a trial's id; no id has brackets
CHECK_EVERY = 8  # of so many questions one is a check as well, and of a rater's there are
FEWEST_CHECKS = 2
FIRST_CHECK = 6  # by this question there was one: who leaves early has been checked too


@dataclass(frozen=True)
class Cell:
    """Two images to choose between, whichever stands left.

    kind: "real" (which is real) or "better" (which is the better translation).
    image: which test image of the data set.
    a, b: ids of trials, or REAL or NOISE; of a question of the kind "real", `b` is the method.
    group: what is balanced besides the cells: the kind, the data set and the two rows of the leaderboard.
    """

    kind: Kind
    data: str
    image: int
    a: str
    b: str
    group: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, int, str, str]:
        return self.kind, self.data, self.image, self.a, self.b


@dataclass(frozen=True)
class Question:
    """A cell as a rater sees it."""

    cell: Cell
    a_is_left: bool
    check: bool = False  # `a` is the right answer, and anybody sees it
    practice: bool = False  # `a` is the right answer, and the rater is told afterwards


Asked = Mapping[tuple[str, str, int, str, str], tuple[int, int]]  # cell's key -> how often with `a` left, and right


def cells(
    trials: Mapping[str, Mapping[str, Sequence[str]]],
    images: Mapping[str, Sequence[int]],
    kinds: Sequence[Kind],
    unrelated: frozenset[str] = frozenset(),
    seed: int = 0,
) -> list[Cell]:
    """All that can be asked, in an order of which every stretch has each pair of methods about equally often.

    Args:
        trials: data set -> row of the leaderboard -> ids of its trials (seeds). The images are dealt out to them in
            turn, so that a claim is about the method and not about one training.
        images: data set -> which test images.
        kinds: of questions.
        unrelated: rows whose outputs have nothing to do with the input: they are no translation to be called better.
        seed: of the order of the images.
    """
    groups: list[tuple[Kind, str, str, str]] = []
    for kind in kinds:
        for data, rows in trials.items():
            if kind == "real":
                groups += [(kind, data, REAL, row) for row in rows]
            else:
                able = sorted(row for row in rows if row not in unrelated)  # as in any other order of the file
                groups += [(kind, data, a, b) for a, b in itertools.combinations(able, 2)]
    orders = {data: random.Random(f"{seed} {data}").sample(of, len(of)) for data, of in images.items()}
    found = []
    for turn in range(max(map(len, orders.values()), default=0)):
        for at, (kind, data, a, b) in enumerate(groups):
            order = orders[data]
            if turn < len(order):
                image = order[(turn + at) % len(order)]  # neighbours ask about different images
                first, second = (REAL if row == REAL else _of(trials[data][row], image, images[data]) for row in (a, b))
                if first != second:  # two rows may show one trial
                    found.append(Cell(kind, data, image, first, second, (kind, data, a, b)))
    return found


def practice_cells(
    trials: Mapping[str, Mapping[str, Sequence[str]]],
    images: Mapping[str, Sequence[int]],
    kinds: Sequence[Kind],
    unrelated: frozenset[str] = frozenset(),
    paired: frozenset[str] = frozenset(),
) -> list[Cell]:
    """All that can be practised on: choices of which `a` is the right one. Arguments as of `cells`.

    What is better is known of a real image against an output. Only in `paired` data sets does the real image translate
    the input, though: in others an output stands against noise.
    """
    found = []
    for kind in kinds:
        for data, rows in trials.items():
            for row, ids in rows.items():
                shown = [(image, _of(ids, image, images[data])) for image in images[data]]
                if kind == "real" or data in paired:
                    found += [Cell(kind, data, image, REAL, made) for image, made in shown]
                elif row not in unrelated:
                    found += [Cell(kind, data, image, made, NOISE) for image, made in shown]
    return found


def practise(pool: Sequence[Cell], count: int, rng: random.Random) -> list[Question]:
    """A rater's practice: of each kind equally many, one kind after the other, sides by chance.

    The pilot rounds of pix2pix's studies (Isola et al. 2017, section 4.1: 10 images with feedback before 40 without).
    """
    kinds = sorted({cell.kind for cell in pool})
    rng.shuffle(kinds)
    found = []
    for i, kind in enumerate(kinds):
        able = [cell for cell in pool if cell.kind == kind]
        share = count // len(kinds) + (i < count % len(kinds))
        found += [Question(cell, rng.random() < 0.5, practice=True) for cell in rng.sample(able, min(share, len(able)))]
    return found


def _of(ids: Sequence[str], image: int, images: Sequence[int]) -> str:
    return ids[images.index(image) % len(ids)]


def assign(pool: Sequence[Cell], asked: Asked, count: int, rng: random.Random) -> list[Question]:
    """A rater's questions: the cells asked least so far, each on the side on which it was shown less.

    Args:
        pool: from `cells`.
        asked: how often each cell was asked by now; of raters who left, only what they answered.
        count: of questions, without checks; no more than the pool has, so that nobody is asked the same twice.
        rng: of this rater: the order, and the sides where nothing speaks for one.

    Returns:
        questions of one kind after the other, shuffled within; checks among them, the first of them early.
    """
    chosen = sorted(pool, key=lambda cell: sum(asked.get(cell.key, (0, 0))))[:count]  # stable: the order of the pool
    lean = Counter[tuple[str, ...]]()  # of each group: how much more often its first stood left
    for cell in pool:
        left, right = asked.get(cell.key, (0, 0))
        lean[cell.group] += left - right
    questions = []
    for cell in chosen:
        left, right = asked.get(cell.key, (0, 0))
        weight = (left - right) or lean[cell.group]
        a_is_left = weight < 0 or (weight == 0 and rng.random() < 0.5)
        lean[cell.group] += 1 if a_is_left else -1
        questions.append(Question(cell, a_is_left))
    return _with_checks(_in_blocks(questions, rng), rng)


def _in_blocks(questions: Sequence[Question], rng: random.Random) -> list[Question]:
    """One kind after the other (to change the task with every question makes slips), each shuffled."""
    kinds = sorted({question.cell.kind for question in questions})
    rng.shuffle(kinds)
    blocks = ([question for question in questions if question.cell.kind == kind] for kind in kinds)
    return [question for block in blocks for question in rng.sample(block, len(block))]


def _with_checks(questions: Sequence[Question], rng: random.Random) -> list[Question]:
    """The questions with attention checks put between: a real image against noise, of the kind that surrounds it."""
    if not questions:
        return []
    count = max(FEWEST_CHECKS, math.ceil(len(questions) / CHECK_EVERY))
    bounds = [round(i * len(questions) / count) for i in range(count + 1)]
    sides = [bool(i % 2) for i in range(count)]
    rng.shuffle(sides)
    found = list(questions)
    for i in reversed(range(count)):
        last = bounds[i + 1] if i else min(bounds[1], FIRST_CHECK - 1)
        at = rng.randint(bounds[i], max(bounds[i], last - 1))
        near = questions[min(at, len(questions) - 1)].cell
        check = Cell(near.kind, near.data, near.image, REAL, NOISE, (near.kind, near.data, REAL, NOISE))
        found.insert(at, Question(check, sides[i], check=True))
    return found

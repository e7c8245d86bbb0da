"""What the report says in words: who leads and how surely, what a cell shows, and what was tested on how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from i2ibench.report.board import Board, Column, Row
from i2ibench.report.drawing import listed
from i2ibench.report.leaderboard import BELOW_COPY, beaten_by
from i2ibench.report.tables import DASH, number
from i2ibench.statistics import CONFIDENCE, Comparison, t_quantile

NO_PAIRS = "compares each output with its own target, and these images belong to other inputs"


@dataclass(frozen=True)
class Cell:
    """One number of the table: what it shows, what it sorts by, and what it says on a closer look."""

    text: str
    spread: str = ""
    sort: float | None = None
    note: str = ""
    best: bool = False
    tied: bool = False


def position(value: float | None, values: Iterable[float | None]) -> str:
    """The place of one of some values, of which the least comes first; those that are level share it."""
    return DASH if value is None else str(1 + sum(other is not None and other < value for other in values))


def cell(row: Row, column: Column) -> Cell:
    """What the table shows of a row and a column."""
    summary = row.cells.get(column.name)
    if column.kind == "cost":
        return _cost(row, column)
    if column.name not in row.cells:
        return Cell(DASH, note=NO_PAIRS if row.reference and column.group.startswith("Each") else "does not apply")
    if summary is None:
        return Cell(DASH, note=f"no score: {row.state}")
    own = {interval.seed: interval for interval in row.intervals.get(column.name, ())}
    best, tied = column.name in row.best, column.name in row.tied
    if summary.sd is None or summary.half_width is None:
        note, spread = "n = 1 seed", ""
        if own:
            interval = next(iter(own.values()))
            spread = f"{number(column, interval.low)} … {number(column, interval.high)}"
            note += f"; {interval.kind} {spread}"
        return Cell(number(column, summary.mean), spread, summary.mean, note, best, tied)
    values = ", ".join(
        number(column, value)
        + (f" ({number(column, own[seed].low)} … {number(column, own[seed].high)})" if seed in own else "")
        for seed, value in sorted(row.by_seed.get(column.name, {}).items())
    )
    kinds = f"; in brackets {listed(sorted({i.kind for i in own.values()}))}" if own else ""
    note = f"n = {summary.n} seeds, standard deviation {number(column, summary.sd)}, seeds: {values}{kinds}"
    return Cell(number(column, summary.mean), f"± {number(column, summary.half_width)}", summary.mean, note, best, tied)


def _cost(row: Row, column: Column) -> Cell:
    summary = row.cells.get(column.name)
    if row.reference or summary is None:
        return Cell(DASH, note="a reference is not trained" if row.reference else f"no value: {row.state}")
    return Cell(number(column, summary.mean), "", summary.mean, f"mean of n = {summary.n}")


@dataclass(frozen=True)
class Win:
    """One method that leads on some metrics."""

    label: str
    scores: tuple[tuple[str, str], ...]  # metric's title, mean ± half-width with n


def wins(board: Board) -> list[Win]:
    """Who has the best mean of what, in the order of the board. Nothing is won where one method alone has a score."""
    led = [(row, [column for column in _contested(board) if column.name in row.best]) for row in board.rows]
    return [Win(row.label, tuple(_score(row, column) for column in columns)) for row, columns in led if columns]


def _contested(board: Board) -> list[Column]:
    return [c for c in board.scores if sum(row.cells.get(c.name) is not None for row in board.rows) > 1]


def _score(row: Row, column: Column) -> tuple[str, str]:
    summary = row.cells[column.name]
    assert summary is not None  # a row is best only where it has a mean
    spread = "" if summary.half_width is None else f" ± {number(column, summary.half_width)}"
    unit = f" {column.unit}" if column.unit else ""
    return column.title, f"{number(column, summary.mean)}{spread}{unit}, n = {summary.n}"


def certainty(board: Board) -> str:
    """Which of the leads are significant, as a sentence; "" where there is nothing to lead."""
    sure: list[str] = []
    open_: list[str] = []
    untested: list[str] = []
    for column in _contested(board):
        if column.unsound:
            continue
        leaders = {row.label for row in board.rows if column.name in row.best}
        if len(leaders) == sum(row.cells.get(column.name) is not None for row in board.rows):
            continue  # all are equal
        against = [c for c in board.comparisons if c.metric == column.name and len(leaders & {c.a, c.b}) == 1]
        tested = [c for c in against if c.p is not None]
        place = untested if not tested else sure if all(c.winner in leaders for c in against) else open_
        place.append(column.title)
    if not (sure or open_ or untested):
        return ""
    said = []
    if sure:
        alone = "" if max(row.seeds_done for row in board.rows) > 1 else ", over test images of one training each"
        said.append(f"The lead on {listed(sure)} is significant against every other method tested{alone}.")
    if open_:
        which = "every score" if not (sure or untested) and len(open_) > 1 else listed(open_)
        said.append(f"On {which} at least one other method is not shown to be worse than the leader.")
    if untested:
        said.append(
            f"On {listed(untested)} nothing can be tested: "
            "that takes two seeds, and differences that vary between them."
        )
    return " ".join(said)


def against_copy(board: Board) -> str:
    """Who does worse than the reference `copy`, which does nothing, as a sentence; "" if nobody does."""
    copy = next((row for row in board.references if row.method == "copy"), None)
    if copy is None:
        return ""
    flagged = [row.label for row in board.rows if BELOW_COPY in row.flags]
    scored = [row for row in board.rows if any(row.cells.get(column.name) for column in board.scores)]
    beaten = [beaten_by(row, copy, board.scores) for row in scored]
    nobody = [
        column.title
        for column in board.scores
        if any(column in worse for worse, _ in beaten) and not any(column in better for _, better in beaten)
    ]
    said = []
    if flagged:
        verb = "does" if len(flagged) == 1 else "do"
        said.append(f"On most scores {listed(flagged)} {verb} worse than {copy.label}, which changes nothing.")
    if nobody:
        said.append(f"On {listed(nobody)} no method beats {copy.label}{'' if flagged else ', which changes nothing'}.")
    return " ".join(said)


def summary(boards: Sequence[Board]) -> str:
    """What the head of the page says of each data set, as lines for a terminal."""
    lines = []
    for board in boards:
        won = [
            f"{win.label} has the best mean {listed([f'{title} ({value})' for title, value in win.scores])}"
            for win in wins(board)
        ]
        said = [f"{listed(won)}. {certainty(board)}".strip()] if won else []
        if worse := against_copy(board):
            said.append(worse)
        if troubled := flagged(board):
            said.append(troubled)
        if said:
            lines.append(f"{board.data}: {' '.join(said)}")
    return "".join(f"{line}\n" for line in lines)


def flagged(board: Board) -> str:
    """Which rows had troubles in training, and of what kind; "" if none."""
    of: dict[str, list[str]] = {}
    for row in board.rows:
        for name in _troubles(row):
            of.setdefault(name, []).append(row.label)
    kinds = [f"{name} ({listed(labels)})" for name, labels in of.items()]
    return f"Flagged (see the notes below the table): {'; '.join(kinds)}." if kinds else ""


def _troubles(row: Row) -> list[str]:
    """Names of a row's flags, but for the one that has a sentence of its own (`against_copy`)."""
    return [name for name in row.flags if name != BELOW_COPY]


def not_run(board: Board) -> str:
    """The rows whose trials are still to come, as a list; with their seeds where others of the row are there."""
    waiting: dict[str, list[str]] = {}
    for problem in board.problems:
        if problem.state == "waiting":
            waiting.setdefault(problem.label, []).append(str(problem.seed))
    planned = {row.label: row.seeds for row in (*board.rows, *board.references)}
    return (
        listed(
            [
                label if len(seeds) == planned.get(label) else f"{label} (seed{'s' * (len(seeds) > 1)} {listed(seeds)})"
                for label, seeds in waiting.items()
            ]
        )
        if waiting
        else ""
    )


def seeds_note(board: Board) -> str:
    """How wide an interval is for so many seeds, or that there is none."""
    sizes = sorted(
        {s.n for row in board.rows for c in board.scores if (s := row.cells.get(c.name)) is not None and s.n > 1}
    )
    if not any(row.cells.get(c.name) for row in board.rows for c in board.scores):
        return ""
    if not sizes:
        own = " In its place stands how far other test images might move the score." if any(
            row.intervals for row in board.rows
        ) else ""  # fmt: skip
        return f"With one seed there is no interval over trainings.{own}"
    factors = " and ".join(f"{t_quantile(n) / n**0.5:.1f} standard deviations for n = {n}" for n in sizes)
    return f"± is the half-width of the {CONFIDENCE:.0%} Student t interval of the mean over seeds: {factors}."


def tests_note(board: Board) -> str:
    """What was tested how, and on how many."""
    tested = [one for one in board.comparisons if one.p is not None]
    if not tested:
        return "No two methods could be tested against each other: that takes two seeds, or scores of single images."
    seeds, images = _range(one.seeds for one in tested), _range(one.images for one in tested if one.images)
    pairs = _range(Counter(one.metric for one in tested).values())
    welch = "" if all(one.paired for one in tested) else ", Welch’s where two methods share fewer than two"
    said = [f"Over seeds (n = {seeds}): paired t test{welch}; would other trainings differ?"] if any(
        one.p_seeds is not None for one in tested
    ) else ["One seed is no sample of trainings: what is shown holds for these trained networks alone."]  # fmt: skip
    if images:
        said.append(
            f"Over test images (n = {images}), for scores that have a value per image: Wilcoxon’s signed-rank test of "
            "the mean over seeds; would other images differ?"
        )
    said.append(
        "Where there are both, the larger p counts. p is corrected for the number of pairs under each score "
        f"({pairs}, Holm); significant is p < {1 - CONFIDENCE:.2f}."
    )
    finished = sum(row.state == "done" for row in board.rows)
    if finished > len(board.compared):
        said.append(
            f"Tested are {len(board.compared)} of {finished} methods: the first, and those that lead by some score."
        )
    return " ".join(said)


def trainings_note(comparisons: Iterable[Comparison]) -> str:
    """How pairs that share fewer than two seeds are tested, and what that leaves open; "" if there are none."""
    tested, said = [one for one in comparisons if one.p is not None], []
    if not all(one.paired for one in tested):
        said.append("Where two share fewer than two seeds, and each has several, all of them count, by Welch’s t test.")
    if any(one.seeds < 2 for one in tested):
        said.append(
            "Pairs with fewer than two seeds in common, and one alone on a side, are tested over images only: a "
            "verdict on them is about these trained networks, and other trainings may turn it."
        )
    return " ".join(said)


def _range(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return "" if not found else f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def p_value(p: float | None) -> str:
    """A p-value as papers give it."""
    return DASH if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_said(p: float) -> str:
    """The same in a sentence: p < 0.001, or p = 0.020."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def verdict(one: Comparison) -> str:
    if one.p is None:
        return "not tested"
    return f"{one.winner} is better" if one.winner else "not told apart"

"""Which differences of a leaderboard are real: pairs of methods tested by every score, and ties with the best."""

from __future__ import annotations

from dataclasses import replace

from i2ibench import statistics
from i2ibench.frames import PerImage
from i2ibench.report.board import Board, Column, Row
from i2ibench.statistics import Comparison

COMPARED = 16  # rows from the top: 120 pairs by each score, which a reader can still take in


def tested(board: Board) -> list[str]:
    """The rows that are tested against each other: of those that finished the first COMPARED, and each score's best."""
    finished = [row for row in board.rows if row.state == "done"]
    return [row.label for place, row in enumerate(finished) if place < COMPARED or row.best]


def compared(board: Board, per_image: PerImage) -> Board:
    """The board with the rows of `tested` compared in pairs, and the ties with the best marked.

    per_image: label -> metric -> seed -> (images,), from `frames.per_image`.
    """
    labels = tested(board)
    rows = [row for row in board.rows if row.label in labels]
    found = [one for column in board.scores if not column.unsound for one in _by(column, rows, per_image)]
    tied = ties(board, found)
    return replace(
        board,
        rows=tuple(
            replace(row, tied=frozenset(m for m, labels in tied.items() if row.label in labels)) for row in board.rows
        ),
        compared=tuple(labels),
        comparisons=tuple(found),
    )


def _by(column: Column, rows: list[Row], images: PerImage) -> list[Comparison]:
    scores = {row.label: row.by_seed[column.name] for row in rows if row.by_seed.get(column.name)}
    values = {label: images[label][column.name] for label in scores if column.name in images.get(label, {})}
    return statistics.compare(column.name, scores, values, column.higher_is_better)


def ties(board: Board, comparisons: list[Comparison]) -> dict[str, set[str]]:
    """metric -> the rows that were tested against the best one and are not shown to be worse.

    One can even be better over the seeds that both have, where the best one's mean is over others too.
    """
    best = {(row.label, metric) for row in board.rows for metric in row.best}
    tied: dict[str, set[str]] = {}
    for one in comparisons:
        if one.p is not None:
            for label, other in ((one.a, one.b), (one.b, one.a)):
                if one.winner != label and (label, one.metric) in best and (other, one.metric) not in best:
                    tied.setdefault(one.metric, set()).add(other)
    return tied


def win_matrix(board: Board) -> dict[tuple[str, str], list[Comparison]]:
    """(a, b) -> the scores by which a is significantly better than b, for all pairs that were tested by some score."""
    won: dict[tuple[str, str], list[Comparison]] = {}
    for one in board.comparisons:
        if one.p is not None:
            for pair in ((one.a, one.b), (one.b, one.a)):
                won.setdefault(pair, [])
            if one.winner:
                won[one.winner, one.b if one.winner == one.a else one.a].append(one)
    return won


def against_the_best(board: Board) -> list[Comparison]:
    """Each score's leader against every other row that was tested, in the order of the board."""
    best = {metric: row.label for row in reversed(board.rows) for metric in row.best}
    return [one for one in board.comparisons if best.get(one.metric) in (one.a, one.b)]

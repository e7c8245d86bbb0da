"""Leaderboards as text: numbers as people read them, the Markdown document, and the table behind the CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, fields

import pandas as pd

from i2ibench.metrics.catalog import decimal
from i2ibench.report.board import Board, Column, Row
from i2ibench.report.drawing import listed
from i2ibench.report.overall import Overall
from i2ibench.statistics import Comparison, Summary

DASH = "–"
OVERALL = ("method", "mean place", "first on")  # columns of the board over data sets, before those data sets


def number(column: Column, value: float) -> str:
    """A value of a column as people read it: 4.2M parameters, 1.5 min, 0.123."""
    if column.kind == "score":
        return decimal(value, column.decimals)
    return amount(column.name, column.unit, value)


def amount(cost: str, unit: str, value: float) -> str:
    """A cost as people read it, without its unit where that stands at the head of the column."""
    if cost == "parameters":
        return _short(value)
    if unit == "s":
        return duration(value)
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """A length of time as people say it: 7.3 s, 2.5 min, 12.0 h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _short(value: float) -> str:
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.0f}"


def text(column: Column, summary: Summary | None) -> str:
    """A cell: mean ± half-width for a score with an interval, the mean alone otherwise, a dash for nothing."""
    if summary is None:
        return DASH
    mean = number(column, summary.mean)
    if column.kind == "cost" or summary.half_width is None:
        return mean
    return f"{mean} ± {number(column, summary.half_width)}"


def ranking_note(board: Board) -> str:
    """Which scores the mean rank leaves out, and why; "" if none."""
    by_reason: dict[str, list[str]] = {}
    for column in board.scores:
        if column.unranked:
            by_reason.setdefault(column.unranked, []).append(column.title)
    rest = listed([column.title for column in board.ranked])
    parts = [f"{listed(ts)} {'has' if len(ts) == 1 else 'have'} no part in it: {why}" for why, ts in by_reason.items()]
    return f"The mean rank is over {rest}; {'; '.join(parts)}." if parts else ""


def to_frame(boards: Sequence[Board]) -> pd.DataFrame:
    """One row per data set and method. Per score: mean, `_sd`, `_half_width` (95 % Student t), `_n`; costs as means.

    Reference rows have no costs. `ways`: over how many ways of a set of several domains a row is the mean.
    """
    records = []
    for board in boards:
        for row in (*board.rows, *board.references):
            record: dict[str, object] = {
                "data": board.data,
                "ways": board.ways,
                "label": row.label,
                "method": row.method,
                "reference": row.reference,
                "state": row.state,
                "seeds_done": row.seeds_done,
                "seeds": row.seeds,
                "mean_rank": row.mean_rank,
                "flags": "; ".join(row.flags),
            }
            for column in board.columns:
                summary = row.cells.get(column.name)
                record[column.name] = summary and summary.mean
                if column.kind == "score":
                    record[f"{column.name}_sd"] = summary and summary.sd
                    record[f"{column.name}_half_width"] = summary and summary.half_width
                    record[f"{column.name}_n"] = summary.n if summary else 0
            records.append(record)
    return pd.DataFrame(records)


def comparisons(boards: Sequence[Board]) -> pd.DataFrame:
    """Every pair that was tested: the fields of `statistics.Comparison`, with the data set and who won, if anyone."""
    columns = ["data", *(field.name for field in fields(Comparison)), "winner"]
    return pd.DataFrame(
        [{"data": board.data, **asdict(one), "winner": one.winner} for board in boards for one in board.comparisons],
        columns=columns,
    )


def to_markdown(name: str, boards: Sequence[Board], standings: Overall | None = None) -> str:
    """The leaderboards as a Markdown document."""
    parts = [f"# {plain(name)}"]
    for board in boards:
        parts += [f"## {plain(board.data)}", _markdown_table(board), _markdown_notes(board)]
    if standings is not None:
        table = places(standings).map(plain).rename(columns=plain)
        parts += ["## Overall: places by mean rank", table.to_markdown(index=False, disable_numparse=True)]
    return "\n\n".join(part for part in parts if part) + "\n"


def places(standings: Overall) -> pd.DataFrame:
    """The leaderboard over data sets as people read it: text alone."""
    table = overall(standings).map(lambda cell: cell if isinstance(cell, str) else _place(cell))
    return table.rename(columns={name: name.capitalize() for name in OVERALL})


def _place(value: float) -> str:
    return DASH if math.isnan(value) else f"{value:.3g}"


def overall(standings: Overall) -> pd.DataFrame:
    """The leaderboard over data sets: the mean of the places on each; NaN where there is none."""

    def known(place: float | None) -> float:
        return math.nan if place is None else place

    rows = [(one.label, known(one.mean_place), one.firsts, *map(known, one.places)) for one in standings.standings]
    return pd.DataFrame(rows, columns=[*OVERALL, *standings.data])


def _markdown_table(board: Board) -> str:
    def cell(row: Row, column: Column) -> str:
        content = text(column, row.cells.get(column.name))
        mark = "**" if column.name in row.best else "_" if column.name in row.tied else ""
        return f"{mark}{content}{mark}"

    rows = [
        [
            _name(row),
            row.state.upper() if row.state != "done" else f"{row.seeds_done}/{row.seeds}" if row.seeds else DASH,
            f"{row.mean_rank:.1f}" if row.mean_rank is not None else DASH,
            *(cell(row, column) for column in board.columns),
        ]
        for row in (*board.rows, *board.references)
    ]
    headers = ["Method", "Seeds", "Mean rank", *(f"{column.head} {column.arrow}" for column in board.columns)]
    return pd.DataFrame(rows, columns=headers).to_markdown(index=False, disable_numparse=True)


def _name(row: Row) -> str:
    label = f"*{plain(row.label)}*" if row.reference else plain(row.label)
    return f"{label} ({plain(', '.join(row.flags))}, see below)" if row.flags else label


def _markdown_notes(board: Board) -> str:
    notes = [
        f"{ranking_note(board)} Means over seeds ± half-width of the 95% Student t interval; the best mean of each "
        "score is bold, what was tested and does not differ from it significantly is italic. "
        "Rows in italics are references that bound the scale; they are not ranked."
    ]
    notes += [
        f"- {plain(problem.label)}{'' if problem.seed is None else f' (seed {problem.seed})'}: "
        f"{problem.state.upper()}: {plain(problem.reason)}{f' (log: {plain(problem.log)})' if problem.log else ''}"
        for problem in board.problems
    ]
    notes += [
        f"- {plain(n.label)}{'' if n.seed is None else f' (seed {n.seed})'}: {plain(n.flag)}: {plain(n.reason)}"
        for n in board.notes
    ]
    return "\n".join([notes[0], "", *notes[1:]]).strip()


def plain(words: object) -> str:
    """Text of unknown origin as one line of Markdown that shows it and obeys none of it."""
    escaped = "".join(f"\\{letter}" if letter in "\\`*_[]|#~" else letter for letter in " ".join(str(words).split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

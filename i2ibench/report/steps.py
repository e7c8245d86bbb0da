"""The figure of what a sampler's steps buy: rows of one training that only translate in more or fewer passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from i2ibench.report.board import Board, Row
from i2ibench.report.drawing import (
    SHOWN,
    Drawing,
    joined_rows,
    legend_above,
    listed,
    log_axis,
    reference_lines,
    shorten,
)
from i2ibench.report.style import Looks, figure, house

if TYPE_CHECKING:
    from i2ibench.plan import Plan

SPEED = "translate_images_per_second"


@dataclass(frozen=True)
class Line:
    """Finished rows of one training, by the one setting in which they differ, from low to high."""

    key: str
    rows: dict[float, Row]

    @property
    def name(self) -> str:
        """The first row's label without the setting that varies."""
        value, first = next(iter(self.rows.items()))
        return first.label.replace(f" {self.key}={value}", "")

    def against(self, time: bool) -> list[tuple[float, Row]]:
        """Each row with its setting, or with the seconds that it takes for an image where they are known."""
        if not time:
            return list(self.rows.items())
        speeds = [(row.cells.get(SPEED), row) for row in self.rows.values()]
        return sorted(
            ((1 / cell.mean, row) for cell, row in speeds if cell and cell.mean > 0), key=lambda both: both[0]
        )


def steps(board: Board, plan: Plan, looks: Looks) -> Drawing | None:
    """Scores against the steps of the sampler, and against the seconds that an image takes; None without such rows."""
    lines = families(board, plan)
    rows = [row for line in lines for row in line.rows.values()]
    found = [column for column in board.scores if any(row.cells.get(column.name) for row in rows)]
    columns = ([column for column in found if not column.unsound] or found)[:3]
    if not columns:
        return None
    scales = [(listed(sorted({line.key for line in lines})), False)]
    if any(line.against(True) for line in lines):
        scales.append(("seconds per image", True))
    with house():
        drawing = figure(11, 0.6 + 2.9 * len(scales))
        axes = drawing.subplots(len(scales), len(columns), squeeze=False, sharey="col")
        for column, across in zip(columns, axes.T, strict=True):
            for ax, (title, time) in zip(across, scales, strict=True):
                seen = [
                    x for line in lines for x in joined_rows(ax, column, line.against(time), shorten(line.name), looks)
                ]
                if logarithmic := bool(seen) and min(seen) > 0:
                    log_axis(ax.xaxis, "{:g}".format, min(seen), max(seen))
                reference_lines(ax, column, board.references, named=column is columns[-1])
                along = f"{title} (log)" if logarithmic else title
                ax.set(title=f"{column.head} {column.arrow}", xlabel=along, ylabel=column.direction)
        legend_above(drawing, axes[0, 0], 4)
    names = [f"{line.name} ({line.key} {', '.join(f'{value:g}' for value in line.rows)})" for line in lines]
    return Drawing(
        f"steps-{board.slug}",
        "Score against sampler steps",
        "Rows of one training that differ only in how they translate, joined by a line: mean over seeds, bars span "
        "them. Above against the setting, below against the seconds that it takes for an image (log scales). Dotted: "
        "references.",
        f"{listed([column.title for column in columns])} on {board.data} against sampler steps: {'; '.join(names)}.",
        drawing,
    )


def families(board: Board, plan: Plan) -> list[Line]:
    """Finished rows that share a training and differ in one number alone; only where there are two or more.

    On one board rows that share a training (`trained_as`) differ in settings of `Method.sampling` alone. Where several
    of them vary, the number that takes the most values is the axis, and each setting of the others a line.
    """
    rows = {row.label: row for row in board.rows if row.state == "done"}
    trainings: dict[str, dict[str, dict[str, Any]]] = {}
    known: set[str] = set()
    for spec in plan.trials:  # one seed tells who belongs together: the first
        if spec.data == board.data and spec.label in rows and spec.label not in known and spec.trained:
            known.add(spec.label)
            trainings.setdefault(spec.trained_as, {})[spec.label] = dict(spec.params)
    lines: list[Line] = []
    for members in trainings.values():
        values = {key: {repr(params[key]) for params in members.values()} for key in next(iter(members.values()))}
        varied = {key: len(found) for key, found in values.items() if len(found) > 1}
        numbers = [key for key in varied if all(_is_number(params[key]) for params in members.values())]
        if not numbers:
            continue
        key = max(numbers, key=lambda name: varied[name])
        together: dict[str, dict[float, Row]] = {}
        for label, params in members.items():
            others = repr([params[other] for other in varied if other != key])
            together.setdefault(others, {})[params[key]] = rows[label]
        lines += [Line(key, dict(sorted(found.items()))) for found in together.values() if len(found) > 1]
    return lines[:SHOWN]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

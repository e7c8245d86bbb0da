"""Prints what differs between two runs or more: settings and surroundings, scores with their tests, and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from i2ibench.frames import COSTS
from i2ibench.report.tables import DASH, amount
from i2ibench.report.words import p_value, verdict
from i2ibench.show import console

if TYPE_CHECKING:
    from i2ibench.changes import Compared


def changes(found: Compared) -> None:
    """Three tables, each only where there is something to say."""
    rows: list[tuple[str, ...]]
    if found.differences:
        rows = [(d.what, d.where or "all shared", *d.values) for d in found.differences]
        _print("what", "rows", *found.names, rows=rows)
    if not found.scores:
        console.print("no row has different trials, with scores, in two of the runs")
        return
    rows = []
    for change in found.scores:
        one = change.comparison
        n = f"{one.seeds} seed{'s' if one.seeds != 1 else ''}" + (f", {one.images} images" if one.images else "")
        rows.append((change.data, change.title, one.a, one.b, f"{one.difference:.4g}", n, p_value(one.p), verdict(one)))
    _print("data", "score", "first", "second", "first − second", "n", "p, Holm", "verdict", rows=rows)
    costs = [
        (*row, *(" → ".join(_cost(name, value) for value in of.get(name, ())) for name in found.cost_names))
        for row, of in found.costs_by_row.items()
    ]
    _print("data", "row", *(COSTS[name].title for name in found.cost_names), rows=costs)
    if costs and not found.same_hardware:
        console.print("the runs were made on different hardware: times and speeds say as much of it as of the methods")


def _cost(name: str, value: float | None) -> str:
    if value is None:
        return DASH
    unit = COSTS[name].unit
    return amount(name, unit, value) + (" MB" if unit == "MB" else "")


def _print(*header: str, rows: list[tuple[str, ...]]) -> None:
    if not rows:
        return
    table = Table()
    for name in header:
        table.add_column(Text(name))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)

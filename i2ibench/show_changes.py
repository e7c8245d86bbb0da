"""Prints what differs between two runs or more: settings and surroundings, scores with their tests, and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2ibench.costs import COSTS
from i2ibench.report.tables import DASH, amount
from i2ibench.report.words import p_value, verdict
from i2ibench.show import console, table

if TYPE_CHECKING:
    from i2ibench.changes import Compared


def changes(found: Compared) -> None:
    """Three tables, each only where there is something to say."""
    if found.differences:
        table(("what", "rows", *found.names), ((d.what, d.where or "all shared", *d.values) for d in found.differences))
    if not found.scores:
        console.print("no row has different trials, with scores, in two of the runs")
        return
    rows = []
    for change in found.scores:
        one = change.comparison
        n = f"{one.seeds} seed{'s' if one.seeds != 1 else ''}" + (f", {one.images} images" if one.images else "")
        rows.append((change.data, change.title, one.a, one.b, f"{one.difference:.4g}", n, p_value(one.p), verdict(one)))
    header = ("data", "score", "first", "second", "first − second", "n", "p, Holm", "verdict")
    table(header, rows, right=("first − second", "p, Holm"))
    costs = [
        (*row, *(" → ".join(_cost(name, value) for value in of.get(name, ())) for name in found.cost_names))
        for row, of in found.costs_by_row.items()
    ]
    if not costs:
        return
    table(("data", "row", *(COSTS[name].title for name in found.cost_names)), costs)
    if not found.same_hardware:
        console.print("the runs were made on different hardware: times and speeds say as much of it as of the methods")


def _cost(name: str, value: float | None) -> str:
    if value is None:
        return DASH
    unit = COSTS[name].unit
    return amount(name, unit, value) + (" MB" if unit == "MB" else "")

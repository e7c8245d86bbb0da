"""Prints what differs between two runs or more: settings and surroundings, scores with their tests, and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2ibench.costs import COSTS
from i2ibench.metrics.catalog import headed
from i2ibench.report.tables import DASH, amount, number
from i2ibench.report.words import p_value, trainings_note, verdict
from i2ibench.show import console, table

if TYPE_CHECKING:
    from i2ibench.changes import Compared


def changes(found: Compared) -> None:
    """Three tables, each only where there is something to say."""
    if found.differences:
        table(("what", "rows", *found.names), ((d.what, d.where, *d.values) for d in found.differences))
    if not found.scores:
        console.print("no row has different trials, with scores, in two of the runs")
        return
    rows = []
    for change in found.scores:
        one = change.comparison
        n, difference = (one.seeds, one.images or DASH), number(change.column, one.difference)
        rows.append((change.data, change.column.head, one.a, one.b, difference, *n, p_value(one.p), verdict(one)))
    header = ("data", "score", "first", "second", "difference", "seeds", "images", "p, Holm", "verdict")
    table(header, rows, right=("difference", "seeds", "images", "p, Holm"))
    if note := trainings_note(change.comparison for change in found.scores):
        console.print(note)
    costs = [
        (*row, *(" → ".join(_cost(name, value) for value in of.get(name, ())) for name in found.cost_names))
        for row, of in found.costs_by_row.items()
    ]
    if not costs:
        return
    table(("data", "row", *(headed(COSTS[name].title, COSTS[name].unit) for name in found.cost_names)), costs)
    if not found.same_hardware:
        console.print("the runs were made on different hardware: times and speeds say as much of it as of the methods")


def _cost(name: str, value: float | None) -> str:
    if value is None:
        return DASH
    return amount(name, COSTS[name].unit, value)

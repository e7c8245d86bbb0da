"""Prints what differs between rows of equal name in two benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from i2ibench.show import console

if TYPE_CHECKING:
    from i2ibench.joint import Change


def changes(found: Sequence[Change]) -> None:
    """A line for each row and score: by how much they differ, on how many seeds and images, and how surely."""
    if not found:
        console.print("no row has different trials in two of the benchmarks")
        return
    table = Table("data", "score", "first", "second", "difference", "n", "p", "verdict")
    for change in found:
        one = change.comparison
        n = f"{one.seeds} seed{'s' if one.seeds != 1 else ''}" + (f", {one.images} images" if one.images else "")
        p = "-" if one.p is None else f"{one.p:.3g}"
        verdict = "not tested" if one.p is None else f"{one.winner} is better" if one.winner else "not told apart"
        table.add_row(change.data, change.title, one.a, one.b, f"{one.difference:.4g}", n, p, verdict)
    console.print(table)

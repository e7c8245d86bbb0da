"""Tables on a terminal, made for 80 columns: one rule, no empty columns, no word broken where all of them fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 2  # between two columns


class Columns:
    """Rows under a header, laid out for the terminal that they are printed on.

    A column in which no row has anything is left out. Lines break between words; within one only where the longest
    words of all columns do not fit side by side.
    """

    def __init__(
        self, header: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", right: Sequence[str] = ()
    ) -> None:
        """`rows` may hold rich's `Text`, or anything that `str` makes text of; columns in `right` are flush right."""
        cells = [[cell if isinstance(cell, Text) else Text(str(cell)) for cell in row] for row in rows]
        filled = [i for i in range(len(header)) if not cells or any(row[i].plain for row in cells)]
        self._header = [header[i] for i in filled]
        self._rows = [[row[i] for i in filled] for row in cells]
        self._title, self._right = title, right

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view = Table(
            title=Text(self._title) if self._title else None, title_justify="left", header_style="bold",
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0),
        )  # fmt: skip
        texts = [(name, *(row[i].plain for row in self._rows)) for i, name in enumerate(self._header)]
        room = options.max_width - GAP * len(texts) + 1
        for name, width in zip(self._header, _widths(texts, room), strict=True):
            view.add_column(
                Text(name), overflow="fold", width=width, justify="right" if name in self._right else "left"
            )
        for row in self._rows:
            view.add_row(*row)
        yield view


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int | None]:
    """Room for the longest word of each column, and for whole lines where that costs least; None: for rich to say.

    Rich alone takes from the widest column first, which may be one long word, and breaks it.
    """
    words = [max(cell_len(word) for text in texts for word in text.split() or [""]) for texts in columns]
    lines = [max(cell_len(line) for text in texts for line in text.splitlines() or [""]) for texts in columns]
    spare = room - sum(words)
    if spare < 0:
        return [None] * len(columns)
    widths: list[int | None] = list(words)
    for i in sorted(range(len(columns)), key=lambda i: lines[i] - words[i]):
        more = min(lines[i] - words[i], spare)
        widths[i], spare = words[i] + more, spare - more
    return widths

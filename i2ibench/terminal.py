"""What all commands do on a terminal: say a line as it is, and show how far something long has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.text import Text


def say(console: Console, line: str, style: str = "") -> None:
    """Print a line of whatever text: nothing in it is markup, and where it is long the terminal breaks it."""
    console.print(Text(line, style=style), soft_wrap=True)


@contextmanager
def progress(console: Console, what: str, *columns: str | ProgressColumn) -> Iterator[Callable[..., None]]:
    """A bar that comes with the first `advance(done, total, what)` and goes with the block; on a terminal alone."""
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, visible=False)

        def advance(done: int, total: int, what: str | None = None) -> None:
            bar.update(task, completed=done, total=total or None, description=what, visible=True)

        yield advance

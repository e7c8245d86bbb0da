"""index.html: one self-contained page of leaderboards, figures, protocol and provenance."""

from __future__ import annotations

import base64
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from i2ibench import __version__, results
from i2ibench.report.figures import Drawing, listed
from i2ibench.report.leaderboard import Board, Column, Row
from i2ibench.report.style import Looks
from i2ibench.report.tables import DASH, number
from i2ibench.statistics import CONFIDENCE, Summary, t_quantile

if TYPE_CHECKING:
    from i2ibench.data.source import Images
    from i2ibench.plan import Plan
    from i2ibench.store import Store

HERE = Path(__file__).parent
NO_PAIRS = "needs pairs, and these images do not belong to their inputs"


@dataclass(frozen=True)
class Cell:
    """One number of the table: what it shows, what it sorts by, and what it says on a closer look."""

    text: str
    spread: str = ""
    sort: float | None = None
    note: str = ""
    best: bool = False


@dataclass(frozen=True)
class Win:
    """One method that leads on some metrics."""

    label: str
    scores: tuple[tuple[str, str], ...]  # metric's title, mean ± half-width with n


def render(
    plan: Plan,
    store: Store,
    images: Mapping[str, Images],
    boards: Sequence[Board],
    drawings: Mapping[str, Sequence[Drawing]],
    folder: Path,
    looks: Looks,
    command: str | None = None,
) -> str:
    """The page as text. `folder` holds the saved drawings, which are put into it."""
    stamps = results.stamps(plan, store)
    return _template().render(
        name=plan.name,
        version=__version__,
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        boards=boards,
        drawings=drawings,
        picture=lambda drawing: _picture(drawing, folder),
        cell=cell,
        wins=wins,
        overlapping=overlapping,
        seeds_note=seeds_note,
        colours=looks.colours,
        states=Counter(problem.state for board in boards for problem in board.problems),
        finished=sum(row.seeds_done for board in boards for row in (*board.rows, *board.references)),
        trials=sum(row.seeds for board in boards for row in (*board.rows, *board.references)),
        images=images,
        fingerprints={label: data.fingerprint for label, data in plan.data.items()},
        warnings={data: stamp["warnings"] for data, stamp in stamps.items()},
        stamps={data: flat(stamp) for data, stamp in stamps.items()},
        provenance=results.provenance(plan, store),
        yaml=plan.text,
        file=Path(plan.file).name,
        command=command or f"i2ibench report {shlex.quote(results.shown(Path(plan.file)))}",
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["listed"] = listed
    return environment.get_template("page.html")


def cell(board: Board, row: Row, column: Column) -> Cell:
    """What the table shows of a row and a column."""
    summary = row.cells.get(column.name)
    if column.kind == "cost":
        return _cost(row, column, summary)
    if summary is None:
        return Cell(DASH, note=NO_PAIRS if row.reference and row.state == "done" else f"no score: {row.state}")
    seeds = f"n = {summary.n}"
    if summary.sd is None or summary.half_width is None:
        return Cell(number(column, summary.mean), "", summary.mean, f"{seeds}: no interval", column.name in row.best)
    spread = f"± {number(column, summary.half_width)}"
    values = ", ".join(number(column, value) for value in summary.values)
    note = f"{seeds}, standard deviation {number(column, summary.sd)}, seeds: {values}"
    return Cell(number(column, summary.mean), spread, summary.mean, note, column.name in row.best)


def _cost(row: Row, column: Column, summary: Summary | None) -> Cell:
    if row.reference or summary is None:
        return Cell(DASH, note="a reference is not trained" if row.reference else f"no value: {row.state}")
    return Cell(number(column, summary.mean), "", summary.mean, f"mean of n = {summary.n}")


def wins(board: Board) -> list[Win]:
    """Who has the best mean of what, in the order of the board. Nothing is won where one method alone has a score."""
    contested = [c for c in board.scores if sum(row.cells.get(c.name) is not None for row in board.rows) > 1]
    led = [(row, [column for column in contested if column.name in row.best]) for row in board.rows]
    return [Win(row.label, tuple(_score(row, column) for column in columns)) for row, columns in led if columns]


def _score(row: Row, column: Column) -> tuple[str, str]:
    summary = row.cells[column.name]
    assert summary is not None  # a row is best only where it has a mean
    spread = "" if summary.half_width is None else f" ± {number(column, summary.half_width)}"
    return column.title, f"{number(column, summary.mean)}{spread}, n = {summary.n}"


def overlapping(board: Board) -> list[str]:
    """Titles of the metrics on which the best method's interval overlaps that of another one."""
    titles = []
    for column in board.scores:
        cells = [(row, summary) for row in board.rows if (summary := row.cells.get(column.name)) is not None]
        best = [summary for row, summary in cells if column.name in row.best]
        others = [summary for row, summary in cells if column.name not in row.best]
        if any(one.overlaps(other) for one in best for other in others):
            titles.append(column.title)
    return titles


def seeds_note(board: Board) -> str:
    """How wide an interval is for so many seeds, or that there is none."""
    sizes = sorted(
        {s.n for row in board.rows for c in board.scores if (s := row.cells.get(c.name)) is not None and s.n > 1}
    )
    if not sizes:
        return "With one seed there is no interval."
    factors = " and ".join(f"{t_quantile(n) / n**0.5:.1f} standard deviations for n = {n}" for n in sizes)
    return f"± is the half-width of the {CONFIDENCE:.0%} Student t interval of the mean over seeds: {factors}."


def flat(stamp: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A protocol stamp as lines of a table."""
    return [
        (key, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
        for key, value in results.flat(stamp)
    ]


def _picture(drawing: Drawing, folder: Path) -> str:
    """A data URI: pixels as PNG, everything else as SVG, which stays sharp at any size."""
    suffix, kind = ("png", "png") if drawing.raster else ("svg", "svg+xml")
    content = base64.b64encode((folder / f"{drawing.name}.{suffix}").read_bytes()).decode("ascii")
    return f"data:image/{kind};base64,{content}"

"""index.html: one self-contained page of leaderboards, tests, figures, protocol and provenance."""

from __future__ import annotations

import base64
import io
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from i2ibench import __version__, costs, frames
from i2ibench.metrics.catalog import METRICS, decimal, headed
from i2ibench.report import significance, words
from i2ibench.report.board import Board
from i2ibench.report.drawing import Saved, listed
from i2ibench.report.overall import Overall
from i2ibench.report.style import Looks
from i2ibench.report.tables import DASH, amount, duration, number, ranking_note
from i2ibench.study import words as human

if TYPE_CHECKING:
    from i2ibench.changes import Compared
    from i2ibench.data.images import Images
    from i2ibench.plan import Plan
    from i2ibench.store import Store

HERE = Path(__file__).parent
HEAVY = 250_000  # bytes of a picture from which a lighter form of it is sought
LEADS = 4  # data sets that are summed up at the head of the page; of more, only the overall standing is


@dataclass(frozen=True)
class Sources:
    """What a report is drawn from."""

    plan: Plan
    store: Store
    images: Mapping[str, Images]
    looks: Looks


@dataclass(frozen=True)
class Over:
    """What there is to say over all data sets."""

    standings: Overall | None
    drawing: Saved | None


def render(
    sources: Sources,
    boards: Sequence[Board],
    over: Over,
    drawings: Mapping[str, Sequence[Saved]],
    folder: Path,
    command: str | None = None,
    figured: int | None = None,
    *,
    live: bool = False,
    compared: Compared | None = None,
) -> str:
    """The page as text. `folder` holds the saved drawings, which are put into it; `figured` data sets have some.

    `live` puts a frame on top for what `i2ibench serve` answers to `progress`; `compared` a section on what changed.
    """
    plan, store = sources.plan, sources.store
    stamps = frames.stamps(plan, store)
    provenance = frames.provenance(plan, store)
    return _template().render(
        name=plan.name,
        live=live,
        compared=compared,
        costs=costs.COSTS,
        headed=headed,
        curves=(folder.parent / "curves.csv").exists(),
        version=__version__,
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        boards=boards,
        led=boards if len(boards) <= LEADS else (),
        over=over,
        drawings=drawings,
        figured=[board.data for board in boards][:figured],
        picture=lambda drawing: picture(drawing, folder),
        words=words,
        human=human,
        groups=groups,
        ranking_note=ranking_note,
        win_matrix=significance.win_matrix,
        against_the_best=significance.against_the_best,
        number=number,
        decimal=decimal,
        amount=amount,
        colours=sources.looks.colours,
        states=Counter(problem.state for board in boards for problem in board.problems),
        finished=sum(row.seeds_done for board in boards for row in (*board.rows, *board.references)),
        trials=sum(row.seeds for board in boards for row in (*board.rows, *board.references)),
        images=sources.images,
        fingerprints={label: data.fingerprint for label, data in plan.data.items()},
        warnings=_warnings(boards, stamps),
        stamps={data: flat(stamp) for data, stamp in stamps.items()},
        diffs=provenance.pop("git.diff", {}),
        provenance=provenance,
        seeds=sorted({spec.seed for spec in plan.trials}),
        time={what: duration(seconds) for what, seconds in costs.time_spent(plan, store).items()},
        yaml=plan.text,
        file=Path(plan.file).name,
        command=command or f"i2ibench report {shlex.quote(frames.shown(Path(plan.file)))}",
    )


def _warnings(boards: Sequence[Board], stamps: Mapping[str, Any]) -> dict[str, list[str]]:
    """What the stamps warn of, which is all of scores over a network's features, on the boards that have such."""
    looking = [board.data for board in boards if any(METRICS[c.name].network == "extractor" for c in board.scores)]
    return {data: stamps[data]["warnings"] for data in looking if data in stamps}


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["listed"] = listed
    environment.globals["DASH"] = DASH
    return environment.get_template("page.html")


def groups(board: Board) -> list[tuple[str, int]]:
    """The headings over the columns, each with the number of columns under it."""
    return [(group, len(list(columns))) for group, columns in groupby(board.columns, lambda column: column.group)]


def flat(stamp: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A protocol stamp as lines of a table."""
    return [
        (key, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
        for key, value in frames.flat(stamp)
    ]


def picture(drawing: Saved, folder: Path) -> str:
    """A data URI: pixels as PNG, everything else as SVG, which stays sharp at any size; what is heavy, as WebP."""
    suffix, kind = ("png", "png") if drawing.raster else ("svg", "svg+xml")
    content = (folder / f"{drawing.name}.{suffix}").read_bytes()
    if len(content) > HEAVY:
        light = io.BytesIO()
        with Image.open(folder / f"{drawing.name}.png") as image:
            image.convert("RGB").save(light, "webp", quality=88, method=2)
        if light.tell() < len(content):
            content, kind = light.getvalue(), "webp"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"

"""What a run leaves for people: leaderboards, figures and one page, drawn from the store without torch."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from i2ibench import frames, learning, record
from i2ibench.errors import StoreError
from i2ibench.report import (
    budget,
    curves,
    human,
    latex,
    leaderboard,
    overall,
    page,
    parallel,
    published,
    ranking,
    samples,
    scores,
    significance,
    steps,
    tables,
    tradeoff,
    words,
)
from i2ibench.report.drawing import SHOWN, say_below, source
from i2ibench.report.once import Once
from i2ibench.report.page import Sources
from i2ibench.report.parallel import Make
from i2ibench.report.style import Looks
from i2ibench.study import analysis

if TYPE_CHECKING:
    import pandas as pd

    from i2ibench.changes import Compared
    from i2ibench.data.images import Images
    from i2ibench.plan import Plan
    from i2ibench.report.board import Board
    from i2ibench.report.drawing import Drawing, Saved
    from i2ibench.report.overall import Overall
    from i2ibench.store import Store


MANY, FIGURED = 8, 2  # of more than MANY data sets, FIGURED get figures: those of one take seconds, and half a megabyte


@dataclass(frozen=True)
class Built:
    """All that a report says, before it is drawn: results in long form, boards with their tests, values per image."""

    table: pd.DataFrame
    boards: list[Board]
    per_image: dict[str, frames.PerImage]  # by data set
    standings: Overall | None  # over all data sets

    @property
    def tables(self) -> list[Board]:
        """The boards, and those of the means over the ways of a set of several domains."""
        return [*self.boards, *(self.standings.means if self.standings else ())]


def build(plan: Plan, store: Store) -> Built:
    """Read the store and test what can be tested.

    Raises:
        ResultsError: scores of one column were made under different protocols.
    """
    table = frames.frame(plan, store)
    boards, per_image = [], {}
    judged = {found.data: found for found in analysis.of_plan(plan, store)}
    for board in leaderboard.build(table, plan, frames.stamps(plan, store), frames.bounds(plan, store)):
        per_image[board.data] = frames.per_image(plan, store, board.data, significance.tested(board))
        board = replace(board, published=published.of(plan, board.data), human=judged.get(board.data))
        boards.append(significance.compared(board, per_image[board.data]))
    ways = {label: data.way_of for label, data in plan.data.items() if data.way_of}
    images = {label: "".join(data.group) or data.fingerprint for label, data in plan.data.items()}
    return Built(table, boards, per_image, overall.build(boards, ways, images))


def write(
    plan: Plan,
    store: Store,
    images: Mapping[str, Images],
    out: Path,
    command: str | None = None,
    figured: int | None = None,
    *,
    live: bool = False,
    built: Built | None = None,
    compared: Compared | None = None,
) -> Path:
    """Draw the report of a plan from what the store holds by now, finished or not, and return its index.html.

    Args:
        plan: what was to be run.
        store: where the trials lie.
        images: by label of the data set; a data set without gets no sample grid.
        out: the report's folder. Its files are replaced one by one when all are made, the page last; others stay.
        command: what makes this page again, as a person types it.
        figured: so many data sets, from the first of the plan, get figures; by default all, or FIGURED of more than
            MANY. The page says so where there are more.
        live: for `i2ibench serve`, with a place for the progress.
        built: what `build` gave for this plan and store, where it is there already.
        compared: for `i2ibench compare`, what differs between the runs.

    Raises:
        ResultsError: scores of one column were made under different protocols.
        StoreError: the folder cannot be written.
    """
    store = Once(store)
    built = built or build(plan, store)
    sources = Sources(plan, store, images, _looks(plan, built.boards))
    if figured is None:
        figured = FIGURED if len(built.boards) > MANY else len(built.boards)
    points = learning.points(plan, store)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".aside-") as aside:
            made = Path(aside)
            drawings, over = _draw(built, points, sources, figured, made / "figures")
            _tabulate(plan, store, built, points, made)
            record.save(plan, store, built.per_image, made)
            content = page.render(
                sources, built.boards, over, drawings, made / "figures", command, figured, live=live, compared=compared
            )
            (made / "index.html").write_text(content, encoding="utf-8")
            _publish(made, out)
    except OSError as error:
        raise StoreError(
            f"report {out}: cannot be written ({error.strerror or error}); choose another folder with `reports:`"
        ) from None
    return out / "index.html"


def _looks(plan: Plan, boards: Sequence[Board]) -> Looks:
    """The colours of all rows, references apart; a board has some, such as shuffled targets, that are no trials."""
    labels = {row.label: True for board in boards for row in board.references}
    labels |= {spec.label: spec.reference for spec in plan.trials}
    return Looks([label for label, reference in labels.items() if not reference], [n for n, r in labels.items() if r])


def _draw(
    built: Built, points: pd.DataFrame, sources: Sources, figured: int, folder: Path
) -> tuple[dict[str, list[Saved]], page.Over]:
    """Save all figures in a new folder: those of each of the first `figured` data sets, and what is over all."""
    folder.mkdir()
    makes = {
        board.data: _figures(board, built.boards, built.per_image[board.data], points, sources) if i < figured else []
        for i, board in enumerate(built.boards)
    }
    over_data: list[Make] = [partial(ranking.diagram, built.standings, sources.looks)] if built.standings else []
    saved = iter(parallel.save([*itertools.chain(*makes.values()), *over_data], folder))
    drawings = {data: [one for _, one in zip(figures, saved, strict=False) if one] for data, figures in makes.items()}
    return drawings, page.Over(built.standings, next(saved, None))


def _tabulate(plan: Plan, store: Store, built: Built, points: pd.DataFrame, folder: Path) -> None:
    """Write what the report says as tables, for programs, documents and papers."""
    tables.to_frame(built.tables).to_csv(folder / "leaderboard.csv", index=False)
    tables.comparisons(built.boards).to_csv(folder / "comparisons.csv", index=False)
    if built.standings is not None:
        tables.overall(built.standings).to_csv(folder / "overall.csv", index=False)
    if len(points):
        points.to_csv(folder / "curves.csv", index=False)
    built.table.to_parquet(folder / "results.parquet", index=False)
    texts = {
        "leaderboard.md": tables.to_markdown(plan.name, built.tables, built.standings),
        "leaderboard.tex": latex.render(plan.name, built.tables, built.standings, frames.stamps(plan, store)),
        "summary.txt": words.summary(built.boards),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _figures(
    board: Board,
    boards: Sequence[Board],
    per_image: frames.PerImage,
    points: pd.DataFrame,
    sources: Sources,
) -> list[Make]:
    """What makes each figure of a data set, in the order of the page; they are made later, maybe elsewhere."""
    plan, store, looks = sources.plan, sources.store, sources.looks
    images = sources.images.get(board.data)
    of_images: list[Make] = [
        partial(make, board, plan, store, images, looks) for make in (samples.grid, samples.styles, samples.cycles)
    ] if images else []  # fmt: skip
    makes: list[Make] = [
        partial(human.drawing, board, looks),
        *of_images,
        partial(scores.scores, board, looks),
        partial(scores.distributions, board, per_image, looks),
        partial(scores.agreement, board, looks),
        partial(tradeoff.tradeoff, board, looks),
        partial(curves.metrics, board, points[points["data"] == board.data], looks),
        partial(_losses, board, sources),
        partial(budget.steps, board, plan, looks),
        partial(budget.images, board, boards, plan, looks),
        partial(steps.steps, board, plan, looks),
    ]
    return [partial(_of, source(board, plan), make) for make in makes]


def _of(data: str, make: Make) -> Drawing | None:
    """A figure that says below what it is of; one of images, or of several data sets, has done so itself."""
    drawing = make()
    if drawing is not None and data and not drawing.raster and not drawing.figure.get_supxlabel():
        say_below(drawing.figure, data)
    return drawing


def _losses(board: Board, sources: Sources) -> Drawing | None:
    labels = [row.label for row in board.rows][:SHOWN]
    return curves.curves(board, frames.curves(sources.plan, sources.store, board.data, labels), sources.looks)


def _publish(made: Path, out: Path) -> None:
    """Move every file to its place, the page last: who sees the new page finds everything that it speaks of."""
    files = sorted((path for path in made.rglob("*") if path.is_file()), key=lambda path: path.name == "index.html")
    (out / "figures").mkdir(exist_ok=True)  # the page links to it, be there figures or not
    for path in files:
        place = out / path.relative_to(made)
        place.parent.mkdir(exist_ok=True)
        path.replace(place)
    shutil.rmtree(made / "figures", ignore_errors=True)

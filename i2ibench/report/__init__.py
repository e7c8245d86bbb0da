"""What a run leaves for people: leaderboards, figures and one page, drawn from the store without torch."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from i2ibench import results
from i2ibench.errors import StoreError
from i2ibench.report import (
    curves,
    latex,
    leaderboard,
    overall,
    page,
    published,
    ranking,
    samples,
    scores,
    significance,
    tables,
    tradeoff,
)
from i2ibench.report.drawing import SHOWN
from i2ibench.report.page import Sources
from i2ibench.report.style import Looks

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from i2ibench.data.source import Images
    from i2ibench.plan import Plan
    from i2ibench.report.board import Board
    from i2ibench.report.drawing import Drawing
    from i2ibench.store import Store


MANY, FIGURED = 8, 2  # of more than MANY data sets, FIGURED get figures: those of one take seconds, and half a megabyte


@dataclass(frozen=True)
class Built:
    """All that a report says, before it is drawn: results in long form, boards with their tests, values per image."""

    table: pd.DataFrame
    boards: list[Board]
    per_image: dict[str, dict[str, dict[str, np.ndarray]]]  # data set -> label -> metric -> (seeds, images)


def build(plan: Plan, store: Store) -> Built:
    """Read the store and test what can be tested.

    Raises:
        ResultsError: scores of one column were made under different protocols.
    """
    table = results.frame(plan, store)
    boards, per_image = [], {}
    for board in leaderboard.build(table, plan, results.stamps(plan, store), results.bounds(plan, store)):
        per_image[board.data] = results.per_image(plan, store, board.data, significance.tested(board))
        board = replace(board, published=published.of(plan, board.data))
        boards.append(significance.compared(board, per_image[board.data]))
    return Built(table, boards, per_image)


def write(
    plan: Plan,
    store: Store,
    images: Mapping[str, Images],
    out: Path,
    command: str | None = None,
    figured: int | None = None,
    *,
    live: bool = False,
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

    Raises:
        ResultsError: scores of one column were made under different protocols.
        StoreError: the folder cannot be written.
    """
    built = build(plan, store)
    boards = built.boards
    standings = overall.build(boards, {label: data.way_of for label, data in plan.data.items() if data.way_of})
    labels = {spec.label: spec.reference for spec in plan.trials}
    looks = Looks([label for label, reference in labels.items() if not reference], [n for n, r in labels.items() if r])
    sources = Sources(plan, store, images, looks)
    if figured is None:
        figured = FIGURED if len(boards) > MANY else len(boards)
    drawings = {
        board.data: _draw(board, built.per_image[board.data], sources) if i < figured else []
        for i, board in enumerate(boards)
    }
    over_data = ranking.diagram(standings, looks) if standings else None
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".aside-") as aside:
            made = Path(aside)
            (made / "figures").mkdir()
            for drawing in (*([over_data] if over_data else []), *itertools.chain(*drawings.values())):
                drawing.save(made / "figures")
            tables.to_frame(boards).to_csv(made / "leaderboard.csv", index=False)
            tables.comparisons(boards).to_csv(made / "comparisons.csv", index=False)
            (made / "leaderboard.md").write_text(tables.to_markdown(plan.name, boards), encoding="utf-8")
            (made / "leaderboard.tex").write_text(latex.render(plan.name, boards), encoding="utf-8")
            built.table.to_parquet(made / "results.parquet", index=False)
            over = page.Over(standings, over_data)
            content = page.render(sources, boards, over, drawings, made / "figures", command, figured, live=live)
            (made / "index.html").write_text(content, encoding="utf-8")
            _publish(made, out)
    except OSError as error:
        raise StoreError(
            f"report {out}: cannot be written ({error.strerror or error}); choose another folder with `reports:`"
        ) from None
    return out / "index.html"


def _draw(board: Board, per_image: Mapping[str, Mapping[str, np.ndarray]], sources: Sources) -> list[Drawing]:
    plan, store, looks = sources.plan, sources.store, sources.looks
    images = sources.images.get(board.data)
    points = results.curves(plan, store, board.data, [row.label for row in board.rows][:SHOWN])
    drawn = [
        *([samples.grid(board, plan, store, images, looks, per_image)] if images else []),
        *([make(board, plan, store, images, looks) for make in (samples.styles, samples.cycles)] if images else []),
        scores.scores(board, looks),
        scores.distributions(board, per_image, looks),
        scores.agreement(board, looks),
        tradeoff.tradeoff(board, looks),
        curves.curves(board, points, looks),
        curves.budget(board, plan, looks),
    ]
    return [drawing for drawing in drawn if drawing is not None]


def _publish(made: Path, out: Path) -> None:
    """Move every file to its place, the page last: who sees the new page finds everything that it speaks of."""
    files = sorted((path for path in made.rglob("*") if path.is_file()), key=lambda path: path.name == "index.html")
    (out / "figures").mkdir(exist_ok=True)  # the page links to it, be there figures or not
    for path in files:
        place = out / path.relative_to(made)
        place.parent.mkdir(exist_ok=True)
        path.replace(place)
    shutil.rmtree(made / "figures", ignore_errors=True)

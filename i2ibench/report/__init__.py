"""What a run leaves for people: leaderboards, figures and one page, drawn from the store without torch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from i2ibench import results
from i2ibench.errors import StoreError
from i2ibench.report import figures, leaderboard, page, samples, tables
from i2ibench.report.style import Looks

if TYPE_CHECKING:
    import pandas as pd

    from i2ibench.data.source import Images
    from i2ibench.plan import Plan
    from i2ibench.store import Store


def write(plan: Plan, store: Store, images: Mapping[str, Images], out: Path, command: str | None = None) -> Path:
    """Draw the report of a plan from what the store holds by now, finished or not, and return its index.html.

    Args:
        plan: what was to be run.
        store: where the trials lie.
        images: by label of the data set; a data set without gets no sample grid.
        out: the report's folder. Its files are replaced one by one when all are made, the page last; others stay.
        command: what makes this page again, as a person types it.

    Raises:
        ResultsError: scores of one column were made under different protocols.
        StoreError: the folder cannot be written.
    """
    table = results.frame(plan, store)
    boards = leaderboard.build(table, plan)
    labels = {spec.label: spec.reference for spec in plan.trials}
    looks = Looks([label for label, reference in labels.items() if not reference], [n for n, r in labels.items() if r])
    points = results.curves(plan, store)
    drawings = {board.data: _draw(board, plan, store, images, points, looks) for board in boards}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".aside-") as aside:
            made = Path(aside)
            (made / "figures").mkdir()
            for drawing in (drawing for drawn in drawings.values() for drawing in drawn):
                drawing.save(made / "figures")
            tables.to_frame(boards).to_csv(made / "leaderboard.csv", index=False)
            (made / "leaderboard.md").write_text(tables.to_markdown(plan.name, boards), encoding="utf-8")
            table.to_parquet(made / "results.parquet", index=False)
            content = page.render(plan, store, images, boards, drawings, made / "figures", looks, command)
            (made / "index.html").write_text(content, encoding="utf-8")
            _publish(made, out)
    except OSError as error:
        raise StoreError(
            f"report {out}: cannot be written ({error.strerror or error}); choose another folder with `reports:`"
        ) from None
    return out / "index.html"


def _draw(
    board: leaderboard.Board, plan: Plan, store: Store, images: Mapping[str, Images], points: pd.DataFrame, looks: Looks
) -> list[figures.Drawing]:
    drawn = [
        samples.grid(board, plan, store, images[board.data], looks) if board.data in images else None,
        figures.scores(board, looks),
        figures.tradeoff(board, looks),
        figures.curves(board, points, looks),
    ]
    return [drawing for drawing in drawn if drawing is not None]


def _publish(made: Path, out: Path) -> None:
    """Move every file to its place, the page last: who sees the new page finds everything that it speaks of."""
    files = sorted((path for path in made.rglob("*") if path.is_file()), key=lambda path: path.name == "index.html")
    for path in files:
        place = out / path.relative_to(made)
        place.parent.mkdir(exist_ok=True)
        path.replace(place)
    shutil.rmtree(made / "figures", ignore_errors=True)

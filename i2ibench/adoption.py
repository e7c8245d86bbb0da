"""Trials that other code has finished, of before an update of i2ibench or an edit of a method, under today's names.

A trial is called by all that could change its numbers, code included (`identity`), so after an update the trials of a
file are new ones, which nobody has run. To run them is right where all numbers must be those of one code. Where a row
is to be added to a board that took weeks, `adopt` takes the finished ones as they are, each with a flag that says so.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from i2ibench import lease, registry
from i2ibench.config import Training
from i2ibench.errors import StoreError, counted
from i2ibench.identity import BOOKKEEPING
from i2ibench.plan import Plan
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial

FLAG = "other code"
NAMED = re.compile(r"(.+-s\d+)-[0-9a-f]{10}")  # an id: before the hash are the method, the kind of data and the seed
SAME = ("method", "source", "fingerprint", "pairing", "seed", "group", "init_from", "freeze")
SHARED = (".pt", ".npy", ".npz")  # files that are replaced and never changed: linked, so that they take no room
OWN = (  # what is not taken, or written anew
    "spec.json", "training.json", "result.json", "error.json", "progress.json", "checkpoints", "stop", "lease-*", ".*",
)  # fmt: skip


def find(plan: Plan, store: Store) -> dict[str, Trial]:
    """Id of a planned trial that this code has not begun -> the latest of the same settings that other code finished.

    A setting that is newer than a trial counts as its default there. Trials that share networks are found all together,
    of one training, or not at all: old networks would be put to use by new code. Where a training begins with another
    trial's weights none is found, for that one has another name as well.
    """
    waiting = {spec.id: spec for spec in plan.trials if _untouched(spec, store)}
    if not waiting or not store.path.is_dir():
        return {}
    finished: dict[str, list[Trial]] = {}
    for folder in store.path.iterdir():
        if (folder / "result.json").exists():
            finished.setdefault(_beginning(folder.name), []).append(store.trial(folder.name))
    sharing: dict[str, dict[str, dict[str, Trial]]] = {}  # networks -> trial of theirs -> networks of old -> old trial
    for spec in waiting.values():
        alike = [trial for trial in finished.get(_beginning(spec.id), []) if _same(spec, trial)]
        of = {TrialSpec.of(trial).trained_as: trial for trial in sorted(alike, key=_written)}
        sharing.setdefault(spec.trained_as, {})[spec.id] = of
    found: dict[str, Trial] = {}
    for candidates in sharing.values():
        home = _latest([*candidates.values()], store)
        if home is not None:
            found |= {name: of[home] for name, of in candidates.items()}
    return found


def _latest(candidates: Sequence[Mapping[str, Trial]], store: Store) -> str | None:
    """The latest networks that are whole, of those that all candidates have used; None if there are none."""
    common = set.intersection(*map(set, candidates))
    whole = [home for home in common if (store.trial(home).path / "training.json").exists()]
    return max(whole, key=lambda home: max(_written(theirs[home]) for theirs in candidates), default=None)


def _written(trial: Trial) -> float:
    return (trial.path / "result.json").stat().st_mtime


def hint(plan: Plan, store: Store) -> str:
    """What to do about trials that `find` finds, in a line; "" if there are none."""
    found = find(plan, store)
    if not found:
        return ""
    return (
        f"other code (before an update, say) has finished {counted(len(found), 'trial')} of the same settings: "
        f"`i2ibench adopt {shlex.quote(plan.file)}` takes what it made; else they are trained anew"
    )


def adopt(plan: Plan, store: Store) -> dict[str, Trial]:
    """Take all that `find` finds: the same networks, outputs and scores under today's names, with a flag.

    Files of weights and images are shared with the older trial (hard links, where the file system has them), so they
    take no room, and either may be deleted.

    Returns:
        What was taken, as `find` does; trials that somebody works on just now are left out.

    Raises:
        StoreError: the store cannot be written.
    """
    specs, found = {spec.id: spec for spec in plan.trials}, find(plan, store)
    if found:
        store.require_writable()
    return {name: older for name, older in found.items() if _take(specs[name], store, older)}


def _take(spec: TrialSpec, store: Store, older: Trial) -> bool:
    """Whoever is killed on the way leaves no result, and so a trial that is taken, or made, another time."""
    was = TrialSpec.of(older)
    trial, home, their_home = store.trial(spec.id), store.trial(spec.trained_as), store.trial(was.trained_as)
    try:
        with ExitStack() as held:
            for folder in {trial.path, home.path}:
                lock = lease.acquire(folder)
                if lock is None:
                    return False
                held.enter_context(lock)
            if not _untouched(spec, store):  # any more
                return False
            if home.training() is None:
                _fill(home, their_home)
                home.write_training(_flagged(their_home.training() or {}, older))
            if trial.id != home.id:
                _fill(trial, older)
            trial.write_spec(spec.to_json() | {"code": was.code})  # by which its method.py is known for what made it
            trial.write_result({**_flagged(older.result() or {}, older), "id": spec.id})
    except OSError as error:
        raise StoreError(f"{trial.path}: cannot be written ({error.strerror or error})") from None
    return True


def _fill(trial: Trial, older: Trial) -> None:
    left_out = shutil.ignore_patterns(*OWN)
    shutil.copytree(older.path, trial.path, ignore=left_out, copy_function=_copy, dirs_exist_ok=True)


def _copy(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)  # of an earlier try, and perhaps the source's own link
    if source.endswith(SHARED):
        with suppress(OSError):  # a file system without hard links
            os.link(source, target)
            return
    shutil.copy2(source, target)


def _flagged(content: Mapping[str, Any], older: Trial) -> dict[str, Any]:
    """A result, or a training, with the flag that it is of other code; one that has it already keeps its own."""
    if _has_flag(content):
        return dict(content)
    made = content.get("provenance", {})
    version = made.get("packages", {}).get("i2ibench", "of an unknown version")
    revision = f" at {of[:10]}" if (of := made.get("git", {}).get("revision")) else ""
    reason = f"taken as it is from {older.id}, made by i2ibench {version}{revision}"
    return {**content, "flags": [*content.get("flags", []), {"flag": FLAG, "reason": reason}]}


def _untouched(spec: TrialSpec, store: Store) -> bool:
    """Whether today's code has made nothing of a trial yet."""
    trial, home = store.trial(spec.id), store.trial(spec.trained_as)
    try:
        training = home.training()
        begun = trial.result() or trial.error() or home.saved_step() is not None
    except StoreError:  # damaged
        return False
    return not begun and (training is None or _has_flag(training))  # a training that was taken before


def _has_flag(content: Mapping[str, Any]) -> bool:
    return any(flag["flag"] == FLAG for flag in content.get("flags", []))


def _same(spec: TrialSpec, trial: Trial) -> bool:
    """Whether all but code is the same, as today's models read the older settings."""
    try:
        was = TrialSpec.of(trial)
        params = _read(registry.method(spec.method).Params, was.params)
        source_params = _read(registry.sources()[spec.source].Params, was.source_params)
        training = _read(Training, was.training)
    except (StoreError, ValidationError):  # damaged, or with settings that today's code does not know
        return False
    return (
        all(getattr(was, key) == getattr(spec, key) for key in SAME)
        and params == spec.params
        and source_params == spec.source_params
        and (not spec.trained or _counting(training) == _counting(spec.training))
    )


def _read(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    return model.model_validate(dict(values)).model_dump(mode="json")


def _counting(training: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in training.items() if key not in BOOKKEEPING}


def _beginning(name: str) -> str:
    """Of an id: the method, the kind of data and the seed."""
    found = NAMED.match(name)
    return found[1] if found else ""

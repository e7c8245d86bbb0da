"""Brings the stores of several machines into one: whole trials or nothing, and never one result over another."""

from __future__ import annotations

import filecmp
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2ibench import lease
from i2ibench.disk import read_json, require_writable
from i2ibench.errors import StoreError
from i2ibench.metrics.known import joined
from i2ibench.store import Store, Trial
from i2ibench.study import union

MADE = ("weights.pt", "outputs.npy")  # what two trainings of one trial must share to be the same
SAME = 1e-6  # relative difference of two scores of one image set: another machine rounds in its own way
OF_WORK = ("lease-*.json", "stop", ".*")  # says who works on a trial, and is no part of it


@dataclass(frozen=True)
class Merged:
    """How many trials came new, replaced an unfinished attempt, brought scores, or were there; and new answers."""

    new: int = 0
    finished: int = 0
    scored: int = 0
    known: int = 0
    answers: int = 0  # of studies


@dataclass(frozen=True)
class _Step:
    """What is to be done with one trial: `copy` or `replace` its folder, or bring the score files of these keys."""

    source: Trial
    home: Trial
    kind: str
    keys: tuple[str, ...] = ()


def merge(stores: Sequence[Path], to: Path) -> Merged:
    """Copy every trial of `stores` that `to` lacks, or has not finished, into it; add scores and answers that it lacks.

    A trial that both have finished stays as it is. Nothing is written before all trials are looked through; each is
    then copied aside and appears at once, so that whenever a merge ends, the same command goes on. What stores keep to
    save time (decoded data, features of reference images) is not copied.

    Raises:
        StoreError: a folder is no store; a trial was trained or scored differently in two of them, or is being worked
            on; a rater of a study answered differently; `to` cannot be written or its disk is too full.
    """
    steps: dict[tuple[str, str], _Step] = {}
    seen: dict[str, list[Trial]] = {}
    known = 0
    for folder in stores:
        for trial in _trials(folder, to):
            home = Store(to).trial(trial.id)
            others = seen.setdefault(trial.id, [home] if home.path.exists() else [])
            step = _step(trial, others, home)
            if step is None:
                known += _is_trial(trial)
            else:
                steps[trial.id, str(folder) if step.kind == "score" else ""] = step
            others.append(trial)
    union.lacking(stores, to)
    require_writable(to, "--to", sum(_size(step) for step in steps.values()))
    for step in steps.values():
        try:
            _do(step)
        except OSError as error:
            raise StoreError(
                f"{step.home.path}: cannot be written ({error.strerror or error}); what is merged so far is whole, and "
                "the same command goes on"
            ) from None
    kinds = [step.kind for step in steps.values() if _is_trial(step.source)]
    answers = union.bring(stores, to)
    return Merged(kinds.count("copy"), kinds.count("replace"), kinds.count("score"), known, answers)


def _trials(folder: Path, to: Path) -> Iterator[Trial]:
    """The trials of a store, by name, and the folders of networks that several of them share."""
    if folder.resolve() == to.resolve():
        raise StoreError(f"{folder}: is the store to merge into; name the others alone")
    found = {file.parent for file in folder.glob("*/spec.json")}
    found |= {folder / str((read_json(path / "spec.json") or {}).get("trained_as", path.name)) for path in found}
    if not found:
        raise StoreError(f"{folder}: is no store (no folder in it has a spec.json); name what `store:` names")
    for path in sorted(path for path in found if path.is_dir()):
        if lease.holder(path) is not None:
            raise StoreError(f"{path}: is being worked on; wait for its end, or stop it with `i2ibench stop`")
        yield Trial(path)


def _is_trial(trial: Trial) -> bool:
    """And not networks alone, which trials share and none is named after."""
    return (trial.path / "spec.json").exists()


def _step(trial: Trial, others: Sequence[Trial], home: Trial) -> _Step | None:
    """What a trial has to bring where `others` of its name are there, or on their way from other stores."""
    if not others:
        return _Step(trial, home, "copy")
    if lease.holder(home.path) is not None:
        raise StoreError(f"{home.path}: is being worked on; wait for its end, or stop it with `i2ibench stop`")
    ended = Trial.result if _is_trial(trial) else Trial.training
    if ended(trial) is None:
        return None
    for other in others:
        if other.result() is not None or other.training() is not None:
            _require_same(trial, other)
    finished = [other for other in others if ended(other) is not None]
    if not finished:
        return _Step(trial, home, "replace" if home.path.exists() else "copy")
    files = sorted((trial.path / "scores").glob("*.json"))
    keys = tuple(file.stem for file in files if _brings(trial, finished, file.stem))
    return _Step(trial, home, "score", keys) if keys else None


def _require_same(trial: Trial, other: Trial) -> None:
    for name in MADE:
        ours, theirs = other.path / name, trial.path / name
        if ours.exists() and theirs.exists() and not filecmp.cmp(ours, theirs, shallow=False):
            raise StoreError(
                f"{theirs} and {ours} differ: the trial was trained twice, with two results; keep one, and delete the "
                "folder of the other"
            )


def _brings(trial: Trial, others: Sequence[Trial], key: str) -> bool:
    """Whether a trial is scored by something that all the others together are not."""
    for other in others:
        _require_same_scores(trial, other, key)
    return not _scored(trial, key) <= set().union(*(_scored(other, key) for other in others))


def _require_same_scores(trial: Trial, other: Trial, key: str) -> None:
    theirs, ours = ((each.scores(key) or {}).get("values", {}) for each in (trial, other))
    for name in theirs.keys() & ours.keys():
        if not math.isclose(theirs[name], ours[name], rel_tol=SAME, abs_tol=1e-9):
            raise StoreError(
                f"{trial.path / 'scores' / key}.json and {other.path / 'scores' / key}.json differ in {name}; delete "
                "one, and score it anew with `i2ibench evaluate`"
            )


def _scored(trial: Trial, key: str) -> set[tuple[int | None, str]]:
    """The metrics that a trial has, in the end (None) and at each step that its training kept."""
    at: list[tuple[int | None, dict[str, Any]]] = [(None, trial.scores(key) or {}), *trial.points(key).items()]
    return {(step, name) for step, scores in at for name in scores.get("values", ())}


def _size(step: _Step) -> int:
    if step.kind == "score":
        return 0
    return sum(path.stat().st_size for path in step.source.path.rglob("*") if path.is_file())


def _do(step: _Step) -> None:
    """Bring one trial to its place, all of it at once."""
    home = step.home.path
    with ExitStack() as stack:
        if step.kind != "copy":
            held = lease.acquire(home)
            if held is None:
                raise StoreError(f"{home}: somebody has begun to work on it; merge again when it has ended")
            stack.enter_context(held)
        if step.kind == "score":
            for key in step.keys:
                _add_scores(step.source, step.home, key)
            return
        home.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=home.parent, prefix=".merging-")))
        shutil.copytree(step.source.path, aside / "new", ignore=shutil.ignore_patterns(*OF_WORK))
        if step.kind == "replace":
            home.rename(aside / "old")
        (aside / "new").rename(home)


def _add_scores(source: Trial, home: Trial, key: str) -> None:
    """Put a trial's scores beside those it has at home. Curves first: the scores say that all of it is there."""
    ours, theirs = home.points(key), source.points(key)
    if theirs:
        home.write_points(key, theirs | {at: joined(point, theirs.get(at, point)) for at, point in ours.items()})
    scores = source.scores(key) or {}
    per_image = source.per_image(key) | home.per_image(key)
    home.write_scores(key, joined(home.scores(key) or scores, scores), per_image)

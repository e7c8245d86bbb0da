"""Trains a trained trial further on new data, and holds it against what it was before: on the new data and on the old.

It writes a benchmark file, which anyone can read, change and run again, and runs it as any other.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from i2ibench import benchmark, registry, yamlfile
from i2ibench.config import Resources, Training
from i2ibench.data.paths import expand
from i2ibench.data.source import SourceParams
from i2ibench.dataset import source_of
from i2ibench.disk import atomic_write
from i2ibench.errors import ConfigError, DataError, I2IBenchError, StoreError, absent
from i2ibench.spec import TrialSpec
from i2ibench.store import Trial

PATHS = ("path", "archive", "labels")  # keys of a data set that may name files, from the folder of their benchmark file
HEAD = """\
# What `i2ibench retrain` made of {trial}.
# "{before}": the trial as it is, unchanged. "{after}": trained further on the new. "{kept}": that, back on the old.
# So the first two on "{new}" say what was gained, and the first and the last on "{old}" what was forgotten.
"""


@dataclass(frozen=True)
class Names:
    """What stands where in the benchmark file. A store keeps one meaning of each name, however often it is added to.

    Attributes:
        before, after, kept: rows: the trial as it was; retrained; and that, back on the old data.
        new, old: data sets.
    """

    before: str
    after: str
    kept: str
    new: str
    old: str

    @classmethod
    def of(cls, trial: Trial, data: Path) -> Names:
        """Named after the trial's row and data set, and the new data. Raises ConfigError: there is no such data."""
        spec = TrialSpec.of(trial)
        settings = _new(data, _settings(spec))
        new = _free(data.absolute().stem, settings, spec.data, trial.path.parent)
        return cls(
            f"{spec.label} before",
            f"{spec.label} after {new}",
            f"{spec.label} after {new}, on {spec.data}",
            new,
            spec.data,
        )


def write(
    trial: Trial, data: Path, to: Path, names: Names, *, steps: int | None = None, protocol: str = "offline"
) -> list[str]:
    """Write the benchmark file that retrains a trial.

    Args:
        data: new images in the form that the trial's own have (a folder, a list, shards); or a YAML file with those
            keys of a `data` entry that are other than the trial's.
        to: the file. One that is there already must be the same, and then is gone on with.
        names: from `Names.of`, of the same trial and data.
        steps: of the further training; default: as many as before.

    Returns:
        What the user should know besides.

    Raises:
        ConfigError: there is another such file; no such data; or the trial trains nothing.
        StoreError: it cannot be written, or the trial's weights are gone.
    """
    spec = TrialSpec.of(trial)
    if not spec.trained:
        raise ConfigError(f"{trial.id}: a reference row trains nothing")
    weights = (trial.path.parent / spec.trained_as / "weights.pt").absolute()
    if not weights.is_file():
        raise StoreError(f"{absent(weights)}; run the benchmark of {trial.id} again")
    old, said = _settings(spec) | _metrics(trial), list[str]()
    sets = {names.new: _new(data, old), names.old: old}
    try:
        source_of(spec)
    except DataError as error:
        said.append(f"the old data is not where it was, so nothing is said of what was forgotten ({error})")
        del sets[names.old]
    content = {
        "name": to.stem,
        "seeds": [spec.seed],
        "store": str(trial.path.parent),
        "data": sets,
        "methods": _methods(spec, weights, names, old_too=names.old in sets),
        "training": _other(spec.training, Training) | ({} if steps is None else {"steps": steps}),
        "resources": _other(spec.resources, Resources),
        "evaluation": {"protocol": protocol},
    }
    head = HEAD.format(trial=trial.id, **asdict(names))
    plain = json.loads(json.dumps({key: value for key, value in content.items() if value}))  # so that nothing is shared
    _put(to, head + yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None))
    return said


def _methods(spec: TrialSpec, weights: Path, names: Names, *, old_too: bool) -> dict[str, Any]:
    """The `methods` section: as it was, trained further on the new data, and that on the old data."""
    as_it_was = {**_method(spec), "init_from": str(weights)}
    methods = {
        names.before: {**as_it_was, "training": {"steps": 0}},
        names.after: {**as_it_was, "data": [names.new]},
    }
    if old_too:
        start = {"method": names.after, "data": names.new}
        back = {"init_from": start, "training": {"steps": 0}, "data": [names.old]}
        methods[names.kept] = {**_method(spec), **back}
    return methods


def _put(to: Path, text: str) -> None:
    """Write a benchmark file, unless there is another in its place; one that cannot be run does not stay."""
    if to.is_dir() or (to.exists() and to.read_bytes() != text.encode()):
        raise ConfigError(f"{to}: is there already, and is another; choose another --to, or remove it")
    fresh = not to.exists()
    try:
        with atomic_write(to, "w") as file:
            file.write(text)
    except OSError as error:
        raise StoreError(f"{to}: cannot be written ({error.strerror or error})") from None
    try:
        benchmark.load(to)
    except I2IBenchError:
        if fresh:  # it would only be in the way of the next
            to.unlink()
        raise


@dataclass(frozen=True)
class Change:
    """A score before and after, on the new data or on the old."""

    data: str
    title: str
    before: float
    after: float
    images: int  # that the test stands on, and
    p: float | None  # what it gives: of other images, for these two networks
    better: str | None  # "before" or "after", if the difference is significant


def retrained(file: Path, names: Names) -> str:
    """The id of the trial that a file of `write` makes of the old one."""
    made = names.after, names.new
    return next(spec.id for spec in benchmark.load(file)[0].trials if (spec.label, spec.data) == made)


def changes(file: Path, names: Names) -> list[Change]:
    """What the retrained model gained on the new data, and forgot of the old, by each score."""
    from i2ibench.report import build

    found = []
    for board in build(*benchmark.load(file)).boards:
        titles = {column.name: column.title for column in board.columns}
        for one in (each for each in board.comparisons if names.before in (each.a, each.b)):
            rows = names.before, one.a if one.b == names.before else one.b
            cells = [row.cells[one.metric] for label in rows for row in board.rows if row.label == label]
            before, after = (cell.mean if cell else math.nan for cell in cells)
            better = one.winner and ("before" if one.winner == names.before else "after")
            found.append(Change(board.data, titles[one.metric], before, after, one.images, one.p, better))
    return found


def _free(name: str, settings: Mapping[str, Any], old: str, store: Path) -> str:
    """The name, with a number behind it where another data set has it, in the store or as the old one."""
    try:
        model = registry.sources()[settings["source"]].Params
        own = {key: value for key, value in settings.items() if key in model.model_fields}
        params = model(**own).model_dump(mode="json")
    except (KeyError, ValidationError):
        return name  # what is wrong is said of the benchmark file, with its place
    every = [Trial(file.parent).spec() or {} for file in store.glob("*/spec.json")]
    taken = {spec.get("data") for spec in every if spec.get("source_params") != params} | {old}
    return next(free for i in itertools.count(1) if (free := f"{name} {i}" if i > 1 else name) not in taken)


def _settings(spec: TrialSpec) -> dict[str, Any]:
    """The `data` entry of a trial's data set, with paths that hold from anywhere."""
    source = registry.sources()[spec.source]
    settings = {"source": spec.source} | _other(spec.source_params, source.Params, keep=("size", "direction"))
    for key in PATHS:
        if isinstance(value := settings.get(key), str):
            file = Path(spec.base) / expand(value)
            if file.exists():
                settings[key] = str(file.absolute())
    return settings


def _new(data: Path, old: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` entry of the new data set: the old one's, but for what is said to be other."""
    if not data.exists():
        raise ConfigError(absent(data, "file or folder"))
    if data.suffix not in (".yaml", ".yml"):
        if "path" not in old:
            raise ConfigError(
                f"the data set '{old['source']}' is not a folder; give the keys of the new one in a YAML file"
            )
        return {**old, "path": str(data.absolute())}
    keys = yamlfile.read(data)[1].content
    if not isinstance(keys, dict) or not keys:
        raise ConfigError(f"{data}: should hold keys of a data set, such as source: folder, or path: FOLDER")
    for key in PATHS:
        if isinstance(value := keys.get(key), str) and (file := data.absolute().parent / expand(value)).exists():
            keys[key] = str(file)
    if keys.get("source", old["source"]) != old["source"]:  # of another kind, only what every kind has is as before
        old = {key: value for key, value in old.items() if key in SourceParams.model_fields or key == "metrics"}
    return {**old, **keys}


def _method(spec: TrialSpec) -> dict[str, Any]:
    """The `methods` entry of a trial, without what it begins with."""
    settings = _other(spec.params, registry.method(spec.method).Params)
    frozen = {"freeze": list(spec.freeze)} if spec.freeze else {}
    return {"method": spec.method, **settings, **frozen}


def _metrics(trial: Trial) -> dict[str, list[str]]:
    """The key `metrics`: what the trial is scored by; none if it is not scored."""
    files = sorted((trial.path / "scores").glob("*.json"), key=lambda file: file.stat().st_mtime)
    scores = trial.scores(files[-1].stem) if files else None
    return {"metrics": list(scores["values"])} if scores else {}


def _other(settings: Mapping[str, Any], model: type[BaseModel], keep: tuple[str, ...] = ()) -> dict[str, Any]:
    """Those settings that are not a model's defaults: so the file says what matters, and no more."""
    plain = model.model_construct().model_dump(mode="json", warnings=False)  # as the settings were written
    return {key: value for key, value in settings.items() if key in keep or key not in plain or value != plain[key]}

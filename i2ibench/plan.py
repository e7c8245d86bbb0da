"""From a benchmark file to the list of its trials: pure, torch-free, with content-addressed ids."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from i2ibench import identity, initial, registry, scored, sets
from i2ibench.config import Config, Resources, Training
from i2ibench.config import protocol as protocol_at
from i2ibench.data.source import Source
from i2ibench.entries import Entry
from i2ibench.errors import ConfigError, did_you_mean
from i2ibench.identity import Row
from i2ibench.method import Method, Task
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.protocol import Protocol, resolve
from i2ibench.sets import DataPlan
from i2ibench.spec import TrialSpec
from i2ibench.validation import overlay, validate

OF_DISCRIMINATORS = ("ttur", "spectral_norm", "r1", "diffaugment")  # settings that a method without any cannot use


@dataclass(frozen=True)
class Skip:
    """A combination that the plan leaves out, and why."""

    label: str
    data: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """A benchmark spelled out."""

    name: str
    trials: tuple[TrialSpec, ...]
    skipped: tuple[Skip, ...]
    data: dict[str, DataPlan]
    protocol: Protocol
    assets: tuple[str, ...]  # pretrained weights that methods need; the protocol names its own
    store: str
    reports: str
    text: str  # the YAML as run
    file: str
    evaluation: dict[str, Any] = field(default_factory=dict)  # resources of each scoring
    curve_metrics: tuple[str, ...] | None = None  # None: all that can be

    def metrics(self, spec: TrialSpec) -> tuple[str, ...]:
        """What a trial is scored by: its data set's metrics, less those that its method cannot have."""
        return tuple(m for m in self.data[spec.data].metrics if not METRICS[m].needs & scored.lacking(spec))

    def of_points(self, metrics: Iterable[str]) -> tuple[str, ...]:
        """Those of a trial's metrics that the networks on the way of its training are scored by too."""
        chosen = METRICS if self.curve_metrics is None else self.curve_metrics
        return tuple(m for m in metrics if m in chosen and METRICS[m].needs <= scored.OF_OUTPUTS)

    @property
    def report_folder(self) -> Path:
        """Where its report goes."""
        return Path(self.reports) / self.name

    @cached_property
    def key(self) -> str:
        """The protocol's, worked out once: there may be thousands of trials."""
        return self.protocol.key()

    @cached_property
    def all_metrics(self) -> tuple[str, ...]:
        """Every metric of the plan, in the catalogue's order."""
        used = {metric for data in self.data.values() for metric in data.metrics}
        return tuple(metric for metric in METRICS if metric in used)


def make(config: Config, protocol: str | None = None) -> Plan:
    """Spread a benchmark file out into trials.

    Args:
        config: the checked file.
        protocol: a protocol's name to use in place of the file's.

    Raises:
        ConfigError, DataError: with the place in the file.
    """
    the_protocol = _protocol(config, protocol)
    config = sets.with_pairs(config)
    data = {entry.label: sets.plan(config, entry, the_protocol) for entry in config.data}
    trials: list[TrialSpec] = []
    skipped: list[Skip] = []
    assets: dict[str, None] = {}
    planned: dict[tuple[str, str, int], TrialSpec] = {}
    for entry in initial.in_order(config):
        row = _row(config, entry)
        assets |= dict.fromkeys(row.method.assets(row.params))
        for data_entry in _data_of(config, entry):
            made = _trials(config, row, data_entry, data[data_entry.label], planned)
            if isinstance(made, Skip):
                skipped.append(made)
                continue
            trials += made
            planned |= {(spec.label, spec.data, spec.seed): spec for spec in made}
    rows = [entry.label for entry in config.methods]
    trials.sort(key=lambda spec: rows.index(spec.label))
    skipped.sort(key=lambda skip: rows.index(skip.label))
    the_plan = Plan(
        name=config.name,
        trials=tuple(trials),
        skipped=tuple(skipped),
        data=data,
        protocol=the_protocol,
        evaluation=config.header.evaluation.resources.model_dump(mode="json"),
        curve_metrics=config.header.evaluation.curve_metrics,
        assets=tuple(assets),
        store=config.header.store,
        reports=config.header.reports,
        text=config.text,
        file=str(config.file),
    )
    scored.check(config, the_plan)
    return the_plan


def _row(config: Config, entry: Entry) -> Row:
    method = _method_class(config, entry)
    _check_start(config, entry, method)
    return Row(entry, method, *_params(config, entry, method), initial.of_file(config, entry, config.base))


def _trials(
    config: Config, row: Row, data_entry: Entry, data: DataPlan, planned: Mapping[tuple[str, str, int], TrialSpec]
) -> list[TrialSpec] | Skip:
    """The trials of a row on one data set, one for each seed; or why there are none."""
    entry, method = row.entry, row.method
    seeds = config.header.seeds if method.seeded else config.header.seeds[:1]
    why = _unsuited(method, data.source) or initial.hindrance(config, entry, data.label, seeds[0], planned)
    if why:
        return Skip(entry.label, data.label, why)
    _check(config, entry, method, row.params, data)
    settings = _training(config, entry, data_entry, row.preset)
    _check_options(config, entry, method, data_entry, settings)
    if not settings.steps and method.players and entry.keys.init_from is None:
        reason = f"0 steps train nothing on '{data.label}'; with `init_from`, other weights are scored"
        raise config.error(entry.path, reason)
    resources = overlay(
        Resources,
        config.header.resources,
        (data_entry.keys.resources, (*data_entry.path, "resources")),
        (entry.keys.resources, (*entry.path, "resources")),
        document=config.document,
    )
    starts = {seed: row.start or initial.of_trial(entry, data.label, seed, planned) for seed in seeds}
    return [identity.spec(config, row, data, settings, resources, seed, starts[seed]) for seed in seeds]


def _unsuited(method: type[Method], source: Source) -> str | None:
    """Why a method has no row on a data set; None if it has."""
    if method.pairing == "paired" and source.pairing == "unpaired":
        return "needs paired training images, and this data set has none"
    if source.params.own_sizes and not method.any_size:
        return "gives images of one size, and this data set's test images keep their own"
    return None


def _data_of(config: Config, entry: Entry) -> list[Entry]:
    """The data sets that a method runs on."""
    chosen = entry.keys.data
    known = {name for each in config.data for name in (each.label, each.key)}
    for name in chosen or ():
        if name not in known:
            hint = did_you_mean(name, known)
            raise config.error((*entry.path, "data"), f"unknown data set '{name}' (of this file's `data`); {hint}")
    return [each for each in config.data if chosen is None or each.label in chosen or each.key in chosen]


def _method_class(config: Config, entry: Entry) -> type[Method]:
    name = entry.keys.method or entry.key
    path = (*entry.path, "method") if entry.keys.method else entry.path
    try:
        return registry.method(name, config.base)
    except ConfigError as error:
        raise config.error(path, f"{error}{_kept(config, name)}") from None


def _kept(config: Config, name: str) -> str:
    """How to get back the file of a method that is gone: its trials keep copies, and cannot be named without it."""
    if not name.endswith(".py") or (config.base / name).exists():
        return ""
    of_trials = Path(config.header.store).expanduser().glob(f"{glob.escape(Path(name).stem)}-*/method.py")
    newest = max(of_trials, key=lambda copy: copy.stat().st_mtime, default=None)
    return f"; its trials keep copies: put one back, such as {newest}" if newest else ""


def _params(config: Config, entry: Entry, method: type[Method]) -> tuple[Any, dict[str, Any]]:
    """The method's parameters (preset, then the file's keys) and the preset's training settings."""
    preset: dict[str, Any] = {}
    if entry.keys.preset is not None:
        if entry.keys.preset not in method.presets:
            hint = did_you_mean(entry.keys.preset, method.presets) if method.presets else "this method has none"
            raise config.error((*entry.path, "preset"), f"unknown preset '{entry.keys.preset}'; {hint}")
        preset = dict(method.presets[entry.keys.preset])
    training = preset.pop("training", {})
    keys = type(entry.keys).model_fields
    return validate(method.Params, preset | entry.own, config.document, entry.path, keys), training


def _training(config: Config, entry: Entry, data_entry: Entry, preset: Mapping[str, Any]) -> Training:
    """Defaults < preset < the file's `training` < the data set's < the method's."""
    top = config.header.training.model_dump(include=set(config.explicit_training))
    return overlay(
        Training,
        Training(),
        (preset, entry.path),
        (top, ("training",)),
        (data_entry.keys.training, (*data_entry.path, "training")),
        (entry.keys.training, (*entry.path, "training")),
        document=config.document,
    )


def _check(config: Config, entry: Entry, method: type[Method], params: Any, data: DataPlan) -> None:
    try:
        method.check(params, Task(3, 3, data.source.params.size, data.source.params.scale))
    except ConfigError as error:
        raise config.error(entry.path, f"{error} (data set '{data.label}')") from None


def _check_start(config: Config, entry: Entry, method: type[Method]) -> None:
    """Refuse what says where a training begins, and what of it is held fixed, for a method that trains nothing."""
    for key in ("init_from", "freeze"):
        if getattr(entry.keys, key) and not method.players:
            raise config.error((*entry.path, key), f"'{entry.label}' trains nothing, so this does nothing; drop it")


def _check_options(config: Config, entry: Entry, method: type[Method], data: Entry, settings: Training) -> None:
    """Refuse an option of discriminators for a method that has none. Reference rows train nothing: nothing is lost."""
    if len(method.players) != 1:
        return
    for key in OF_DISCRIMINATORS:
        if getattr(settings, key) != Training.model_fields[key].default:
            own = ((entry.keys.training, entry.path), (data.keys.training, data.path))
            place = next(((*path, "training", key) for values, path in own if key in values), ("training", key))
            raise config.error(
                place,
                f"an option of discriminators, and '{entry.label}' has none; "
                "set it in the `training` of the methods that have",
            )


def _protocol(config: Config, override: str | None) -> Protocol:
    if override is not None:
        return resolve(override)
    return protocol_at(config.header.evaluation.protocol, config.document, ("evaluation", "protocol"))

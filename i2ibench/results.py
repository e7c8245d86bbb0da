"""Reads the store into pandas: scores and costs in long form, one row per trial and metric; and the learning curves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from i2ibench.errors import I2IBenchError
from i2ibench.metrics.catalog import METRICS

if TYPE_CHECKING:
    from i2ibench.plan import Plan, TrialSpec
    from i2ibench.store import Store, Trial


class ResultsError(I2IBenchError):
    """Results that cannot stand in one table."""


@dataclass(frozen=True)
class Cost:
    """What a method costs: `name` is the key in result.json, `unit` what its numbers are in."""

    name: str
    title: str
    unit: str
    higher_is_better: bool
    description: str


COSTS: dict[str, Cost] = {
    cost.name: cost
    for cost in (
        Cost("parameters", "Parameters", "", False, "trainable parameters of all players together"),
        Cost(
            "train_seconds",
            "Training",
            "s",
            False,
            "wall-clock time of training, on the hardware named under Provenance",
        ),
        Cost("images_per_second", "Train img/s", "1/s", True, "training images per second"),
        Cost("translate_images_per_second", "Translate img/s", "1/s", True, "test images translated per second"),
        Cost("peak_memory_mb", "Peak memory", "MB", False, "most memory held while training (device memory on a GPU)"),
    )
}

COLUMNS = (
    "data", "label", "method", "reference", "seed", "trial", "state", "reason", "log", "flags",
    "kind", "metric", "value", "protocol",
)  # fmt: skip


def frame(plan: Plan, store: Store) -> pd.DataFrame:
    """All results of a plan, one row per trial and metric; costs are metrics of kind "cost" and carry no protocol.

    Columns:
        data, label      the leaderboard and the row this belongs to; trials of one label differ by seed only
        method, p_<name> the method and its parameters
        reference        True for rows that bound the scale (copy, oracle) and are never ranked
        seed, trial      of this repetition
        state            done | trained | running | interrupted | missing | failed | diverged | skipped
        reason, log      why it is not done, and where the whole story lies ("" if done)
        flags            troubles of a training that ended: the JSON of [{"flag": ..., "reason": ...}], or ""
        kind             score | cost
        metric, value    a name of `metrics.catalog.METRICS` or of `COSTS`; NaN where the trial has no such number
        protocol         key of the evaluation protocol of a score

    Trials without scores keep their rows (value NaN), and each combination that the plan left out has one row of
    state "skipped" without a metric.

    Raises ResultsError if scores of one data set and metric were made under different protocols.
    """
    records: list[dict[str, Any]] = []
    seen: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    key = plan.protocol.key()
    for spec in plan.trials:
        trial, metrics = store.trial(spec.id), plan.metrics(spec)
        row = {
            "data": spec.data,
            "label": spec.label,
            "method": Path(spec.method).stem,
            "reference": spec.reference,
            "seed": spec.seed,
            "trial": spec.id,
            **_state(trial, key, metrics),
            "flags": json.dumps(flags) if (flags := (trial.result() or {}).get("flags")) else "",
            **{f"p_{name}": _scalar(value) for name, value in spec.params.items()},
        }
        scores = trial.scores(key) or {"values": {}, "protocol": {}}
        for metric in metrics:
            value = scores["values"].get(metric)
            if value is not None:
                _refuse_mixing(seen, spec, metric, scores["protocol"])
            records.append({**row, "kind": "score", "metric": metric, "value": value, "protocol": key})
        cost = (trial.result() or {}).get("cost", {})
        records += [{**row, "kind": "cost", "metric": name, "value": cost.get(name), "protocol": ""} for name in COSTS]
    for skip in plan.skipped:
        records.append({"data": skip.data, "label": skip.label, "state": "skipped", "reason": skip.reason})
    return _typed(records)


def curves(plan: Plan, store: Store) -> pd.DataFrame:
    """Learning curves in long form: data, label, seed, step, seconds, player, term, value."""
    return pd.DataFrame(
        [
            (spec.data, spec.label, spec.seed, point["step"], point.get("seconds"), *name.split(".", 1), value)
            for spec in plan.trials
            for point in store.trial(spec.id).curves()
            for name, value in point.items()
            if "." in name
        ],
        columns=["data", "label", "seed", "step", "seconds", "player", "term", "value"],
    )


def stamps(plan: Plan, store: Store) -> dict[str, dict[str, Any]]:
    """The protocol stamp that the scores of each data set share; data sets without scores are left out."""
    found: dict[str, dict[str, Any]] = {}
    for spec in plan.trials:
        scores = store.trial(spec.id).scores(plan.protocol.key())
        if scores is not None and len(scores["values"]) > len(found.get(spec.data, {}).get("values", {})):
            found[spec.data] = scores
    return {data: scores["protocol"] for data, scores in found.items()}


def provenance(plan: Plan, store: Store) -> dict[str, dict[str, int]]:
    """Each provenance key of the finished trials, flattened: its values, and the number of trials that have each."""
    counts: dict[str, dict[str, int]] = {}
    for spec in plan.trials:
        for key, value in flat((store.trial(spec.id).result() or {}).get("provenance", {})):
            values = counts.setdefault(key, {})
            values[str(value)] = values.get(str(value), 0) + 1
    return counts


def _state(trial: Trial, key: str, metrics: tuple[str, ...]) -> dict[str, str]:
    state, error = trial.state(key, metrics), trial.error()
    log = shown(trial.path / "log.txt")
    if state == "done":
        return {"state": "done", "reason": "", "log": ""}
    if state == "failed" and error is not None:
        state = "diverged" if error["kind"] == "DIVERGED" else "failed"
        return {"state": state, "reason": error["error"], "log": log}
    reasons = {
        "trained": "trained, but not scored under this protocol",
        "running": "still running",
        "interrupted": "interrupted; the next run goes on from its last checkpoint",
        "missing": "not run yet",
    }
    return {"state": state, "reason": reasons.get(state, ""), "log": log if trial.path.exists() else ""}


def shown(path: Path) -> str:
    """A path as seen from the working directory, where it lies below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _refuse_mixing(
    seen: dict[tuple[str, str], tuple[str, dict[str, Any]]], spec: TrialSpec, metric: str, stamp: dict[str, Any]
) -> None:
    own = stamp["metrics"][metric]
    first_trial, first = seen.setdefault((spec.data, metric), (spec.id, own))
    if first != own:
        raise ResultsError(
            f"{METRICS[metric].title} on {spec.data}: {first_trial} and {spec.id} were scored under different "
            f"protocols ({difference(first, own)}); delete the `scores` folder of the one to be scored anew, and run "
            "`i2ibench evaluate`"
        )


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """What two protocol stamps do not share: "input_size: 64 / 96, torch version: 2.4 / 2.5"."""
    a, b = dict(flat(first)), dict(flat(second))
    return ", ".join(
        f"{key}: {a.get(key, 'absent')} / {b.get(key, 'absent')}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key)
    )


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings with their dotted keys."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _scalar(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value, sort_keys=True)


def _typed(records: list[dict[str, Any]]) -> pd.DataFrame:
    """A frame whose every column has one type, as parquet needs; a parameter that has several is kept as text."""
    table = pd.DataFrame(records)
    params = sorted(name for name in table.columns if name.startswith("p_"))
    table = table.reindex(columns=[*COLUMNS, *params])
    texts = ["data", "label", "method", "trial", "state", "reason", "log", "flags", "kind", "metric", "protocol"]
    table[texts] = table[texts].fillna("").astype("string")
    table["reference"] = table["reference"].fillna(False).astype(bool)
    table["seed"] = table["seed"].astype("Int64")
    table["value"] = table["value"].astype(float)
    for name in params:
        kinds = {type(value) for value in table[name] if not pd.isna(value)}
        if not kinds <= {int, float} and len(kinds) > 1:
            table[name] = table[name].map(lambda value: value if pd.isna(value) else str(value))
    return table

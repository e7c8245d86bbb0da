"""Reads the store into pandas: scores and costs in long form, one row per trial and metric; and the learning curves."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from i2ibench.costs import COSTS
from i2ibench.errors import I2IBenchError
from i2ibench.metrics.catalog import METRICS

if TYPE_CHECKING:
    from i2ibench.plan import Plan
    from i2ibench.spec import TrialSpec
    from i2ibench.store import Store, Trial

PerImage = Mapping[str, Mapping[str, Mapping[int, np.ndarray]]]  # label -> metric -> seed -> values (images,)


class ResultsError(I2IBenchError):
    """Results that cannot stand in one table."""


COLUMNS = (
    "data", "label", "method", "reference", "seed", "trial", "state", "reason", "log", "flags",
    "steps", "kind", "metric", "value", "low", "high", "interval", "protocol",
)  # fmt: skip
NUMBERS = ("kind", "metric", "value", "low", "high", "interval", "protocol")  # the columns that are no trial's own


def results(file: Path | str, *, protocol: str | None = None) -> pd.DataFrame:
    """All results of a benchmark file, finished or not, one row per trial and metric. Runs nothing.

    Columns:

    - `data`, `label`: the leaderboard and the row this belongs to; trials of one label differ by seed only
    - `method`, `p_NAME`: the method and its parameters
    - `reference`: True for rows that bound the scale (copy, oracle) and are never ranked
    - `seed`, `trial`: of this repetition
    - `state`: done, trained, running, interrupted, waiting, failed, diverged or skipped
    - `reason`, `log`: why it is not done, and where the whole story lies ("" if done)
    - `flags`: troubles of a training that ended: the JSON of `[{"flag": ..., "reason": ...}]`, or ""
    - `steps`: its budget of training steps; missing for what is not trained
    - `kind`: "score", or "cost" (seconds, memory and the like, which carry no protocol)
    - `metric`, `value`: the name of a metric or a cost; NaN where the trial has no such number. PSNR is in dB, other
      scores have no unit; costs have theirs in the name (`train_seconds`, `peak_memory_mb`)
    - `low`, `high`: of this trial's own interval of the score, over images; NaN where there is none
    - `interval`: what that interval is: "95% bootstrap over images", say
    - `protocol`: key of the evaluation protocol of a score

    Trials without scores keep their rows (value NaN), and each combination that the plan left out has one row of
    state "skipped" without a metric. Rows are numbered from 0 on; `value`, `low` and `high` are float64, `seed` and
    `steps` Int64, `reference` is bool, a `p_NAME` what its values are, and the rest is string ("" where there is none).
    Means and standard deviations over seeds, as on the leaderboard:
    `table[table.kind == "score"].groupby(["data", "label", "metric"])["value"].agg(["mean", "std", "count"])`.

    Args:
        file: the benchmark file. Its `store` is seen from the working directory, as by the commands: from another
            folder all trials are waiting.
        protocol: read the scores under this protocol in place of the file's.

    Raises:
        ConfigError, DataError: one line that names the place in the file.
    """
    from i2ibench import config, plan
    from i2ibench.store import Store

    the_plan = plan.make(config.load(Path(file)), protocol)
    return frame(the_plan, Store(the_plan.store))


def frame(plan: Plan, store: Store) -> pd.DataFrame:
    """The table of `results`, of a plan.

    Raises ResultsError if scores of one data set and metric were made under different protocols.
    """
    trials: list[dict[str, Any]] = []
    numbers: list[tuple[Any, ...]] = []
    seen: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for spec in plan.trials:
        trial, metrics, key = store.trial(spec.id), plan.metrics(spec), spec.score_key(plan.key)
        result = trial.result() or {}
        at = len(trials)
        trials.append(
            {
                "data": spec.data,
                "label": spec.label,
                "method": Path(spec.method).stem,
                "reference": spec.reference,
                "seed": spec.seed,
                "trial": spec.id,
                **_state(trial, key, metrics),
                "flags": json.dumps(flags) if (flags := result.get("flags")) else "",
                "steps": spec.training["steps"] if spec.trained else None,
                **{f"p_{name}": _scalar(value) for name, value in spec.params.items()},
            }
        )
        scores = trial.scores(key) or {"values": {}, "protocol": {}}
        for metric in metrics:
            value = scores["values"].get(metric)
            if value is not None:
                refuse_mixing(seen, spec, metric, scores["protocol"])
            numbers.append((at, "score", metric, value, *_interval(scores.get("intervals", {}).get(metric)), key))
        cost = result.get("cost", {})
        numbers += [(at, "cost", name, cost.get(name), None, None, "", "") for name in COSTS]
    for skip in plan.skipped:
        numbers.append((len(trials), "", "", None, None, None, "", ""))
        trials.append({"data": skip.data, "label": skip.label, "state": "skipped", "reason": skip.reason})
    return _typed(trials, numbers)


def _interval(found: Mapping[str, Any] | None) -> tuple[float | None, float | None, str]:
    if not found or found.get("low") is None or found.get("high") is None:
        return None, None, ""
    level = f"{found['level']:.0%} " if "level" in found else ""
    return found["low"], found["high"], f"{level}{found.get('kind', '')}".strip()


def per_image(plan: Plan, store: Store, data: str, labels: Collection[str]) -> PerImage:
    """label -> metric -> seed -> values (images,) of the finished trials of some rows, for metrics of single images."""
    found: dict[str, dict[str, dict[int, np.ndarray]]] = {}
    for spec in plan.trials:
        if spec.data != data or spec.label not in labels:
            continue
        metrics, key = plan.metrics(spec), spec.score_key(plan.key)
        if store.trial(spec.id).state(key, metrics) != "done":
            continue
        for metric, values in store.trial(spec.id).per_image(key).items():
            if metric in metrics and values.ndim == 1 and np.isfinite(values).all():
                found.setdefault(spec.label, {}).setdefault(metric, {})[spec.seed] = values
    return {
        label: {m: seeds for m, seeds in by_metric.items() if len({len(values) for values in seeds.values()}) == 1}
        for label, by_metric in found.items()
    }


def bounds(plan: Plan, store: Store) -> dict[str, dict[str, dict[str, float]]]:
    """data set -> metric -> {what: value}: what a score is read beside, and is had without a method."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for spec in plan.trials:
        scores = store.trial(spec.id).scores(spec.score_key(plan.key)) or {}
        for metric, limits in scores.get("bounds", {}).items():
            found.setdefault(spec.data, {}).setdefault(metric, limits)
    return found


def curves(plan: Plan, store: Store, data: str | None = None, labels: Collection[str] | None = None) -> pd.DataFrame:
    """Learning curves in long form, of one data set or of some rows alone if you say so.

    Columns: data, label, seed, gpus (in use), step, seconds, player, term, value.
    """
    return pd.DataFrame(
        [
            (*row, point["step"], point.get("seconds"), *name.split(".", 1), value)
            for spec in plan.trials
            if (data is None or spec.data == data) and (labels is None or spec.label in labels)
            for cost in [(store.trial(spec.id).result() or {}).get("cost", {})]
            for row in [(spec.data, spec.label, spec.seed, cost.get("gpus", 0))]
            for point in store.trial(spec.id).curves()
            for name, value in point.items()
            if "." in name
        ],
        columns=["data", "label", "seed", "gpus", "step", "seconds", "player", "term", "value"],
    )


def stamps(plan: Plan, store: Store) -> dict[str, dict[str, Any]]:
    """The protocol stamp that the scores of each data set share; data sets without scores are left out."""
    found: dict[str, dict[str, Any]] = {}
    for spec in plan.trials:
        scores = store.trial(spec.id).scores(spec.score_key(plan.key))
        if scores is not None and len(scores["values"]) > len(found.get(spec.data, {}).get("values", {})):
            found[spec.data] = scores
    return {data: scores["protocol"] for data, scores in found.items()}


def provenance(plan: Plan, store: Store) -> dict[str, dict[str, int]]:
    """Each provenance key of the finished trials, flattened: its values in words, and how many trials have each."""
    counts: dict[str, dict[str, int]] = {}
    for spec in plan.trials:
        for key, value in flat((store.trial(spec.id).result() or {}).get("provenance", {})):
            values = counts.setdefault("uncommitted changes" if key == "git.dirty" else key, {})
            word = ("yes" if value else "no") if isinstance(value, bool) else str(value)
            values[word] = values.get(word, 0) + 1
    return counts


def _state(trial: Trial, key: str, metrics: tuple[str, ...]) -> dict[str, str]:
    state, error = trial.state(key, metrics), trial.error()
    file = trial.path / "log.txt"
    log = shown(file) if file.exists() else ""
    if state == "done":
        return {"state": "done", "reason": "", "log": ""}
    if state == "failed" and error is not None:
        state = "diverged" if error["kind"] == "DIVERGED" else "failed"
        return {"state": state, "reason": error["error"], "log": log}
    step = trial.saved_step() if state == "interrupted" else None
    at = "" if step is None else f", at step {step}"
    reasons = {
        "trained": "trained, but not scored under this protocol",
        "running": "still running",
        "interrupted": f"interrupted; the next run goes on from its last checkpoint{at}",
        "waiting": "not run yet",
    }
    return {"state": state, "reason": reasons.get(state, ""), "log": log}


def shown(path: Path) -> str:
    """A path as seen from the working directory, where it lies below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def refuse_mixing(
    seen: dict[tuple[str, str], tuple[str, dict[str, Any]]], spec: TrialSpec, metric: str, stamp: dict[str, Any]
) -> None:
    """Raise ResultsError if a score was made under another protocol than those before it.

    seen: (data set, metric) -> the first trial that was looked at, and what its stamp says; is added to.
    """
    own = stamp.get("metrics", {}).get(metric)
    place = f"{METRICS[metric].title} on {spec.data}"
    anew = "score all of them anew with `i2ibench evaluate FILE --force`"
    if own is None:
        raise ResultsError(f"{place}: the score of {spec.id} does not say what protocol it was made under; {anew}")
    first_trial, first = seen.setdefault((spec.data, metric), (spec.id, own))
    if first != own:
        raise ResultsError(
            f"{place}: {first_trial} and {spec.id} were scored under different protocols, in this order "
            f"{difference(first, own)}; {anew}"
        )


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """What two protocol stamps do not share: "input_size: 64 / 96, torch version: 2.4 / 2.5"."""
    a, b = dict(flat(first)), dict(flat(second))
    both = ((key, a.get(key, "absent"), b.get(key, "absent")) for key in sorted({*a, *b}))
    return ", ".join(f"{key}: {one} / {other}" for key, one, other in both if one != other)


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings with their dotted keys."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _scalar(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value, sort_keys=True)


def _typed(trials: list[dict[str, Any]], numbers: list[tuple[Any, ...]]) -> pd.DataFrame:
    """A frame whose every column has one type, as parquet needs; a parameter that has several is kept as text.

    trials: what there is to say of each; numbers: the place of the trial there, and NUMBERS.
    """
    of_trials, rows = pd.DataFrame(trials), pd.DataFrame(numbers, columns=["at", *NUMBERS])
    params = sorted(name for name in of_trials.columns if name.startswith("p_"))
    own = [name for name in COLUMNS if name not in NUMBERS]
    of_trials = of_trials.reindex(columns=[*own, *params])
    texts = [name for name in own if name not in ("reference", "seed", "steps")]
    of_trials[texts] = of_trials[texts].astype("string").fillna("")
    of_trials["reference"] = of_trials["reference"].fillna(False).astype(bool)
    of_trials[["seed", "steps"]] = of_trials[["seed", "steps"]].astype("Int64")
    for name in params:
        kinds = {type(value) for value in of_trials[name] if not pd.isna(value)}
        if not kinds <= {int, float} and len(kinds) > 1:
            of_trials[name] = of_trials[name].map(lambda value: value if pd.isna(value) else str(value))
    words = ["kind", "metric", "interval", "protocol"]
    rows[words] = rows[words].astype("string")
    rows[["value", "low", "high"]] = rows[["value", "low", "high"]].astype(float)
    whole = of_trials.iloc[rows.pop("at").to_numpy(dtype=int)].reset_index(drop=True)
    return pd.concat([whole, rows], axis=1)[[*COLUMNS, *params]]

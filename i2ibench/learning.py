"""Scores on the way of trainings as a table: one row per trial, step that was scored, and metric."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from i2ibench.costs import held
from i2ibench.frames import refuse_mixing

if TYPE_CHECKING:
    from i2ibench.plan import Plan
    from i2ibench.spec import TrialSpec
    from i2ibench.store import Store

COLUMNS = (
    "data", "label", "method", "seed", "trial", "step", "seconds", "device", "device_hours", "metric", "value", "final",
)  # fmt: skip


def points(plan: Plan, store: Store) -> pd.DataFrame:
    """Scores against training, of the trials that kept networks on their way (`training.score_every`).

    Columns:
        data, label, method, seed, trial   as in `frames.frame`
        step, seconds   of training when the networks were what is scored; seconds are wall-clock time
        device          "GPU" or "core": what `device_hours` are of
        device_hours    seconds, times the share of a GPU that the training had, or its cores, in hours
        metric, value   as in `frames.frame`, on the same test images and under the same protocol
        final           True: the end of the training, whose score is the trial's own

    Raises ResultsError if points of one data set and metric were made under different protocols.
    """
    rows: list[tuple[Any, ...]] = []
    seen: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for spec in plan.trials:
        rows += _rows(plan, store, spec, seen)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"step": "int64", "seconds": float, "value": float})


def _rows(
    plan: Plan, store: Store, spec: TrialSpec, seen: dict[tuple[str, str], tuple[str, dict[str, Any]]]
) -> list[tuple[Any, ...]]:
    trial, key = store.trial(spec.id), spec.score_key(plan.key)
    found = trial.points(key)
    if not found:
        return []
    cost, end = (trial.result() or {}).get("cost", {}), trial.scores(key)
    if end is not None and "steps" in cost:
        found[cost["steps"]] = {**end, "seconds": cost["train_seconds"]}
    share, unit = held(spec, cost)
    about = spec.data, spec.label, Path(spec.method).stem, spec.seed, spec.id
    rows: list[tuple[Any, ...]] = []
    for step, point in found.items():
        hours = point["seconds"] * share / 3600
        for metric in plan.of_points(plan.metrics(spec)):
            if metric in point["values"]:
                refuse_mixing(seen, spec, metric, _but_for_the_step(point["protocol"]))
                when = step, point["seconds"], unit, hours
                rows.append((*about, *when, metric, point["values"][metric], step == cost.get("steps")))
    return rows


def _but_for_the_step(stamp: Mapping[str, Any]) -> dict[str, Any]:
    """A protocol stamp without what alone should differ between the points of a curve."""
    entries = stamp.get("metrics", {})
    return {"metrics": {name: {k: v for k, v in entry.items() if k != "checkpoint"} for name, entry in entries.items()}}

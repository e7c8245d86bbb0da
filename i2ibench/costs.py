"""What methods cost, and what a whole benchmark did: names, units, and hours of devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from i2ibench.plan import Plan
    from i2ibench.spec import TrialSpec
    from i2ibench.store import Store


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


def time_spent(plan: Plan, store: Store) -> dict[str, float]:
    """Seconds of training over all trials, each training once, by the kind of device: wall clock and device time.

    Device time is wall time times the share of a GPU that the trial had, or its cores on a CPU.
    """
    trainings: dict[str, tuple[str, float, float]] = {}
    for spec in plan.trials:
        cost = (store.trial(spec.id).result() or {}).get("cost", {})
        if "train_seconds" in cost:
            share, unit = held(spec, cost)
            trainings[spec.trained_as] = unit, cost["train_seconds"], cost["train_seconds"] * share
    spent: dict[str, float] = {}
    for unit, wall, used in trainings.values():
        spent["wall clock of all trainings, added up"] = spent.get("wall clock of all trainings, added up", 0.0) + wall
        spent[f"{unit} time"] = spent.get(f"{unit} time", 0.0) + used
    return spent


def held(spec: TrialSpec, cost: Mapping[str, Any]) -> tuple[float, str]:
    """How many devices a training held: its share of GPUs ("GPU"), or its cores ("core")."""
    gpus = cost.get("gpus", 0)
    return (float(gpus), "GPU") if gpus else (float(spec.resources["cpus"]), "core")

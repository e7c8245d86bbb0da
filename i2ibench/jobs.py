"""From a plan to the jobs that are left of it: what each asks for, what it waits for, and how long it may take."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import Any

from i2ibench.errors import StoreError
from i2ibench.job import Job
from i2ibench.metrics.catalog import METRICS
from i2ibench.plan import Plan
from i2ibench.spec import TrialSpec
from i2ibench.store import Store

GUESS = 1e-6  # seconds that a step takes for each pixel of its batch, where nothing of the kind was ever measured
LEARN_FROM, LOOK_AT = 8, 100  # earlier results of a method: so many are enough, and so many are looked at


def make(
    plan: Plan, store: Store, pending: Iterable[TrialSpec], *, train: bool = True, rescore: bool = False
) -> list[Job]:
    """The jobs of the pending trials; without `train`, only scores."""
    pending = list(pending)
    metrics: dict[str, dict[str, None]] = {}  # of each trial, though it may stand in several rows that ask for others
    for spec in plan.trials:
        metrics.setdefault(spec.id, {}).update(dict.fromkeys(plan.metrics(spec)))
    trained = {spec.id for spec in pending if train and store.trial(spec.id).result() is None}
    trainers: dict[str, str] = {}  # of networks that several trials share: the job that trains them
    for spec in pending:
        if spec.id in trained and (spec.trained_as not in trainers or not spec.borrows):
            trainers[spec.trained_as] = f"train {spec.id}"
    protocol = plan.protocol.model_dump(mode="json")
    seconds = Estimates(store)
    references: dict[str, Job] = {}
    probes: dict[str, Job] = {}
    jobs = []
    for spec in pending:
        job, missing = _scoring(plan, protocol, store, spec, tuple(metrics[spec.id]), rescore)
        after = []
        if spec.id in trained:
            trainer = trainers[spec.trained_as]
            translates_only = trainer != f"train {spec.id}"
            first = [trainer] if translates_only else []
            if spec.init_from and spec.init_from.get("row") in trained:
                first.append(f"train {spec.init_from['row']}")
            if spec.resources["gpus"] == "auto":
                probe = replace(job, kind="probe", resources=spec.resources, metrics=())
                first.append(probes.setdefault(_size(spec), probe).name)
            length = 1.0 if translates_only else seconds(spec)
            jobs.append(replace(job, kind="train", resources=spec.resources, after=tuple(first), seconds=length))
            after.append(jobs[-1].name)
        if any(METRICS[metric].network == "extractor" for metric in missing):
            reference = replace(job, kind="reference")
            after.append(references.setdefault(spec.data, reference).name)
        jobs.append(replace(job, after=tuple(after)))
    return [*probes.values(), *references.values(), *jobs]


def _scoring(
    plan: Plan, protocol: dict[str, Any], store: Store, spec: TrialSpec, wanted: tuple[str, ...], rescore: bool
) -> tuple[Job, list[str]]:
    """The job that scores a trial, and those of the wanted metrics that it has to compute."""
    trial = store.trial(spec.id)
    known = {} if rescore else (trial.scores(spec.score_key(plan.key)) or {}).get("values", {})
    missing = [metric for metric in wanted if metric not in known]
    on_the_way = plan.of_points(wanted)
    points = bool(on_the_way and spec.trained and spec.training["score_every"])  # which translate all test images
    asked = plan.evaluation | ({} if points or any(map(_heavy, missing)) else {"gpus": 0.0})
    job = Job(
        "score",
        spec.to_json(),
        str(store.path),
        protocol,
        wanted,
        asked,
        curve_metrics=on_the_way,
        rescore=rescore,
        failed=(trial.error() or {}).get("time"),
    )
    return job, missing


def _size(spec: TrialSpec) -> str:
    """What the memory of a training depends on: all but the seed."""
    return repr((spec.method, spec.params, spec.source_params, spec.training))


def _heavy(metric: str) -> bool:
    """Whether a metric looks through a network, or trains one."""
    known = METRICS[metric]
    return known.network is not None or bool({"scorer", "labels", "cycle"} & known.needs)


class Estimates:
    """How long trainings may take: from earlier results of the same method at the same size, else a guess."""

    def __init__(self, store: Store) -> None:
        self._store, self._names = store, list[str]()
        with suppress(OSError):
            self._names = sorted(entry.name for entry in store.path.iterdir())
        self._rate = cache(self._measured)

    def __call__(self, spec: TrialSpec) -> float:
        """Seconds, within the training's own limit."""
        if not spec.trained:
            return 1.0
        settings = spec.training
        pixels = settings["batch_size"] * spec.source_params["size"] ** 2
        seconds = settings["steps"] * pixels * (self._rate_of(spec) or GUESS)
        return min(seconds, 60 * settings["minutes"]) if settings["minutes"] else seconds

    def measured(self, spec: TrialSpec) -> bool:
        """Whether the estimate comes from earlier results."""
        return self._rate_of(spec) is not None

    def _rate_of(self, spec: TrialSpec) -> float | None:
        return self._rate(f"{Path(spec.method).stem}-{spec.source}-s", spec.source_params["size"])

    def _measured(self, prefix: str, size: int) -> float | None:
        """Seconds for each step and pixel of the batch in trials whose names begin so; None if there are none."""
        rates: list[float] = []
        first = bisect_left(self._names, prefix)
        for name in takewhile(lambda name: name.startswith(prefix), self._names[first : first + LOOK_AT]):
            trial = self._store.trial(name)
            with suppress(StoreError, KeyError, ZeroDivisionError, TypeError):
                spec, result = trial.spec(), trial.result()
                if spec is not None and result is not None and spec["source_params"]["size"] == size:
                    cost: Mapping[str, Any] = result["cost"]
                    pixels = spec["training"]["batch_size"] * size**2
                    rates.append(cost["train_seconds"] / cost["steps"] / pixels)
            if len(rates) == LEARN_FROM:
                break
        return median(rates) if rates else None

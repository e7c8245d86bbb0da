"""What a trial is called: by its content, so that the same trial is found again and another one never taken for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from i2ibench import initial, registry, sources
from i2ibench.config import Config, Resources, Training
from i2ibench.data import cache
from i2ibench.data.source import SourceParams
from i2ibench.entries import Entry
from i2ibench.method import Method
from i2ibench.provenance import training_digest
from i2ibench.sets import DataPlan
from i2ibench.spec import TrialSpec

# Settings of the training that cannot change its numbers.
BOOKKEEPING = ("log_every", "checkpoint_every", "score_every", "limit_minutes", "hang_seconds")


@dataclass(frozen=True)
class Row:
    """A row of the benchmark: its entry in the file, and what that comes to."""

    entry: Entry
    method: type[Method]
    params: Any
    preset: Mapping[str, Any]  # the training settings of its preset
    start: initial.Start | None  # the file of weights that it begins with, if it names one

    @property
    def name(self) -> str:
        """Of the method: a registered one, or a file's path as it stands in the benchmark file."""
        return str(self.entry.keys.method or self.entry.key)

    @cached_property
    def code(self) -> str:
        """A hash of what the method's files do."""
        return sources.digest(self.method)

    def goes_back(self, data: DataPlan) -> bool:
        """Whether `direction: BtoA` is served by going back: a method that goes both ways is trained from A to B."""
        return self.method.bidirectional and data.source.params.direction == "BtoA"

    def group(self, data: DataPlan) -> tuple[str, ...]:
        """The domains that it learns from all at once, if it does."""
        return data.group if self.method.pairing == "multi-domain" else ()

    def taught(self, data: DataPlan) -> str:
        """The fingerprint of what it learns from. Without pairs these are halves of the images (`batches.pools`), whose
        draw hangs on all of the set."""
        return data.taught if self.method.pairing == "paired" else data.fingerprint


def spec(
    config: Config,
    row: Row,
    data: DataPlan,
    training: Training,
    resources: Resources,
    seed: int,
    start: initial.Start | None,
) -> TrialSpec:
    """A trial of the plan, and what it is called.

    `trained_as` names its training, by a hash of all that could change its numbers; `id` adds how the trained networks
    are used.
    """
    entry, method, kind = row.entry, row.method, type(data.source).name
    trained_as = f"{Path(row.name).stem}-{kind}-s{seed}-{_hash(_learned(row, data, training, seed, start))}"
    return TrialSpec(
        id=f"{trained_as}{_use(row, data)}",
        trained_as=trained_as,
        label=entry.label,
        method=str(registry.method_file(method)) if row.name.endswith(".py") else row.name,
        params=row.params.model_dump(mode="json"),
        data=data.label,
        source=kind,
        source_params=data.source.params.model_dump(mode="json"),
        base=str(config.base),
        fingerprint=data.fingerprint,
        pairing=method.pairing,
        scores_pairs=method.scores_pairs,
        trained=bool(method.players),
        seed=seed,
        training=training.model_dump(mode="json"),
        resources=resources.model_dump(mode="json"),
        multimodal=method.multimodal,
        bidirectional=method.bidirectional,
        declared=data.declared,
        logging=tuple(dict.fromkeys(config.header.logging)),
        group=row.group(data),
        init_from=start,
        freeze=entry.keys.freeze,
        code=row.code,
    )


def _learned(row: Row, data: DataPlan, training: Training, seed: int, start: initial.Start | None) -> dict[str, Any]:
    """All that could change the numbers of a training."""
    method, source_params = row.method, data.source.params.model_dump(mode="json")
    learned_from = source_params | ({"direction": "AtoB"} if row.goes_back(data) else {})
    settings = {key: value for key, value in training.model_dump(mode="json").items() if key not in BOOKKEEPING}
    told = {
        "method": row.code,
        "params": {
            key: value for key, value in row.params.model_dump(mode="json").items() if key not in method.sampling
        },
        "data": [row.group(data) or row.taught(data), _told(learned_from)],
        "decoding": cache.VERSION,
        "training": settings if method.players else None,
        "code": training_digest(),
        "seed": seed,
    }
    if start is not None:
        told["init_from"] = [start.get("trial") or start["sha256"], start["partial"]]
    if row.entry.keys.freeze:
        told["freeze"] = row.entry.keys.freeze
    return told


def _use(row: Row, data: DataPlan) -> str:
    """How trained networks are used, where that is otherwise than they were trained: the other way, between other
    domains, on test images that the training knows nothing of, by other sampling."""
    backward, method, own = row.goes_back(data), row.method, row.params.model_dump(mode="json")
    way = "-back" if backward else ""
    if row.group(data):
        ends = data.source.params.ends[:: -1 if backward else 1]
        way = "" if ends == (0, 1) else "-{}to{}".format(*ends)
    if row.taught(data) != data.fingerprint:
        way += f"-{data.fingerprint[:6]}"
    if sampled := {key: own[key] for key in method.sampling if own[key] != method.Params.model_fields[key].default}:
        way += f"-{_hash(sampled)[:6]}"
    return way


def _told(source_params: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial's id says of the keys that every data set has; of later ones only if they are used."""
    return {
        key: source_params[key]
        for key in SourceParams.model_fields
        if key != "jitter" or source_params[key] is not None
    }


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]

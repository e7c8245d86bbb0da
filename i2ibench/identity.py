"""What a trial is called: by its content, so that the same trial is found again and another one never taken for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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


def spec(
    config: Config,
    entry: Entry,
    method: type[Method],
    params: Any,
    data: DataPlan,
    training: Training,
    resources: Resources,
    seed: int,
    start: initial.Start | None,
) -> TrialSpec:
    """A trial of the plan, and what it is called.

    `trained_as` names its training, by a hash of all that could change its numbers; `id` adds how the trained networks
    are used, where that is otherwise than they were trained: the other way, between other domains, other sampling, on
    test images that the training knows nothing of.
    """
    source_params = data.source.params.model_dump(mode="json")
    # A method that goes both ways is trained once, from A to B, and serves `direction: BtoA` by going back.
    backward = method.bidirectional and source_params["direction"] == "BtoA"
    learned_from = source_params | ({"direction": "AtoB"} if backward else {})
    settings = training.model_dump(mode="json")
    group = data.group if method.pairing == "multi-domain" else ()
    own = params.model_dump(mode="json")
    # A method without pairs learns from halves of the images (`batches.pools`), whose draw hangs on all of the set.
    taught = data.taught if method.pairing == "paired" else data.fingerprint
    code = sources.digest(method)
    told = {
        "method": code,
        "params": {key: value for key, value in own.items() if key not in method.sampling},
        "data": [group or taught, _told(learned_from)],
        "decoding": cache.VERSION,
        "training": {key: value for key, value in settings.items() if key not in BOOKKEEPING}
        if method.players
        else None,
        "code": training_digest(),
        "seed": seed,
    }
    if start is not None:
        told["init_from"] = [start.get("trial") or start["sha256"], start["partial"]]
    if entry.keys.freeze:
        told["freeze"] = entry.keys.freeze
    method_name = entry.keys.method or entry.key
    short = Path(method_name).stem
    kind = type(data.source).name
    trained_as = f"{short}-{kind}-s{seed}-{_hash(told)}"
    way = "-back" if backward else ""
    if group:
        ends = data.source.params.ends[:: -1 if backward else 1]
        way = "" if ends == (0, 1) else "-{}to{}".format(*ends)
    if taught != data.fingerprint:
        way += f"-{data.fingerprint[:6]}"
    if sampled := {key: own[key] for key in method.sampling if own[key] != method.Params.model_fields[key].default}:
        way += f"-{_hash(sampled)[:6]}"
    return TrialSpec(
        id=f"{trained_as}{way}",
        trained_as=trained_as,
        label=entry.label,
        method=str(registry.method_file(method)) if method_name.endswith(".py") else method_name,
        params=own,
        data=data.label,
        source=kind,
        source_params=source_params,
        base=str(config.base),
        fingerprint=data.fingerprint,
        pairing=method.pairing,
        scores_pairs=method.scores_pairs,
        trained=bool(method.players),
        seed=seed,
        training=settings,
        resources=resources.model_dump(mode="json"),
        multimodal=method.multimodal,
        bidirectional=method.bidirectional,
        declared=data.declared,
        logging=tuple(dict.fromkeys(config.header.logging)),
        group=group,
        init_from=start,
        freeze=entry.keys.freeze,
        code=code,
    )


def _told(source_params: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial's id says of the keys that every data set has; of later ones only if they are used."""
    return {
        key: source_params[key]
        for key in SourceParams.model_fields
        if key != "jitter" or source_params[key] is not None
    }


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]

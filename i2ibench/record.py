"""What a report keeps of its trials (trials.parquet), so that it can be compared when their store is not at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from i2ibench import registry
from i2ibench.data.source import Source
from i2ibench.errors import StoreError
from i2ibench.metrics.protocol import Protocol
from i2ibench.plan import Plan, Skip
from i2ibench.sets import DataPlan
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial

if TYPE_CHECKING:
    import pyarrow as pa

    from i2ibench.frames import PerImage

FILE = "trials.parquet"
KEY = b"i2ibench"  # of the plan among the file's metadata
VERSION = 1  # raise it when a reader of before could not read what is written


def save(plan: Plan, store: Store, per_image: Mapping[str, PerImage], folder: Path) -> None:
    """Write trials.parquet: one row per trial with its spec, result and scores as JSON, and its values per image.

    Args:
        plan: what was to be run; it is kept in the file's metadata.
        store: where the trials lie.
        per_image: data set -> label -> metric -> seed -> (images,), of the rows that were tested against each other;
            the values of other rows are left out, for their size.
        folder: that the file goes into.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    for spec in plan.trials:
        trial, key = store.trial(spec.id), spec.score_key(plan.key)
        result = dict(trial.result() or {})
        provenance = result.pop("provenance", None)
        rows.append(
            {
                "id": spec.id,
                "state": trial.state(key, plan.metrics(spec)),
                "spec": _json(vars(spec)),
                "result": _json(result) if result else None,
                "provenance": _json(provenance) if provenance is not None else None,  # the same for many: kept once
                "scores": _json(scores) if (scores := trial.scores(key)) is not None else None,
                "error": _json(error) if (error := trial.error()) is not None else None,
            }
        )
        if rows[-1]["state"] == "done" and spec.label in per_image.get(spec.data, {}):
            rows[-1]["images"] = [
                {"metric": metric, "values": values.astype(float)} for metric, values in trial.per_image(key).items()
            ]
    texts = ("id", "state", "spec", "result", "provenance", "scores", "error")
    images = pa.list_(pa.struct([("metric", pa.string()), ("values", pa.list_(pa.float64()))]))
    schema = pa.schema([*((name, pa.string()) for name in texts), ("images", images)], {KEY: _json(_told(plan, store))})
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / FILE, compression="zstd")


def _told(plan: Plan, store: Store) -> dict[str, Any]:
    data = {
        label: {
            "place": entry.place,
            "source": type(entry.source).name,
            "params": entry.source.params.model_dump(mode="json"),
            "base": str(entry.source.base),
            "fingerprint": entry.fingerprint,
            "metrics": entry.metrics,
            "declared": entry.declared,
            "group": entry.group,
            "way_of": entry.way_of,
        }
        for label, entry in plan.data.items()
    }
    return {
        "version": VERSION,
        "store": str(store.path),
        "data": data,
        "protocol": plan.protocol.model_dump(mode="json"),
        "skipped": [asdict(skip) for skip in plan.skipped],
        **{name: getattr(plan, name) for name in ("name", "assets", "reports", "text", "file", "evaluation")},
    }


def load(folder: Path) -> tuple[Plan, Store]:
    """The plan of a report and a store of what it shows: results, scores and tested values per image, but no images.

    Raises:
        StoreError: the folder holds no record of its trials, or one that cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = folder / FILE
    if not file.exists():
        raise StoreError(
            f"{folder}: has no {FILE}, which the reports of this version have; name the benchmark file, or draw the "
            "report again with `i2ibench report`"
        )
    try:
        table = pq.read_table(file)
        told = json.loads((table.schema.metadata or {})[KEY])
        if told["version"] != VERSION:
            raise StoreError(f"{file}: was written by another version of i2ibench; draw the report again")
        return _plan(told, table), Recorded(Path(told["store"]), table)
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowInvalid) as error:
        raise StoreError(f"{file}: cannot be read ({' '.join(str(error).split())}); draw the report again") from None


def _plan(told: Mapping[str, Any], table: pa.Table) -> Plan:
    return Plan(
        name=told["name"],
        trials=tuple(TrialSpec.from_json(json.loads(spec)) for spec in table["spec"].to_pylist()),
        skipped=tuple(Skip(**skip) for skip in told["skipped"]),
        data={
            label: DataPlan(
                label, entry["place"], _source(entry), entry["fingerprint"], tuple(entry["metrics"]),
                entry["declared"], tuple(entry["group"]), entry["way_of"],
            )
            for label, entry in told["data"].items()
        },
        protocol=Protocol(**told["protocol"]),
        assets=tuple(told["assets"]),
        store=told["store"],
        reports=told["reports"],
        text=told["text"],
        file=told["file"],
        evaluation=told["evaluation"],
    )  # fmt: skip


def _source(entry: Mapping[str, Any]) -> Source:
    """The data set as it was declared. Its own constructor would look for files, which may lie elsewhere."""
    kind = registry.sources()[entry["source"]]
    made = kind.__new__(kind)
    Source.__init__(made, kind.Params(**entry["params"]), Path(entry["base"]))
    return made


class Recorded(Store):
    """A store that answers from a record."""

    def __init__(self, path: Path, table: pa.Table) -> None:
        super().__init__(path)
        self._rows = {row["id"]: row for row in table.to_pylist()}

    def trial(self, trial_id: str) -> Trial:
        row = self._rows.get(trial_id)
        return super().trial(trial_id) if row is None else _RecordedTrial(self.path / trial_id, row)


class _RecordedTrial(Trial):
    """A trial whose every answer that a report needs stands in a row of the record, under the report's protocol."""

    def __init__(self, path: Path, row: Mapping[str, Any]) -> None:
        super().__init__(path)
        self._row = row

    def _read(self, name: str) -> dict[str, Any] | None:
        text = self._row[name]
        return None if text is None else json.loads(text)

    def spec(self) -> dict[str, Any] | None:
        return self._read("spec")

    def result(self) -> dict[str, Any] | None:
        result = self._read("result")
        provenance = self._read("provenance")
        return result if result is None or provenance is None else result | {"provenance": provenance}

    def scores(self, key: str) -> dict[str, Any] | None:
        return self._read("scores")

    def error(self) -> dict[str, Any] | None:
        return self._read("error")

    def per_image(self, key: str) -> dict[str, np.ndarray]:
        return {one["metric"]: np.array(one["values"], dtype=float) for one in self._row["images"] or ()}

    # Of the rest a record knows nothing, and what lies at its path may be somebody else's.
    def training(self) -> None:
        return None

    def progress(self) -> None:
        return None

    def saved_step(self) -> None:
        return None

    def curves(self) -> list[dict[str, Any]]:
        return []

    def points(self, key: str) -> dict[int, dict[str, Any]]:
        return {}

    def images(self, name: str) -> None:
        return None

    def state(self, key: str, metrics: list[str] | tuple[str, ...] = ()) -> str:
        return str(self._row["state"])


def _json(content: Any) -> str:
    return json.dumps(content, sort_keys=True)

"""Records of scores, as the store keeps them: which still count, and how two of the same images become one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from typing import Any

from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.protocol import REVISION
from i2ibench.provenance import version_of

VERSION = " version"  # ends the entries of a stamp that name a library

Record = Mapping[str, Any]  # values, protocol (their stamp), and intervals and bounds of those that have them


def counts(record: Record) -> bool:
    """Whether this machine's libraries would give the same scores.

    Values under one key stand in one table, and so are made by the same versions: all of them are computed anew where
    one would be by another.
    """
    entries = record["protocol"].get("metrics", {})
    return all(name in METRICS and _current(entries.get(name, {})) for name in record["values"])


def joined(first: Record, second: Record) -> dict[str, Any]:
    """Both, in the catalogue's order; where they have the same, `first` goes before."""
    made = {**second, **first}
    for part in ("values", "intervals", "bounds"):
        if part in made:
            made[part] = {**second.get(part, {}), **first.get(part, {})}
    values = made["values"]
    made["values"] = {name: values[name] for name in dict.fromkeys((*METRICS, *values)) if name in values}
    stamps = first["protocol"], second["protocol"]
    made["protocol"] = {
        **stamps[0],
        "metrics": stamps[1].get("metrics", {}) | stamps[0].get("metrics", {}),
        "warnings": list(dict.fromkeys(line for stamp in stamps for line in stamp.get("warnings", []))),
        "device": ", ".join(dict.fromkeys(stamp["device"] for stamp in stamps if "device" in stamp)),
    }
    return made


def _current(entry: Mapping[str, Any]) -> bool:
    """Whether a metric's entry in a stamp names the versions that are installed here."""
    if entry.get("revision") != REVISION:
        return False
    libraries = {key.removesuffix(VERSION): value for key, value in entry.items() if key.endswith(VERSION)}
    try:
        return all(version_of(library) == value for library, value in libraries.items())
    except PackageNotFoundError:
        return False

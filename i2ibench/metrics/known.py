"""Scores that are known already: which of them still count, and how new ones are put beside them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.evaluate import Scores
from i2ibench.metrics.protocol import REVISION

VERSION = " version"  # ends the entries of a stamp that name a library


def read(content: Mapping[str, Any] | None, per_image: Mapping[str, np.ndarray]) -> Scores | None:
    """Scores as the store has them; None if there are none, or this machine's libraries would give others.

    Values under one key stand in one table, and so are made by the same versions: all of them are computed anew where
    one would be by another.
    """
    if content is None:
        return None
    stamp = content["protocol"]
    entries = stamp.get("metrics", {})
    if not all(name in METRICS and _current(entries.get(name, {})) for name in content["values"]):
        return None
    arrays = {name: values for name, values in per_image.items() if name in content["values"]}
    return Scores(
        dict(content["values"]), stamp, arrays, dict(content.get("intervals", {})), dict(content.get("bounds", {}))
    )


def merged(known: Scores, new: Scores) -> Scores:
    """Both, in the catalogue's order; the new ones go before."""
    values = known.values | new.values
    warnings = dict.fromkeys((*known.stamp["warnings"], *new.stamp["warnings"]))
    devices = dict.fromkeys((known.stamp["device"], new.stamp["device"]))
    stamp = {
        **new.stamp,
        "device": ", ".join(devices),
        "warnings": list(warnings),
        "metrics": known.stamp["metrics"] | new.stamp["metrics"],
    }
    return Scores(
        {name: values[name] for name in METRICS if name in values},
        stamp,
        known.per_image | new.per_image,
        known.intervals | new.intervals,
        known.bounds | new.bounds,
    )


def _current(entry: Mapping[str, Any]) -> bool:
    """Whether a metric's entry in a stamp names the versions that are installed here."""
    if entry.get("revision") != REVISION:
        return False
    libraries = {key.removesuffix(VERSION): value for key, value in entry.items() if key.endswith(VERSION)}
    try:
        return all(version(library) == value for library, value in libraries.items())
    except PackageNotFoundError:
        return False

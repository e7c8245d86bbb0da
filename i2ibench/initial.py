"""What trainings begin with, as the plan sees it: `init_from` names a weights file or another method of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2ibench.config import Config
from i2ibench.data.cache import digests
from i2ibench.data.paths import expand
from i2ibench.entries import Entry
from i2ibench.errors import DataError, absent, did_you_mean
from i2ibench.store import Store

if TYPE_CHECKING:
    from i2ibench.spec import TrialSpec

Start = dict[str, Any]  # {"trial", "row", "partial"} or {"file", "sha256", "partial"}: plain, to travel as JSON


def in_order(config: Config) -> list[Entry]:
    """The methods of the file, each after the one that its first weights come from.

    Raises:
        ConfigError: there is no such method, or the two begin with each other.
    """
    by_label = {entry.label: entry for entry in config.methods}
    found: dict[str, Entry] = {}
    for entry in config.methods:
        chain = [entry]
        while (start := chain[-1].keys.init_from) is not None and start.method is not None:
            path = (*chain[-1].path, "init_from")
            if start.method not in by_label:
                known = did_you_mean(start.method, by_label)
                raise config.error(path, f"unknown method '{start.method}' (of this file's `methods`); {known}")
            if by_label[start.method] in chain:
                raise config.error(path, f"'{start.method}' begins with the weights of '{entry.label}' in turn")
            chain.append(by_label[start.method])
        found |= {link.label: link for link in reversed(chain) if link.label not in found}
    return list(found.values())


def of_file(config: Config, entry: Entry, base: Path) -> Start | None:
    """The weights file that a method begins with, if it names one.

    Raises:
        ConfigError: there is no such file.
    """
    start = entry.keys.init_from
    if start is None or start.file is None:
        return None
    place = (*entry.path, "init_from")
    try:
        file = (base / expand(start.file)).absolute()
    except DataError as error:
        raise config.error(place, str(error)) from None
    if not file.is_file():
        raise config.error(place, f"{absent(file)} (a method of this benchmark is `init_from: {{method: LABEL}}`)")
    store = Store(config.header.store)
    sha256 = digests([file], store.data_cache if store.path.exists() else None)[file]
    return {"file": str(file), "sha256": sha256, "partial": start.partial}


def of_trial(entry: Entry, data: str, seed: int, planned: Mapping[tuple[str, str, int], TrialSpec]) -> Start | None:
    """The trial that this one begins with, of the same seed, if its method names another method."""
    start = entry.keys.init_from
    if start is None or start.method is None:
        return None
    of = start.method, start.data or data
    parent = planned.get((*of, seed)) or next(spec for key, spec in planned.items() if key[:2] == of)  # has one seed
    return {"trial": parent.trained_as, "row": parent.id, "partial": start.partial}


def hindrance(
    config: Config, entry: Entry, data: str, seed: int, planned: Mapping[tuple[str, str, int], TrialSpec]
) -> str | None:
    """Why a method that begins with another's weights is left out on a data set; None if it is not.

    Raises:
        ConfigError: there is no such data set, or that method trains nothing.
    """
    start = entry.keys.init_from
    if start is None or start.method is None:
        return None
    place = (*entry.path, "init_from")
    labels = [known.label for known in config.data]
    if start.data is not None and start.data not in labels:
        raise config.error(
            place, f"unknown data set '{start.data}' (of this file's `data`); {did_you_mean(start.data, labels)}"
        )
    if start.data == data:
        return f"begins with what '{start.method}' has learned on this very data set"
    parent = planned.get((start.method, start.data or data, seed))
    if parent is None:
        return f"'{start.method}', whose weights it begins with, is left out on '{start.data or data}'"
    if not parent.trained:
        raise config.error(place, f"'{start.method}' trains nothing that one could begin with")
    return None

"""The data sets of a benchmark file, ready to load; one of several domains becomes a set for each ordered pair."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from i2ibench import registry, scored
from i2ibench.config import Config
from i2ibench.data.files import Files
from i2ibench.data.source import LEAST_TEST, DomainParams, Source
from i2ibench.entries import Entry
from i2ibench.errors import DataError, did_you_mean
from i2ibench.metrics.protocol import Protocol
from i2ibench.store import Store
from i2ibench.validation import validate


@dataclass(frozen=True)
class DataPlan:
    """One data set of the benchmark, ready to load, with the metrics that it is scored by."""

    label: str
    place: str  # file:line of the benchmark file, for messages
    source: Source = field(repr=False)
    fingerprint: str
    metrics: tuple[str, ...]
    declared: str = ""
    group: tuple[str, ...] = ()  # of more than two domains: the fingerprints of `pairs_of`
    way_of: str = ""  # the label of the set of several domains that this is one way of, where all ways are in the plan
    taught: str = ""  # the fingerprint of what a paired method learns from, of which its training is named


def pairs_of(params: DomainParams) -> list[DomainParams]:
    """Of a set of more than two domains: the pairs of the first with each other, which together hold all its images."""
    first, *others = params.group
    return [params.model_copy(update={"pair": (first, other), "direction": "AtoB"}) for other in others]


def with_pairs(config: Config) -> Config:
    """With an entry for every ordered pair in place of each data set of more than two domains."""
    data: dict[str, Entry] = {}
    for entry in config.data:
        for each in _spread(config, entry):
            if each.label in data:
                raise config.error(entry.path, f"two data sets would be called '{each.label}'; rename one of them")
            data[each.label] = each
    return replace(config, data=tuple(data.values()))


def _spread(config: Config, entry: Entry) -> Iterator[Entry]:
    """The entry itself; or, of more than two domains, an entry for the way from each to each other."""
    names = _source(config, entry).to_spread
    if not names:
        yield entry
        return
    if "direction" in entry.own:
        place = (*entry.path, "direction")
        raise config.error(
            place, "of more than two domains each is translated into each: leave it out, or add a `pair`"
        )
    for start, end in itertools.permutations(range(len(names)), 2):
        way = {
            "domains": names,
            "pair": (names[min(start, end)], names[max(start, end)]),
            "direction": "AtoB" if start < end else "BtoA",
        }
        yield replace(entry, label=f"{entry.label}{_way(names[start], names[end])}", own=entry.own | way)


def _way(start: str, end: str) -> str:
    """The end of the label of one way of a set of several domains."""
    return f" {start} to {end}"


def _source(config: Config, entry: Entry) -> Source:
    known = registry.sources()
    kind = entry.keys.source or entry.key
    if kind not in known:
        path = (*entry.path, "source") if entry.keys.source else entry.path
        raise config.error(
            path, f"unknown kind of data set '{kind}'; {did_you_mean(kind, known)} (set it with `source:`)"
        )
    params = validate(known[kind].Params, entry.own, config.document, entry.path, type(entry.keys).model_fields)
    try:
        return known[kind](params, config.base)
    except DataError as error:
        raise config.error(entry.path, str(error)) from None


def plan(config: Config, entry: Entry, protocol: Protocol) -> DataPlan:
    """One data set of the file, with its fingerprint and metrics.

    Raises:
        ConfigError: with the place in the file.
    """
    source = _source(config, entry)
    store = Store(config.header.store)  # remembers the hashes of files, but is not made by planning
    cache = store.data_cache if store.path.exists() else None
    try:
        fingerprint, taught, declared = source.fingerprint(cache), source.taught(cache), source.declared()
        several = isinstance(source.params, DomainParams) and source.params.group
        parts = [type(source)(params, source.base) for params in pairs_of(source.params)] if several else []
        group = tuple(part.fingerprint(cache) for part in parts)
    except DataError as error:
        raise config.error(entry.path, str(error)) from None
    for name, n in (source.summary() if isinstance(source, Files) else {}).items():  # others draw as many as asked for
        if name.startswith("test") and n < LEAST_TEST:
            reason = f"the test images of {name[-1].upper()} are {n}, and scores need at least {LEAST_TEST}"
            raise config.error(entry.path, reason)
    metrics = scored.of_data(config, entry, source, protocol)
    whole = ""
    if several and "pair" not in (config.header.data[entry.key] or {}):
        ways = source.params.pair[:: 1 if source.params.direction == "AtoB" else -1]
        whole = entry.label.removesuffix(_way(*ways))
    return DataPlan(
        entry.label, config.document.where(entry.path), source, fingerprint, metrics, declared, group, whole, taught
    )

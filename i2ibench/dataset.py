"""The data set of a trial, for whoever trains, scores or shows it: its settings, source and images. Knows no torch."""

from __future__ import annotations

from pathlib import Path

from i2ibench import registry
from i2ibench.data import cache
from i2ibench.data.images import Images
from i2ibench.data.source import DomainParams, Source, SourceParams
from i2ibench.errors import TrialError
from i2ibench.sets import pairs_of
from i2ibench.spec import TrialSpec
from i2ibench.store import Store


def source_params(spec: TrialSpec, *, learning: bool = False) -> SourceParams:
    """The settings of a trial's data set, in the direction that it translates in, or in that it learns in."""
    other_way = {"direction": "AtoB"} if learning and spec.backward else {}
    return registry.sources()[spec.source].Params(**(spec.source_params | other_way))


def source_of(spec: TrialSpec, params: SourceParams | None = None) -> Source:
    """The data set of a trial, by its own settings or by others. Raises DataError if it is no longer where it was."""
    return registry.sources()[spec.source](params or source_params(spec), Path(spec.base))


def load_images(spec: TrialSpec, store: Store, *, learning: bool = False) -> Images:
    """The images of a trial's data set (in the direction that it learns in), decoded once per node and memory-mapped.

    Raises:
        DataError: the files are no longer where they were, or cannot be read.
        TrialError: they have changed since the benchmark was planned.
    """
    return _load(spec, store, source_params(spec, learning=learning), spec.fingerprint)


def load_domains(spec: TrialSpec, store: Store) -> list[Images]:
    """What a multi-domain method learns from where there are more than two: pairs of the first with each other.

    Raises:
        DataError, TrialError: as `load_images`.
    """
    params = source_params(spec)
    assert isinstance(params, DomainParams)
    return [_load(spec, store, p, known) for p, known in zip(pairs_of(params), spec.group, strict=True)]


def _load(spec: TrialSpec, store: Store, params: SourceParams, fingerprint: str) -> Images:
    images = cache.load(source_of(spec, params), store.data_cache)
    if images.fingerprint != fingerprint:
        raise TrialError(f"the files of data set '{spec.data}' changed after the benchmark was planned; run it again")
    return images

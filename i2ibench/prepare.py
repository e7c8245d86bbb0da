"""Everything that can go wrong before the first trial: data that is not here or does not decode, disks, weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from i2ibench import assets, config, loggers
from i2ibench.data import cache, fetch, named
from i2ibench.data.images import Images, sizes
from i2ibench.disk import require_writable
from i2ibench.errors import DataError
from i2ibench.metrics.protocol import Protocol
from i2ibench.plan import Plan
from i2ibench.sets import DataPlan
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.terminal import progress, say

BYTES_PER_TRIAL = 20e6  # weights, logs and checkpoints of the narrow default networks, generously


def fetch_data(file: Path | str, console: Console) -> None:
    """Bring the data sets that the file names, and this machine lacks, here: planning needs to see their files."""
    read = config.load(Path(file))
    for entry in read.data:
        for name, local in named.needed(entry.keys.source or entry.key, entry.own, read.base):
            with progress(console, f"fetching {name}") as advance:
                fetch.ensure(name, local, partial(say, console), advance)


def require_all(the_plan: Plan, store: Store, pending: Sequence[TrialSpec], console: Console) -> None:
    """See that the pending trials have all that they need, and bring here what is missing of it.

    Raises:
        ConfigError: the package of a tracker is not installed.
        StoreError: the store or the report cannot be written, or the disk is too full.
        DataError: a data set does not decode, changes while it is read, or is too small for a metric.
        AssetError: pretrained weights cannot be had.
    """
    for spec in pending:
        if store.trial(spec.id).result() is None:
            loggers.require(spec.logging)
    require_places(the_plan, store)
    images = {label: _read(entry, the_plan.protocol, store, console) for label, entry in the_plan.data.items()}
    networks = {spec.trained_as: spec for spec in pending if store.trial(spec.trained_as).training() is None}
    outputs = sum(images[spec.data].test_a.nbytes + BYTES_PER_TRIAL for spec in pending)
    store.require_writable(int(outputs + sum(map(_snapshot_bytes, networks.values()))))
    for name in dict.fromkeys((*the_plan.protocol.assets(the_plan.all_metrics), *the_plan.assets)):
        with progress(console, f"fetching {name}") as advance:
            assets.ensure(name, say=partial(say, console), progress=advance)


def require_places(the_plan: Plan, store: Store) -> None:
    """Raise StoreError if a run could not write its trials, or its report."""
    store.require_writable()
    require_writable(the_plan.report_folder, "reports")


def _snapshot_bytes(spec: TrialSpec) -> float:
    """What the networks that a training keeps on its way may take: a quarter of a trial each.

    How many they are is only known of steps: those of a training that `minutes` end are not counted.
    """
    every = spec.training["score_every"] if spec.trained and not spec.training["minutes"] else None
    return BYTES_PER_TRIAL * (spec.training["steps"] // every / 4 if every else 0)


def _read(entry: DataPlan, protocol: Protocol, store: Store, console: Console) -> Images:
    """A data set from the cache, decoded into it first; bad data leaves no store behind that was not there before."""
    fresh = not store.path.exists()
    try:
        with progress(console, f"reading {entry.label}") as advance:
            images = cache.load(entry.source, store.data_cache, advance)
        if images.fingerprint != entry.fingerprint:
            raise DataError("it is changing while it is read; run again when its files are complete")
        edge = min(map(min, sizes(images.test_a)))
        for metric in entry.metrics:
            if edge < (least := protocol.smallest(metric, entry.source.params.scale)):
                raise DataError(f"metric '{metric}' needs images of {least} pixels, and one has an edge of {edge}")
    except DataError as error:
        if fresh:
            shutil.rmtree(store.path, ignore_errors=True)
        raise DataError(f"{entry.place}: {error}") from None
    return images

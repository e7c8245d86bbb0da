"""Builds what a spec stands for: its images, its method and its training, alike in every process that works on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from i2ibench import registry
from i2ibench.config import Training
from i2ibench.data import cache
from i2ibench.data.batches import Batches
from i2ibench.data.source import Images, SourceParams
from i2ibench.distributed import ALONE, Group
from i2ibench.errors import TrialError
from i2ibench.method import Method, Task
from i2ibench.plan import TrialSpec
from i2ibench.randomness import seed_everything
from i2ibench.store import Store
from i2ibench.training import Loop

if TYPE_CHECKING:
    import logging

    from i2ibench.loggers import Logger


def limit_threads(cores: int) -> None:
    """Use so many threads and no more, in torch and in numpy's linear algebra (which do not ask each other)."""
    torch.set_num_threads(cores)
    threadpool_limits(cores)


def load_images(spec: TrialSpec, store: Store, *, learning: bool = False) -> Images:
    """The data set of a trial (in the direction that it learns in), decoded once per node and memory-mapped.

    Raises:
        TrialError: the files have changed since the benchmark was planned.
    """
    kind = registry.sources()[spec.source]
    source = kind(source_params(spec, learning=learning), Path(spec.base))
    images = cache.load(source, store.data_cache)
    if images.fingerprint != spec.fingerprint:
        raise TrialError(f"the files of data set '{spec.data}' changed while the benchmark was running; run it again")
    return images


def source_params(spec: TrialSpec, *, learning: bool = False) -> SourceParams:
    """The settings of a trial's data set, in the direction that it translates in, or in that it learns in."""
    other_way = {"direction": "AtoB"} if learning and spec.backward else {}
    return registry.sources()[spec.source].Params(**(spec.source_params | other_way))


def make_method(spec: TrialSpec, store: Store, device: torch.device) -> Method:
    """The method of a trial, freshly initialised from its seed, and shown the training images if it asks for them."""
    method_class = registry.method(spec.method)
    size = spec.source_params["size"]
    seed_everything(spec.seed)
    method = method_class(method_class.Params(**spec.params), Task(3, 3, size))
    for module in method.modules().values():
        module.to(device)
    if method_class.fit is not Method.fit:
        images = load_images(spec, store, learning=True)
        method.fit(_centres(images.train_a, size), _centres(images.train_b, size))
    return method


def make_batches(spec: TrialSpec, store: Store, device: torch.device) -> Batches:
    """The training batches of a trial."""
    images, params = load_images(spec, store, learning=True), source_params(spec, learning=True)
    return Batches(images, spec.pairing, spec.training["batch_size"], spec.seed, params, device)


def make_loop(
    spec: TrialSpec,
    store: Store,
    method: Method,
    device: torch.device,
    log: logging.Logger,
    *,
    say: Callable[..., None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    micro_batches: int = 1,
    group: Group = ALONE,
    logger: Logger | None = None,
) -> Loop:
    """The training of a trial's method, with its checkpoints in the folder that `spec.trained_as` names."""
    return Loop(
        method,
        make_batches(spec, store, device),
        Training(**spec.training),
        store.trial(spec.trained_as),
        device,
        log,
        say,
        should_stop=should_stop,
        micro_batches=micro_batches,
        group=group,
        logger=logger,
    )


def _centres(images: np.ndarray, size: int) -> torch.Tensor:
    """All training images of a domain, uint8 (N, 3, size, size): the centre of those that are kept larger."""
    edge = (images.shape[1] - size) // 2
    return torch.from_numpy(np.array(images[:, edge : edge + size, edge : edge + size])).permute(0, 3, 1, 2)

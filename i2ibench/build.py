"""Builds what a spec stands for: its method and its training, alike in every process that works on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from i2ibench import registry, sources, weights
from i2ibench.config import Training
from i2ibench.data.batches import Batches, Epochs
from i2ibench.data.domains import DomainBatches
from i2ibench.data.images import centre
from i2ibench.data.source import DomainParams, SourceParams
from i2ibench.dataset import load_domains, load_images, source_params
from i2ibench.distributed import ALONE, Group
from i2ibench.errors import TrialError
from i2ibench.method import Method, Task
from i2ibench.randomness import seed_everything
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.training import Loop

if TYPE_CHECKING:
    import logging

    from i2ibench.loggers import Logger


def limit_threads(cores: int) -> None:
    """Use so many threads and no more, in torch and in numpy's linear algebra (which do not ask each other)."""
    torch.set_num_threads(cores)
    threadpool_limits(cores)


def make_method(spec: TrialSpec, store: Store, device: torch.device) -> Method:
    """The method of a trial, freshly initialised from its seed, and shown the training images if it asks for them.

    Raises:
        TrialError: its file has changed since the trial was named after it.
    """
    method_class = registry.method(spec.method)
    if spec.code and not sources.built_in(method_class) and sources.digest(method_class) != spec.code:
        raise TrialError(
            f"{registry.method_file(method_class)} (or what it imports) changed after {spec.id} was named after it: "
            "run the benchmark again, or take the change back"
        )
    source = source_params(spec, learning=True)
    size = source.size
    seed_everything(spec.seed)
    method = method_class(method_class.Params(**spec.params), _task(spec, source))
    method.to(device)
    if method_class.fit is not Method.fit:
        images = load_domains(spec, store)[0] if spec.group else load_images(spec, store, learning=True)
        method.fit(_centres(images.train_a, size), _centres(images.train_b, size))
    return method


def make_batches(spec: TrialSpec, store: Store, device: torch.device) -> Epochs:
    """The training batches of a trial."""
    params, batch_size = source_params(spec, learning=True), spec.training["batch_size"]
    if spec.group:
        return DomainBatches(load_domains(spec, store), batch_size, spec.seed, params, device)
    images = load_images(spec, store, learning=True)
    return Batches(images, spec.pairing, batch_size, spec.seed, params, device)


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
    """The training of a trial's method, with its checkpoints in the folder that `spec.trained_as` names.

    Raises:
        TrialError: the weights that it should begin with are not there, or do not fit.
    """
    weights.begin(method, spec, store, log)
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


def _task(spec: TrialSpec, source: SourceParams) -> Task:
    if spec.group and isinstance(source, DomainParams):
        return Task(3, 3, source.size, source.scale, len(source.group), source.ends)
    return Task(3, 3, source.size, source.scale)


def _centres(images: np.ndarray, size: int) -> torch.Tensor:
    """All training images of a domain, uint8 (N, 3, size, size)."""
    return torch.from_numpy(np.array(centre(images, size))).permute(0, 3, 1, 2)

"""The work on one trial: train, translate the test images, score. Pure functions of its spec; no Ray, no pandas."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from i2ibench import flags, gather, loggers, provenance, registry, sources
from i2ibench.build import make_loop, make_method
from i2ibench.data.images import Images
from i2ibench.data.ragged import Ragged
from i2ibench.dataset import load_images
from i2ibench.disk import atomic_write
from i2ibench.distributed import ranks_of, together
from i2ibench.errors import TrialError, absent, counted
from i2ibench.method import Method
from i2ibench.metrics import known
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.features import extract_cached
from i2ibench.metrics.protocol import Protocol
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial
from i2ibench.translation import translate


def device_for(resources: Mapping[str, Any]) -> torch.device:
    """A GPU, if one was asked for and there is one."""
    return torch.device("cuda" if resources["gpus"] and torch.cuda.is_available() else "cpu")


def train_and_translate(
    spec: TrialSpec,
    store: Store,
    log: logging.Logger,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    micro_batches: int = 1,
) -> None:
    """Train, unless the networks are in the store; translate the test images; write the result.

    Args:
        should_stop: asked after each step; if it says so, a checkpoint is written and the training left.
        micro_batches: parts that each batch is divided into, so that a step takes less memory.

    Raises:
        DivergedError: a loss became NaN or infinite.
        Interrupted: `should_stop` said so.
        TrialError: the data or the method's file changed, the time limit is used up, or the method gave no images.
    """
    trial, home = store.trial(spec.id), store.trial(spec.trained_as)
    images, device = load_images(spec, store), device_for(spec.resources)
    trial.write_spec(spec.to_json())
    log.info("%s on %s, %s", spec.id, device, counted(torch.get_num_threads(), "thread"))
    training = home.training()
    if spec.method.endswith(".py"):
        if len(sources.files(registry.method(spec.method))) == 1:  # alone it can be used again
            trial.keep_method(Path(spec.method))
        if training is None:  # a mistake in `translate` shows before the training; by another one, to leave no trace
            translate(make_method(spec, store, device), images.test_a[:1], spec.seed, device, backward=spec.backward)
    method = make_method(spec, store, device) if training is None else gather.trained(spec, store, device)
    about = {key: getattr(spec, key) for key in ("label", "method", "params", "data", "seed", "training")}
    run = loggers.Run(spec.id, trial.path, about, anew=training is None)
    with loggers.opened(spec.logging, run, log) as logger:
        if training is None:
            training = _train(spec, store, method, device, log, logger, should_stop, micro_batches)
        if spec.borrows:
            trial.write_curves(home.curves())
        outputs, rate = _translated(spec, trial, method, images, device)
        columns = {"input": images.test_a, "output": outputs}
        if images.scores_pairs and spec.scores_pairs:
            columns["target"] = images.test_b
        logger.images(training["cost"].get("steps", 0), "-".join(columns), loggers.grid(*columns.values()))
    troubles = flags.find(home.curves(), method.players, outputs, images.test_b, method.verdict_weight)
    for flag in (found := training["flags"] + troubles):
        log.warning("%s: %s", flag["flag"], flag["reason"])
    cost = training["cost"] | {"translate_images_per_second": rate}
    trial.write_result({"id": spec.id, **training, "cost": cost, "flags": found})
    log.info("finished")


def _translated(
    spec: TrialSpec, trial: Trial, method: Method, images: Images, device: torch.device
) -> tuple[np.ndarray | Ragged, float]:
    """The translated test images, which are kept, and how many of them took a second."""
    trial.write_progress("translating")
    started = time.perf_counter()
    outputs = translate(method, images.test_a, spec.seed, device, backward=spec.backward)
    rate = len(outputs) / (time.perf_counter() - started)
    trial.write_outputs(outputs)
    return outputs, rate


def _train(
    spec: TrialSpec,
    store: Store,
    method: Method,
    device: torch.device,
    log: logging.Logger,
    logger: loggers.Logger,
    should_stop: Callable[[], bool],
    micro_batches: int,
) -> dict[str, Any]:
    """Train, and keep the networks in the directory that `spec.trained_as` names. Returns what it cost."""
    home = store.trial(spec.trained_as)
    found: list[flags.Flag] = []
    policy: dict[str, Any] = {}  # what trains nothing follows none
    gpus = spec.resources["gpus"] if device.type == "cuda" else 0
    cost: dict[str, Any] = {
        "parameters": sum(method.parameter_counts().values()),
        "device": device.type,
        "gpus": 1.0 if gpus == "auto" else gpus,  # that it held
    }
    if method.players:
        trial, ranks = store.trial(spec.id), ranks_of(spec.resources["gpus"], device)
        helped = together(ranks, device, spec.to_json(), store.path, micro_batches, trial.path / "log.txt")
        with helped as group:
            outcome = make_loop(
                spec,
                store,
                method,
                device,
                log,
                say=trial.write_progress,
                should_stop=should_stop,
                micro_batches=micro_batches,
                group=group,
                logger=logger,
            ).run()
        policy = {"policy": asdict(outcome.policy)}
        home.write_curves(outcome.curves)
        mixes = any(isinstance(m, _BatchNorm) for module in method.modules().values() for m in module.modules())
        found += flags.divided(spec.training["batch_size"], outcome.micro_batches, outcome.ranks, mixes)
        found += flags.not_compiled(outcome.policy.eager)
        cost |= {
            "processes": outcome.ranks,
            "steps": outcome.steps,
            "train_seconds": outcome.seconds,
            "images_per_second": outcome.images_per_second,
            "peak_memory_mb": outcome.peak_memory_mb,
        }
    home.require_held()
    with atomic_write(home.path / "weights.pt", "wb") as file:
        torch.save(method.state_dict(), file)
    training = {
        "cost": cost,
        "players": method.parameter_counts(),
        "provenance": provenance.collect() | policy,
        "flags": found,
    }
    home.write_training(training)
    return training


def reference(
    spec: TrialSpec, store: Store, protocol: Protocol, metrics: tuple[str, ...], device: torch.device
) -> None:
    """Put the real test images of a data set through the network that the metrics look through; keep the features."""
    if any(METRICS[name].network == "extractor" for name in metrics):
        extract_cached(load_images(spec, store).test_b, protocol, str(device), store.feature_cache)


def score(
    spec: TrialSpec,
    store: Store,
    protocol: Protocol,
    metrics: tuple[str, ...],
    device: torch.device,
    log: logging.Logger,
    *,
    rescore: bool = False,
) -> None:
    """Compute those of `metrics` that a trained trial lacks, and write them beside those it has.

    Args:
        rescore: compute all anew, those too that it has besides.

    Raises:
        TrialError: the outputs are missing, or cannot be scored.
    """
    trial, images = store.trial(spec.id), load_images(spec, store)
    outputs = trial.outputs()
    if outputs is None:
        raise TrialError(f"{absent(trial.path / 'outputs.npy')}; delete the trial's directory to have it made again")
    key = spec.score_key(protocol)
    had = trial.scores(key)
    named = [name for name in had["values"] if name in METRICS] if had else []
    kept = had if had and known.counts(had) and not rescore else None
    wanted = tuple(m for m in dict.fromkeys((*named, *metrics)) if kept is None or m not in kept["values"])
    if kept is not None and not wanted:
        return
    scores = gather.scored(spec, store, images, outputs, wanted, protocol, device)
    record: dict[str, Any] = {
        "key": key,
        "values": scores.values,
        "intervals": scores.intervals,
        "bounds": scores.bounds,
        "protocol": scores.stamp,
    }
    if kept is not None:
        record = known.joined(record, kept)
    trial.write_scores(key, record, (trial.per_image(key) if kept else {}) | scores.per_image)
    log.info("scores: %s", "  ".join(f"{name} {scores.values[name]:.5g}" for name in scores.values))

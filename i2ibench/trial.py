"""One trial: train, translate the test images, score. A pure function of its spec; knows no Ray and no pandas."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from i2ibench import flags, plan, provenance, registry
from i2ibench.config import Training
from i2ibench.data import cache
from i2ibench.data.batches import Batches
from i2ibench.data.source import Images, SourceParams
from i2ibench.errors import DivergedError, I2IBenchError, TrialError
from i2ibench.job import Job
from i2ibench.method import Method, Task
from i2ibench.metrics.evaluate import evaluate
from i2ibench.metrics.protocol import Protocol
from i2ibench.plan import TrialSpec
from i2ibench.store import Store, Trial, atomic_write
from i2ibench.training import Loop, seed_everything
from i2ibench.translation import translate


def run_job(job: Job) -> str:
    """Do what is missing of a trial and return its state; a failure goes into its `error.json`, not up the stack."""
    spec = plan.from_json(job.spec)
    trial = Store(job.store).trial(spec.id)
    protocol = Protocol.model_validate(job.protocol)
    with trial.lock, _log(trial) as log:
        trial.clear_error()
        try:
            run_trial(spec, Store(job.store), protocol, job.metrics, log, train=job.train, rescore=job.rescore)
        except (Exception, SystemExit) as error:  # a method that calls exit() ends its own trial and no other
            log.exception("the trial failed")
            kind = "DIVERGED" if isinstance(error, DivergedError) else "FAILED"
            trial.write_error(kind, _last_line(error))
    return trial.state(protocol.key(), list(job.metrics))


def run_trial(
    spec: TrialSpec,
    store: Store,
    protocol: Protocol,
    metrics: tuple[str, ...],
    log: logging.Logger,
    *,
    train: bool = True,
    rescore: bool = False,
) -> None:
    """Train and translate unless the store has the result; score unless it has the scores (or `rescore` is set).

    Raises:
        DivergedError: a loss became NaN or infinite.
        TrialError: the outputs cannot be scored.
    """
    limit_threads(spec.resources["cpus"])
    device = torch.device("cuda" if spec.resources["gpus"] and torch.cuda.is_available() else "cpu")
    trial = store.trial(spec.id)
    images = load_images(spec, store)
    if trial.result() is None and train:
        _train_and_translate(spec, store, images, device, log)
    if trial.result() is not None and (rescore or trial.state(protocol.key(), metrics) != "done"):
        _score(spec, store, images, protocol, metrics, device, log)
    trial.write_progress("done")


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


def make_method(spec: TrialSpec, device: torch.device) -> Method:
    """The method of a trial, freshly initialised from its seed."""
    method_class = registry.method(spec.method)
    seed_everything(spec.seed)
    method = method_class(method_class.Params(**spec.params), Task(3, 3, spec.source_params["size"]))
    for module in method.modules().values():
        module.to(device)
    return method


def training_images(images: np.ndarray, size: int) -> torch.Tensor:
    """All training images of a domain, uint8 (N, 3, size, size): the centre of those that are kept larger."""
    edge = (images.shape[1] - size) // 2
    return torch.from_numpy(np.array(images[:, edge : edge + size, edge : edge + size])).permute(0, 3, 1, 2)


def _train_and_translate(
    spec: TrialSpec, store: Store, images: Images, device: torch.device, log: logging.Logger
) -> None:
    trial, home = store.trial(spec.id), store.trial(spec.trained_as)
    trial.write_spec(plan.to_json(spec))
    log.info("%s on %s, %d threads", spec.id, device, torch.get_num_threads())
    method = make_method(spec, device)
    if type(method).fit is not Method.fit:
        size = spec.source_params["size"]
        method.fit(training_images(images.train_a, size), training_images(images.train_b, size))
    with home.lock if spec.backward else nullcontext():  # the lock of its own directory is held already
        training = home.training()
        if training is None:
            training = _train(spec, store, method, device, log)
        else:
            weights = torch.load(home.path / "weights.pt", map_location=device, weights_only=True)
            method.load_state_dict(weights)
    curves = home.curves()
    if spec.backward:
        trial.write_curves(curves)
    trial.write_progress("translating")
    started = time.perf_counter()
    outputs = translate(method, images.test_a, spec.seed, device, backward=spec.backward)
    rate = len(outputs) / (time.perf_counter() - started)
    trial.write_outputs(outputs)
    found = flags.find(curves, method.players, outputs, images.test_b)
    for flag in found:
        log.warning("%s: %s", flag["flag"], flag["reason"])
    trial.write_result(
        {
            "id": spec.id,
            **training,
            "cost": {**training["cost"], "translate_images_per_second": rate},
            "flags": found,
        }
    )


def _train(spec: TrialSpec, store: Store, method: Method, device: torch.device, log: logging.Logger) -> dict[str, Any]:
    """Train, and keep the networks in the directory that `spec.trained_as` names. Returns what it cost."""
    home, settings = store.trial(spec.trained_as), Training(**spec.training)
    cost: dict[str, Any] = {"parameters": sum(method.parameter_counts().values()), "device": device.type}
    if method.players:
        params = source_params(spec, learning=True)
        batches = Batches(
            load_images(spec, store, learning=True), spec.pairing, settings.batch_size, spec.seed, params, device
        )
        say = store.trial(spec.id).write_progress
        outcome = Loop(method, batches, settings, home, device, log, say).run()
        home.write_curves(outcome.curves)
        cost |= {
            "steps": outcome.steps,
            "train_seconds": outcome.seconds,
            "images_per_second": outcome.images_per_second,
            "peak_memory_mb": outcome.peak_memory_mb,
        }
    with atomic_write(home.path / "weights.pt", "wb") as file:
        torch.save(method.state_dict(), file)
    training = {"cost": cost, "players": method.parameter_counts(), "provenance": provenance.collect()}
    home.write_training(training)
    return training


def _score(
    spec: TrialSpec,
    store: Store,
    images: Images,
    protocol: Protocol,
    metrics: tuple[str, ...],
    device: torch.device,
    log: logging.Logger,
) -> None:
    trial = store.trial(spec.id)
    trial.write_progress("scoring")
    outputs = trial.outputs()
    if outputs is None:
        raise TrialError(f"{trial.path / 'outputs.npy'} is missing; delete the trial's directory to have it made again")
    known = trial.scores(protocol.key())
    wanted = tuple(dict.fromkeys((*(known["values"] if known else ()), *metrics)))
    scores = evaluate(
        outputs,
        images.test_b,
        wanted,
        protocol,
        paired=images.paired and spec.scores_pairs,
        device=device,
        cache=store.feature_cache,
    )
    trial.write_scores(
        protocol.key(), {"key": protocol.key(), "values": scores.values, "protocol": scores.stamp}, scores.per_image
    )
    log.info("scores: %s", "  ".join(f"{name} {value:.5g}" for name, value in scores.values.items()))


@contextmanager
def _log(trial: Trial) -> Iterator[logging.Logger]:
    log = logging.getLogger(f"i2ibench.trials.{trial.id}")
    log.setLevel(logging.INFO)
    log.propagate = False  # the terminal shows the table, not every trial's lines
    trial.path.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(trial.path / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    try:
        yield log
    finally:
        log.removeHandler(handler)
        handler.close()


def _last_line(error: BaseException) -> str:
    """What the leaderboard shows of a failure: our own errors as they are, others as `Type: last line`."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, I2IBenchError):
        return " ".join(lines)
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__

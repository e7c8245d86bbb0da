"""Scores the networks that a training kept on its way, exactly as the final ones are: the points of metric curves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

from i2ibench import gather, snapshots
from i2ibench.build import make_method
from i2ibench.config import Training
from i2ibench.dataset import load_images
from i2ibench.errors import Interrupted, TrialError
from i2ibench.method import Method
from i2ibench.metrics import known
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.protocol import Protocol
from i2ibench.metrics.stamp import TRIAL
from i2ibench.options import Options
from i2ibench.policy import Policy
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.translation import translate


def score(
    spec: TrialSpec,
    store: Store,
    protocol: Protocol,
    metrics: tuple[str, ...],
    device: torch.device,
    log: logging.Logger,
    *,
    rescore: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Translate all test images by the networks of each step that was kept, and score them by `metrics`.

    Each point is on disk as soon as it is made, and none is made twice. One that cannot be scored is left out, with a
    line in the log: the trial's own scores do not hang on it.

    Args:
        metrics: of those that look at the outputs alone (`scored.OF_OUTPUTS`).
        rescore: make all anew.
        should_stop: asked before each point.

    Raises:
        Interrupted: `should_stop` said so.
    """
    trial, key = store.trial(spec.id), spec.score_key(protocol)
    points = {} if rescore else trial.points(key)
    for step in store.trial(spec.trained_as).snapshots() if metrics else ():
        had = points.get(step)
        if had is not None and known.counts(had) and set(metrics) <= set(had["values"]):
            continue
        if should_stop():
            raise Interrupted(f"stopped before step {step} of the curves was scored, as asked")
        named = {*metrics, *(had["values"] if had else ())}
        try:
            points[step] = _point(spec, store, step, protocol, tuple(m for m in METRICS if m in named), device)
        except TrialError as why:
            points.pop(step, None)
            log.warning("the curves are without step %d: %s", step, why)
            continue
        trial.write_points(key, points)
        log.info("step %d: %s", step, "  ".join(f"{m} {value:.5g}" for m, value in points[step]["values"].items()))


def _point(
    spec: TrialSpec, store: Store, step: int, protocol: Protocol, metrics: tuple[str, ...], device: torch.device
) -> dict[str, Any]:
    state, images = snapshots.read(store.trial(spec.trained_as), step, device), load_images(spec, store)
    method = _networks(spec, store, state, device)
    outputs = translate(method, images.test_a, spec.seed, device, backward=spec.backward)
    origin = TRIAL | {"checkpoint": f"step {step}"}
    scores = gather.scored(spec, store, images, outputs, metrics, protocol, device, origin)
    return {"seconds": state["seconds"], "values": scores.values, "protocol": scores.stamp}


def _networks(spec: TrialSpec, store: Store, state: dict[str, Any], device: torch.device) -> Method:
    """The method as a training that ended there would leave it: see `Loop`."""
    method, settings = make_method(spec, store, device), Training(**spec.training)
    Policy.of(settings, device, method).prepare(method)
    options = Options(method, settings)
    method.load_state_dict(state["method"])
    options.load_state_dict(state["options"])
    options.finish()
    return method

"""What a trial takes, by taking its first steps: memory for `gpus: auto`, and time to begin with the longest."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from i2ibench.build import load_images, make_batches, make_method
from i2ibench.config import Training
from i2ibench.memory import Growth, share_of_gpu
from i2ibench.method import Batch, Method
from i2ibench.policy import Policy
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.translation import TRANSLATE_BATCH, translate
from i2ibench.turns import Turns

STEPS = 4  # the first makes the optimisers' state and chooses algorithms; time is taken of the others


@dataclass(frozen=True)
class Footprint:
    """What a trial takes, in plain numbers."""

    bytes: int  # peak of GPU memory, as reserved by torch; on a CPU, by how much this process grew
    seconds_per_step: float
    gpus: float  # the share of a GPU to ask for; 0 on a CPU


def probe(spec: TrialSpec, store: Store, device: torch.device) -> Footprint:
    """Take the first steps of a trial's training, translate a batch, and throw both away. Nothing is written.

    Later steps hold no more than the first ones (but image pools, within `memory.HEADROOM`).

    Raises:
        RuntimeError, MemoryError: it does not fit on this device (see `memory.is_out_of_memory`).
    """
    growth = Growth(device)
    method = make_method(spec, store, device)
    seconds = _steps(spec, store, method, device) if method.players else 0.0
    translate(method, load_images(spec, store).test_a[:TRANSLATE_BATCH], spec.seed, device, backward=spec.backward)
    taken = growth.bytes()
    if device.type != "cuda":
        return Footprint(taken, seconds, 0.0)
    return Footprint(taken, seconds, share_of_gpu(taken, torch.cuda.get_device_properties(device).total_memory))


def _steps(spec: TrialSpec, store: Store, method: Method, device: torch.device) -> float:
    """Seconds of one step, once the first is over."""
    settings, batches = Training(**spec.training), make_batches(spec, store, device)
    turns = Turns(method, settings, Policy.of(settings, device))
    with turns.policy.compiled(method):
        for step in range(STEPS):
            if step == 1:
                started = time.perf_counter()
            a, b, *domains = batches.at(step)
            turns.step(method, Batch(a, b, 0.0, step, *domains), settings.batch_size)
            turns.means()  # waits for the device
    turns.options.finish()
    return (time.perf_counter() - started) / (STEPS - 1)

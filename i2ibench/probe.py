"""What share of a GPU a trial needs (`gpus: auto`), by taking its first steps."""

from __future__ import annotations

import torch

from i2ibench.build import make_batches, make_method
from i2ibench.config import Training
from i2ibench.dataset import load_images
from i2ibench.memory import Growth, share_of_gpu
from i2ibench.method import Batch, Method
from i2ibench.policy import Policy
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.translation import TRANSLATE_BATCH, translate
from i2ibench.turns import Turns

STEPS = 4  # the first makes the optimisers' state and chooses algorithms


def probe(spec: TrialSpec, store: Store, device: torch.device) -> float:
    """The share of a GPU to ask for; 0 on a CPU.

    Raises:
        RuntimeError, MemoryError: it does not fit on this device (see `memory.is_out_of_memory`).
    """
    if device.type != "cuda":
        return 0.0
    return share_of_gpu(bytes_taken(spec, store, device), torch.cuda.get_device_properties(device).total_memory)


def bytes_taken(spec: TrialSpec, store: Store, device: torch.device) -> int:
    """Take the first steps of a trial's training, translate a batch, and throw both away. Nothing is written.

    Later steps hold no more than the first ones (but image pools, within `memory.HEADROOM`).

    Returns:
        The peak of GPU memory, as reserved by torch; on a CPU, by how much this process grew.
    """
    growth = Growth(device)
    method = make_method(spec, store, device)
    if method.players:
        _take_steps(spec, store, method, device)
    translate(method, load_images(spec, store).test_a[:TRANSLATE_BATCH], spec.seed, device, backward=spec.backward)
    return growth.bytes()


def _take_steps(spec: TrialSpec, store: Store, method: Method, device: torch.device) -> None:
    settings, batches = Training(**spec.training), make_batches(spec, store, device)
    turns = Turns(method, settings, Policy.of(settings, device, method))
    with turns.policy.compiled(method):
        for step in range(STEPS):
            a, b, *domains = batches.at(step)
            turns.step(method, Batch(a, b, 0.0, step, *domains), settings.batch_size)
            turns.means()  # waits for the device
    turns.options.finish()

"""No training step waits for its device: nothing is read from there, and nothing sent by a copy that blocks.

The device is torch's `meta`, which every machine has: its tensors have no values, so what reads one raises an error
(`item`, a Python `if`, a mask as an index); copies to it are looked at one by one. Where `meta` and a GPU differ, this
says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from i2ibench import nn, registry
from i2ibench.config import Training
from i2ibench.data.batches import Batches
from i2ibench.data.domains import DomainBatches
from i2ibench.data.images import Images
from i2ibench.data.source import SourceParams
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Method, Task
from i2ibench.policy import Policy
from i2ibench.turns import Turns

META = torch.device("meta")
TRAINED = [name for name in sorted(registry.methods()) if registry.method(name).players]
MAKES = (torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor)  # tensors of plain numbers


@pytest.fixture(autouse=True)
def _precision_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast knows no `meta`, which computes nothing that could be rounded."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


class _Copies(TorchDispatchMode):
    """Copies from the CPU to the device."""

    def __init__(self) -> None:
        super().__init__()
        self.blocking: list[str] = []
        self.sent = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out, source = func(*args, **(kwargs or {})), args[-1] if func is torch.ops.aten.copy_.default else None
        if func is torch.ops.aten._to_copy.default or source is not None:
            came = source if isinstance(source, torch.Tensor) else args[0]
            if came.device.type == "cpu" and out.device == META:
                self.sent += 1
                if not (kwargs or {}).get("non_blocking"):
                    self.blocking.append(f"{func} of {tuple(came.shape)}")
        return out


class _Made(TorchFunctionMode):
    """Tensors made on the device out of plain numbers, which are sent there by a copy that blocks."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in MAKES and out.device == META:
            self._found.append(func.__name__)
        return out


@contextmanager
def not_waiting() -> Iterator[_Copies]:
    copies = _Copies()
    with _Made(copies.blocking), copies:
        yield copies
    assert not copies.blocking


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.sum() > 0),
        lambda x: x[x > 0],
        lambda x: torch.ones(3).to(x),
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: torch.tensor([1.0], device=x.device),
        lambda x: x.copy_(torch.ones(3)),
    ],
)
def test_what_waits_is_found(wait: Callable[[torch.Tensor], Any]) -> None:
    x = torch.ones(3, device=META)
    with pytest.raises((RuntimeError, NotImplementedError, AssertionError)), not_waiting():
        wait(x)


def on_meta(name: str, **options: Any) -> tuple[Method, Turns]:
    """A method whose networks are on the device, as the loop makes it."""
    method_class = registry.method(name)
    preset = {key: value for key, value in method_class.presets.get("tiny", {}).items() if key != "training"}
    params = method_class.Params(**preset)
    size = 32
    try:
        method_class.check(params, Task(3, 3, size))
    except ConfigError:
        size = 64
    method = method_class(params, Task(3, 3, size))
    return method, Turns(method.to(META), Training(**options), Policy(fused=False))  # fused Adam knows no meta


def take_a_step(method: Method, turns: Turns, step: int) -> None:
    a, b = (torch.rand(2, 3, method.task.size, method.task.size, device=META) for _ in range(2))
    turns.step(method, Batch(a, b, step / 2, step), 2)


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_does_not_wait_for_the_device(name: str) -> None:
    made = on_meta(name)
    with not_waiting():
        for step in range(2):
            take_a_step(*made, step)


def test_options_do_not_wait_either() -> None:
    everything = ("color", "translation", "cutout")
    made = on_meta("pix2pix", clip=1.0, ema=0.9, r1=1.0, spectral_norm=True, diffaugment=everything, warmup=5)
    with not_waiting():
        for step in range(2):
            take_a_step(*made, step)


def test_a_full_image_pool_does_not_wait() -> None:
    pool = nn.ImagePool(3)
    with not_waiting():
        for _ in range(8):
            assert pool(torch.ones(2, 3, 4, 4, device=META)).shape == (2, 3, 4, 4)
    assert pool.images.shape == (3, 3, 4, 4)


def images(size: int = 20) -> Images:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 9, size, size, 3), np.uint8)
    return Images(*pixels, *pixels[:, :1], ("0",), True, "0123456789abcdef" * 4)


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("kind", ["paired", "unpaired", "domains"])
def test_batches_do_not_wait(kind: str, resident: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not resident:
        monkeypatch.setattr("i2ibench.data.batches.RESIDENT_BYTES", 0)
    params = SourceParams(size=16, load_size=20, flip=True, jitter=0.2)
    if kind == "domains":
        batches: Any = DomainBatches([images(), images()], 4, 0, params, META)
    else:
        batches = Batches(images(), kind, 4, 0, params, META)  # type: ignore[arg-type]
    with not_waiting() as copies:
        for step in range(3):
            a, b, *_ = batches.at(step)
            assert a.device == b.device == META
            assert a.shape == b.shape == (4, 3, 16, 16)
    assert copies.sent

"""Where the time of a method's training step goes: `i2ibench doctor --profile METHOD`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from i2ibench import registry
from i2ibench.config import Training
from i2ibench.errors import ConfigError, counted, did_you_mean
from i2ibench.method import PRESET_SIZES, Batch, Task
from i2ibench.policy import Policy
from i2ibench.randomness import seed_everything
from i2ibench.turns import Turns

WARM, STEPS = 2, 3  # the first ones make the optimisers' state and choose algorithms
# What an operator's work is, by a part of its name; the first that fits.
KINDS = {
    "optimiser": ("adam", "zero_grad", "Optimizer"),
    "convolutions": ("conv",),
    "normalisation": ("norm", "var_mean", "std_mean"),
    "matrix products": ("mm", "matmul", "linear", "attention"),
    "padding and resampling": ("pad", "pool", "upsample", "shuffle"),
}
REST = "everything else"
COPIES = ("Memcpy", "Memset")  # what a GPU does besides kernels


@dataclass(frozen=True)
class Profile:
    """Shares of a step's time, in [0, 1]: `kinds` add up to 1, and `operators` are the most expensive ones."""

    about: str
    milliseconds: float
    kinds: dict[str, float]
    operators: list[tuple[str, float, float]]  # name, share, calls in a step


@dataclass(frozen=True)
class Trace:
    """What a device did while some work was done."""

    taken: dict[str, tuple[float, int]]  # microseconds and calls of each operator, or kernel
    launches: int  # of a GPU's kernels; on a CPU, of operators that call no other
    busy: float  # the share of the time from the first of them to the last in which one was running, in [0, 1]


def trace(work: Callable[[], Any], device: torch.device) -> Trace:
    """Do some work under torch's profiler."""
    gpu = device.type == "cuda"
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # it otherwise speaks of every GPU that is not there
    with profile(activities=[ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]) as profiled:
        work()
        if gpu:
            torch.cuda.synchronize(device)
    taken = {
        event.key: (event.self_device_time_total if gpu else event.self_cpu_time_total, event.count)
        for event in profiled.key_averages()
    }
    on_device = [event for event in profiled.events() if (event.device_type == DeviceType.CUDA) == gpu]
    launched = [e for e in on_device if (not e.name.startswith(COPIES) if gpu else _is_last(e))]
    return Trace(taken, len(launched), _busy(on_device))


def _is_last(event: FunctionEvent) -> bool:
    return event.name.startswith("aten::") and not event.cpu_children


def _busy(events: Iterable[FunctionEvent]) -> float:
    """The union of some times over their span."""
    spans = sorted((event.time_range.start, event.time_range.end) for event in events)
    if not spans:
        return 0.0
    busy, until = 0.0, spans[0][0]
    for start, end in spans:
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy / ((until - spans[0][0]) or 1.0)


def training_step(name: str, preset: str | None = None) -> Profile:
    """Take a few steps of a method on random images, at a preset: by default paper on a GPU, and tiny on a CPU.

    Raises:
        ConfigError: there is no such method or preset, or nothing that it trains.
    """
    method_class, gpu = registry.method(name), torch.cuda.is_available()
    preset = preset or ("paper" if gpu else "tiny")
    if not method_class.players:
        raise ConfigError(f"{name} trains nothing, so there is no step to profile")
    if preset not in method_class.presets:
        raise ConfigError(f"{name} has no preset '{preset}'; {did_you_mean(preset, list(method_class.presets))}")
    values = dict(method_class.presets[preset])
    settings = Training(**values.pop("training", {}))
    device, size = torch.device("cuda" if gpu else "cpu"), PRESET_SIZES[preset]
    seed_everything(0)
    method = method_class(method_class.Params(**values), Task(3, 3, size))
    method.to(device)
    turns = Turns(method, settings, Policy.of(settings, device, method))
    a, b = (torch.rand(settings.batch_size, 3, size, size, device=device) * 2 - 1 for _ in range(2))

    def steps(count: int) -> None:
        for _ in range(count):
            turns.step(method, Batch(a, b, 0.0, turns.options.steps), len(a))
        turns.means()  # waits for the device

    steps(WARM)
    seen = trace(lambda: steps(STEPS), device)
    where = torch.cuda.get_device_name() if gpu else f"CPU, {counted(torch.get_num_threads(), 'thread')}"
    about = f"{name}, preset {preset}: {size} pixels, batches of {len(a)}, {turns.policy.precision}, {where}"
    return _profile(about, seen.taken)


def _profile(about: str, taken: dict[str, tuple[float, int]]) -> Profile:
    """From microseconds and calls of each operator in all profiled steps."""
    total = sum(time for time, _ in taken.values()) or 1.0
    kinds = dict.fromkeys([*KINDS, REST], 0.0)
    for key, (time, _) in taken.items():
        kinds[_kind(key)] += time / total
    longest = sorted(taken, key=lambda key: -taken[key][0])[:10]
    operators = [(key, taken[key][0] / total, taken[key][1] / STEPS) for key in longest]
    return Profile(about, total / STEPS / 1000, kinds, operators)


def _kind(operator: str) -> str:
    def has(words: Iterable[str]) -> bool:
        return any(word in operator for word in words)

    return next((kind for kind, words in KINDS.items() if has(words)), REST)

"""What one training step asks of its device, and how near it comes to what the device can do.

    python -m benchmarks.device_step --method cyclegan --size 256 --batch 1 --precision bf16 --compile
    python -m benchmarks.device_step --method pix2pix cyclegan munit        # one after the other, in one process

- Milliseconds: by the device's events on a GPU, by this process's own processor time on a CPU.
- Launches: kernels on a GPU; on a CPU operators that call no other (of compiled code, those that it still calls).
- Busy: the share of the time, by the clock, in which a kernel runs on the GPU, or an operator on the CPU. The rest is
  Python, or waiting. The profiler makes pauses longer, so it is rather more.
- Operations: floating-point operations of convolutions and matrix products, forward and backward, by torch's formulas
  (`torch.utils.flop_counter`), of the same step in eager mode; norms, activations and Adam count nothing.
- Roofline: those operations a second, over those of the largest matrix product of several sizes on the same device,
  in the same precision, measured first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.training_step import WARM, Step, ours, seconds, where
from i2ibench import registry
from i2ibench.compiling import hindrance
from i2ibench.memory import PeakMemory
from i2ibench.policy import Policy
from i2ibench.profiling import trace

EDGES = {"cuda": (4096, 8192, 16384), "cpu": (512, 1024, 2048)}  # of the square matrices of the roofline


@dataclass(frozen=True)
class Measured:
    """Of one step."""

    milliseconds: float
    launches: float
    busy: float  # share of the time, in [0, 1]
    operations: int
    megabytes: float  # the most memory held; on a CPU with the libraries' own
    roofline: float  # operations a second

    @property
    def share(self) -> float:
        """Of the roofline."""
        return self.operations / (self.milliseconds / 1000) / self.roofline


def measure(step: Step, eager: Callable[[], Step], times: int, roofline: float, device: torch.device) -> Measured:
    """What a step takes, over so many of them.

    Args:
        eager: makes the same step not compiled, whose operators can be seen; afterwards, for it takes memory too.
        roofline: of the device, in operations a second.
    """
    memory = PeakMemory(device)
    seconds(step, WARM, device)
    taken = seconds(step, times, device) / times
    megabytes = memory.megabytes()
    seen = trace(lambda: [step() for _ in range(times)], device)
    seen_through = eager()
    with _Operations() as operations:
        seen_through()
    return Measured(1000 * taken, seen.launches / times, seen.busy, operations.counted, megabytes, roofline)


class _Operations(TorchDispatchMode):
    """Counts floating-point operations by torch's formulas, forward and backward.

    torch's own FlopCounterMode follows modules too, by hooks that a gradient penalty (StarGAN's) does not allow.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counted = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.counted += formula(*args, **(kwargs or {}), out_val=out)
        return out


def fastest(policy: Policy, device: torch.device) -> float:
    """Floating-point operations a second of the best of some large square matrix products, 2 n^3 each."""
    dtype = {"bf16": torch.bfloat16, "fp64": torch.float64}.get(policy.precision, torch.float32)
    best = 0.0
    with policy.ruling(device):
        for edge in EDGES[device.type]:
            x = torch.rand(edge, edge, device=device, dtype=dtype)
            seconds(lambda x=x: x @ x, WARM, device)  # type: ignore[misc]
            best = max(best, *(2 * edge**3 / seconds(lambda x=x: x @ x, 1, device) for _ in range(5)))  # type: ignore[misc]
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trained = [name for name in sorted(registry.methods()) if registry.method(name).players]
    parser.add_argument("--method", choices=trained, nargs="+", required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default="fp32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=10, help="to measure")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if chosen.compile and (why := hindrance(device.type)):
        parser.error(f"nothing can be compiled here: {why}")
    policy = Policy(cast(Any, chosen.precision), channels_last=chosen.channels_last, compile=chosen.compile)
    a, b = (torch.rand(chosen.batch, 3, chosen.size, chosen.size, device=device) * 2 - 1 for _ in range(2))
    widths = {"width": chosen.width, "discriminator_width": chosen.width}
    how = chosen.precision + ", channels last" * chosen.channels_last + ", compiled" * chosen.compile
    unit, roofline = "kernels" if device.type == "cuda" else "operators", fastest(policy, device)
    print(f"{where(device)}; matrix products in {chosen.precision}: {roofline / 1e9:.0f} GFLOP/s")
    for name in chosen.method:
        eager = partial(ours, name, widths, a, b, replace(policy, compile=False))
        found = measure(ours(name, widths, a, b, policy), eager, chosen.steps, roofline, device)
        shares = f"busy {found.busy:.0%} | {found.share:.1%} of the roofline"
        print(
            f"{name}, {chosen.size} px, batch {chosen.batch}, width {chosen.width}, {how}, "
            f"{chosen.threads} thread(s) | {found.milliseconds:.1f} ms a step | {found.launches:.0f} {unit} | "
            f"{found.operations / 1e9:.2f} GFLOP | {found.megabytes:.0f} MB | {shares}",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""How long a training step takes against a reference that learns the same: the plain policy, or the authors' own code.

    python -m benchmarks.training_step --method cyclegan                       # against Policy.reference()
    python -m benchmarks.training_step --method cyclegan --precision bf16 --reference tf32   # the same, on a GPU's TF32
    python -m benchmarks.training_step --method munit --reference authors --authors FOLDER   # a checkout of their code
    python -m benchmarks.training_step --method munit --reference eager --compile            # ours, but for compiling

Both sides take steps in turn, in one process, on the same images; the ratio is taken round by round, so that a machine
whose speed drifts does not spoil it. On a CPU the clock is this process's own processor time, on a GPU its events.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch

from benchmarks import authors
from i2ibench import provenance, registry
from i2ibench.compiling import hindrance
from i2ibench.distributed import ALONE, Group
from i2ibench.method import Batch, Task
from i2ibench.policy import Policy
from i2ibench.randomness import seed_everything
from i2ibench.turns import Turns

Step = Callable[[], Any]
WARM = 2  # steps before the clock runs: optimiser state, the choice of algorithms, compiling


def ours(
    name: str, params: dict[str, Any], a: torch.Tensor, b: torch.Tensor, policy: Policy, group: Group = ALONE
) -> Step:
    """A step of the method as the loop takes it, less the reading of the batch; `group` shares it."""
    method_class = registry.method(name)
    params = {key: value for key, value in params.items() if key in method_class.Params.model_fields}
    task = Task(a.shape[1], b.shape[1], a.shape[-1])
    seed_everything(0)
    method = method_class(method_class.Params(**params), task)
    turns = Turns(method.to(a.device), policy=policy, group=group)
    policy.compiled(method)  # and never released: the process ends with its steps

    def step() -> None:
        turns.step(method, Batch(a, b, 0.0, turns.options.steps), len(a) * group.size)

    return step


def seconds(step: Step, times: int, device: torch.device) -> float:
    """What so many steps take, of the GPU's time or of this process's processor time."""
    if device.type == "cuda":
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        for _ in range(times):
            step()
        ended.record()
        ended.synchronize()
        return began.elapsed_time(ended) / 1000
    before = time.process_time()
    for _ in range(times):
        step()
    return time.process_time() - before


def ratios(reference: Step, fast: Step, rounds: int, times: int, device: torch.device) -> tuple[list[float], float]:
    """Reference / fast in each round, whose order alternates; the median seconds of one fast step. Both are warm."""
    found, taken = [], []
    for number in range(rounds):
        pair = (reference, fast) if number % 2 else (fast, reference)
        measured = {step: seconds(step, times, device) for step in pair}
        found.append(measured[reference] / measured[fast])
        taken.append(measured[fast] / times)
    return found, statistics.median(taken)


def warm(step: Step, device: torch.device) -> float:
    """Take the first steps; seconds of them by the clock."""
    began = time.perf_counter()
    seconds(step, WARM, device)
    return time.perf_counter() - began


def paid(compiling: float, ratio: float, step: float) -> str:
    """After how many steps compiling has paid for itself, that took so many seconds and made a step so much faster."""
    gained = (ratio - 1) * step
    after = f"it has paid for itself after {compiling / gained:.0f} steps" if gained > 0 else "it never pays"
    return f"the first {WARM} steps took {compiling:.0f} s more by the clock than eager ones: {after}"


def where(device: torch.device) -> str:
    """The hardware, its load and the software, in one line."""
    hardware = provenance.hardware()
    name = ", ".join(hardware["gpus"]) if device.type == "cuda" else hardware["processor"]
    return (
        f"{name}; {hardware['cores']} cores, load {os.getloadavg()[0]:.1f}; torch {torch.__version__}, "
        f"Python {platform.python_version()}; {torch.backends.cpu.get_cpu_capability()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trained = [name for name in sorted(registry.methods()) if registry.method(name).players]
    parser.add_argument("--method", choices=trained, required=True)
    parser.add_argument("--reference", choices=("plain", "tf32", "eager", "authors"), default="plain")
    parser.add_argument("--authors", metavar="FOLDER", help="their code: a checkout, for --reference authors")
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default="fp32", help="of ours")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true", help="ours: its networks, by torch")
    parser.add_argument("--unbatched", action="store_true", help="ours, but for nn.calls")
    parser.add_argument("--unshared", action="store_true", help="ours, but for nn.shared")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="of each side in a round")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    a, b = (torch.rand(chosen.batch, 3, chosen.size, chosen.size, device=device) * 2 - 1 for _ in range(2))
    params = {"width": chosen.width, "discriminator_width": chosen.width}
    if chosen.compile and (why := hindrance(device.type)):
        parser.error(f"nothing can be compiled here: {why}")
    policy = Policy(
        cast(Any, chosen.precision),
        channels_last=chosen.channels_last,
        batched=not chosen.unbatched,
        shared=not chosen.unshared,
        compile=chosen.compile,
    )
    fast = ours(chosen.method, params, a, b, policy)
    if chosen.reference == "authors":
        reference = authors.step(chosen.method, chosen.authors, a, b, chosen.width)
    else:
        plain = Policy.reference()
        kinds = {"plain": plain, "tf32": replace(plain, precision="tf32"), "eager": replace(policy, compile=False)}
        reference = ours(chosen.method, params, a, b, kinds[chosen.reference])
    longer = -warm(reference, device) + warm(fast, device)
    found, taken = ratios(reference, fast, chosen.rounds, chosen.steps, device)
    how = chosen.precision + ", channels last" * chosen.channels_last + ", compiled" * chosen.compile
    print(
        f"{chosen.method}, {chosen.size} px, batch {chosen.batch}, width {chosen.width}, {how}, "
        f"{chosen.threads} thread(s) | reference: {chosen.reference} | ratio {statistics.median(found):.2f} "
        f"({min(found):.2f} to {max(found):.2f}, {chosen.rounds} rounds of {chosen.steps} steps; "
        f"{1000 * taken:.0f} ms a step)"
    )
    if chosen.compile:
        print(paid(longer, statistics.median(found), taken))
    print(where(device))


if __name__ == "__main__":
    main()

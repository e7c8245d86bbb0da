"""What several trials on one device, or one trial over several processes, get out of it, and the memory of each.

    python -m benchmarks.scaling                               # vae, 64 px: 1, 2 and 4 trials; a batch over 1 and 2
    python -m benchmarks.scaling --method cyclegan --trials 1 2 --ranks 1

Packing: k processes train a trial of their own each, as workers do, for the same seconds; efficiency is their images a
second over k times those of one alone, up to the number of cores (beyond it, over those of all cores). One trial: its
batch divided over k processes that add up their gradients (gloo on a CPU, NCCL where each has a GPU), against one
process with the whole batch. Take turns with nobody: other people's load is in the numbers.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.training_step import WARM, ours, seconds
from i2ibench import provenance
from i2ibench.distributed import ALONE, Group, Ranks
from i2ibench.machine import cores
from i2ibench.policy import Policy


class Work(NamedTuple):
    method: str
    size: int
    batch: int  # of this process
    width: int
    seconds: float


class Share(NamedTuple):
    """What one process did: images a second by the clock, and its memory in megabytes, its share of what is common."""

    rate: float
    memory: float


def _train(work: Work, rank: int, folder: Path | None, size: int, barrier: Barrier, shares: Queue[Share]) -> None:
    torch.set_num_threads(1)
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", rank % torch.cuda.device_count())
    group: Group = ALONE if folder is None else Ranks(rank, size, folder, device)
    a, b = (torch.rand(work.batch, 3, work.size, work.size, device=device) * 2 - 1 for _ in range(2))
    widths = {"width": work.width, "discriminator_width": work.width}
    step = ours(work.method, widths, a, b, Policy(), group)
    for _ in range(WARM):
        step()
    # Ranks wait for each other in every step, so they agree on how many before they begin.
    alone = seconds(step, 2, device) / 2
    steps = max(2, int(group.agree(work.seconds / alone)[0])) if folder else 0
    barrier.wait()
    started, done = time.perf_counter(), 0
    while done < steps or (not steps and time.perf_counter() - started < work.seconds):
        step()
        done += 1
    if device.type == "cuda":
        torch.cuda.synchronize()
    rate = done * work.batch / (time.perf_counter() - started)
    memory = torch.cuda.max_memory_reserved(device) / 1e6 if device.type == "cuda" else _own_megabytes()
    barrier.wait()  # memory that is common is counted while all are there
    shares.put(Share(rate, memory))


def _own_megabytes() -> float:
    """This process's memory now, with its share of the pages that it has in common with others (Linux)."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


def together(work: Work, processes: int, *, ranks: bool) -> list[Share]:
    """What so many processes do at the same time: trials of their own, or `ranks` of one."""
    context = multiprocessing.get_context("spawn")
    barrier, shares = context.Barrier(processes), context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) if ranks and processes > 1 else None
        team = [
            context.Process(target=_train, args=(work, rank, meeting, processes, barrier, shares), daemon=True)
            for rank in range(processes)
        ]
        for process in team:
            process.start()
        found = [shares.get(timeout=600) for _ in team]
        for process in team:
            process.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="vae")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--trials", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    hardware = provenance.hardware()
    where = ", ".join(hardware.get("gpus", [])) or f"{hardware['processor']}, {cores()} cores, 1 thread a process"
    print(f"{chosen.method}, {chosen.size} px, batch {chosen.batch}, width {chosen.width}, fp32 | {where}")
    places = torch.cuda.device_count() or cores()
    for name, numbers, ranks in (("trials", chosen.trials, False), ("ranks of one trial", chosen.ranks, True)):
        first = 0.0
        for count in sorted({1, *numbers}) if numbers else ():
            batch = chosen.batch // count if ranks else chosen.batch
            work = Work(chosen.method, chosen.size, batch, chosen.width, chosen.seconds)
            shares = together(work, count, ranks=ranks)
            total = sum(share.rate for share in shares)
            first = first or total
            efficiency = total / first / min(count, places)
            print(
                f"{count} {name:18} {total:8.1f} images/s, {total / first:5.2f} x one, efficiency {efficiency:4.2f}, "
                f"{max(share.memory for share in shares):6.0f} MB each"
            )
    print(f"load {os.getloadavg()[0]:.1f}; torch {torch.__version__}")


if __name__ == "__main__":
    main()

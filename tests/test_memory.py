"""Memory: its peak and growth, how its end is recognised (provoked for real), and a GPU's shares."""

from __future__ import annotations

import errno
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2ibench.errors import TrialError
from i2ibench.memory import CONTEXT_BYTES, Growth, PeakMemory, is_out_of_memory, share_of_gpu

CPU = torch.device("cpu")
MB = 1 << 20


def test_an_allocation_that_cannot_be_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as torchs:
        torch.empty(1 << 60)
    with pytest.raises(MemoryError) as numpys:
        np.empty(1 << 58)
    assert is_out_of_memory(torchs.value)
    assert is_out_of_memory(numpys.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total ..."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:83] data. DefaultCPUAllocator: not enough memory: you tried ..."),
        RuntimeError("could not create a primitive"),  # what oneDNN says where an address space is nearly used up
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=lambda error: str(error)[:30],
)
def test_what_libraries_say_of_it(error: BaseException) -> None:
    assert is_out_of_memory(error)
    wrapped = TrialError("the step failed")
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped), "also as the cause of another error"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("could not create a primitive descriptor for a convolution forward propagation primitive"),
        KeyError("out of memory"),
        TrialError("translate() gave NaN"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
    ids=lambda error: str(error)[:30],
)
def test_other_errors_are_not(error: BaseException) -> None:
    assert not is_out_of_memory(error)
    error.__context__, error.__suppress_context__ = MemoryError(), True
    assert not is_out_of_memory(error), "whoever raises `from None` has dealt with it"


LIMITED = """
import logging, resource, sys, tempfile, torch
from pathlib import Path
from i2ibench.config import Training
from i2ibench.memory import is_out_of_memory
from i2ibench.method import Method, Task
from i2ibench.store import Store
from i2ibench.training import Loop

torch.set_num_threads(1)

class Wide(Method):
    players = ("generator",)

    def build(self, task):
        layers = [torch.nn.Conv2d(3, 64, 3, padding=1)]
        layers += [torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 3, padding=1)) for _ in range(6)]
        self.generator = torch.nn.Sequential(*layers)

    def step(self, batch, turn):
        with turn("generator") as loss:
            loss.l2 = self.generator(batch.a).square().mean()

class Batches:
    def at(self, step, part):
        return torch.rand(64, 3, 32, 32)[part], torch.rand(64, 3, 32, 32)[part]

def train(micro_batches):
    method = Wide(Method.Params(), Task(3, 3, 32))
    trial = Store(tempfile.mkdtemp()).trial("t")
    settings = Training(steps=2, batch_size=64)
    Loop(method, Batches(), settings, trial, torch.device("cpu"), logging.getLogger(), micro_batches=micro_batches).run()

train(32)  # libraries load what they need
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (80 << 20),) * 2)
try:
    train(1)
except Exception as error:
    print("whole:", is_out_of_memory(error), type(error).__name__, str(error)[:200].replace(chr(10), " "))
train(32)
print("in parts: done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space and reads /proc")
def test_where_a_whole_batch_does_not_fit_its_parts_do() -> None:
    """A training in a process that may not have the memory: it fails, is recognised, and goes through in parts."""
    run = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=300)
    assert run.stdout.splitlines()[0].startswith("whole: True"), run.stdout + run.stderr
    assert run.stdout.splitlines()[1:] == ["in parts: done"], run.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_growth_is_what_was_taken_on_top_at_most() -> None:
    growth, peak = Growth(CPU), PeakMemory(CPU)
    torch.ones(200 * MB // 4)  # and given back at once
    held = torch.ones(50 * MB // 4)
    assert 195 * MB < growth.bytes() < 300 * MB
    assert peak.megabytes() * 1e6 > growth.bytes(), "the peak counts what there was before, too"
    assert held.sum() > 0


@given(st.integers(0, 300 << 30), st.integers(8 << 30, 300 << 30))
def test_trials_that_share_a_gpu_fit_into_it_together(peak: int, gpu: int) -> None:
    share = share_of_gpu(peak, gpu)
    assert share * 8 == int(share * 8)
    assert 1 / 8 <= share <= 1
    if share < 1:
        assert int(1 / share) * (peak + CONTEXT_BYTES) <= gpu
    if share > 1 / 8:
        assert (share - 1 / 8) * gpu < 1.25 * peak + CONTEXT_BYTES, "and no more is asked for than they need"


def test_shares_of_a_gpu_of_80_gigabytes() -> None:
    gigabyte = 10**9
    cases = {0.5: 1 / 8, 7: 1 / 8, 8: 2 / 8, 20: 3 / 8, 60: 1, 200: 1}
    assert {size: share_of_gpu(int(size * gigabyte), 80 * gigabyte) for size in cases} == cases

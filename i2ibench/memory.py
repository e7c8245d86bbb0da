"""Memory of a training: its peak, whether an error means that there was too little, and the share of a GPU it needs."""

from __future__ import annotations

import errno
import math
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

# What libraries say in a plain RuntimeError.
OUT_OF_MEMORY = re.compile(
    "out of memory"  # CUDA, HIP, MPS and NCCL
    "|can't allocate memory|not enough memory"  # torch's DefaultCPUAllocator, on Linux and on Windows
    "|could not create a memory object|could not create a primitive(?! descriptor)"  # oneDNN: no room for its code
    "|alloc_failed"  # CUBLAS_STATUS_ALLOC_FAILED, and likewise of cuDNN, cuSOLVER and cuSPARSE
    "|allocation_failed"  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
    "|std::bad_alloc",
    re.IGNORECASE,
)

CONTEXT_BYTES = 700 << 20  # of a process on a GPU before its first tensor: CUDA itself, kernels, cuBLAS and cuDNN
HEADROOM = 1.2  # over the first steps: fragmentation, larger workspaces, image pools that fill
SLICES = 8  # a GPU is shared out in eighths


class PeakMemory:
    """Measures the peak, in megabytes, from its creation on; on a CPU the libraries' own share is part of it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        with suppress(OSError):  # Linux: forget the peak of what this process did before
            Path("/proc/self/clear_refs").write_text("5")

    def megabytes(self) -> float:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 1e6
        return _resident("VmHWM") / 1e6


class Growth:
    """Measures how much memory is taken on top of what there was: reserved GPU memory, or this process's own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.empty_cache()
        PeakMemory(device)  # the peak begins anew
        self._before = torch.cuda.memory_reserved(device) if device.type == "cuda" else _resident("VmRSS")

    def bytes(self) -> int:
        """The most that was taken since the beginning."""
        most = torch.cuda.max_memory_reserved(self._device) if self._device.type == "cuda" else _resident("VmHWM")
        return max(0, most - self._before)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that a GPU or this machine had no memory left.

    A process that the kernel kills for want of memory says nothing; its parent sees a death by signal 9.
    """
    while error is not None:
        if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        if isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def share_of_gpu(peak_bytes: int, gpu_bytes: int) -> float:
    """The part of a GPU to ask for, in eighths from 1/8 to 1, so that trials that share one fit into it together."""
    needed = HEADROOM * peak_bytes + CONTEXT_BYTES
    return min(SLICES, max(1, math.ceil(SLICES * needed / gpu_bytes))) / SLICES


def _resident(field: str) -> int:
    """Bytes of main memory that this process holds (VmRSS) or has held at most (VmHWM)."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split(f"{field}:")[1].split()[0]) * 1024
    except (OSError, IndexError):  # no Linux: the peak since the process began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # bytes there, kilobytes elsewhere

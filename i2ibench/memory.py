"""Peak memory of a training: the GPU's allocations, or this process's resident set."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class PeakMemory:
    """Measures the peak, in megabytes, from its creation on; on a CPU the libraries' own share is part of it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(device)
            return
        with suppress(OSError):  # Linux: forget the peak of what this process did before
            Path("/proc/self/clear_refs").write_text("5")

    def megabytes(self) -> float:
        if self._device.type == "cuda":
            import torch

            return torch.cuda.max_memory_allocated(self._device) / 1e6
        try:
            status = Path("/proc/self/status").read_text(encoding="ascii")
            return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
        except (OSError, IndexError):  # no Linux: the peak since the process began
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6

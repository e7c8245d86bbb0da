"""What is asked of a machine is answered on one that is no Linux, too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from i2ibench import machine, memory, provenance


def test_without_linux_there_is_an_answer_to_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    read = Path.read_text

    def no_proc(self: Path, *args: str, **kwargs: str) -> str:
        if self.parts[:2] == ("/", "proc"):
            raise FileNotFoundError(2, "No such file or directory", str(self))
        return read(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", no_proc)
    assert machine.cores() == os.cpu_count()
    assert machine.processor()
    assert provenance.hardware()["cores"] == os.cpu_count()
    assert memory._resident("VmHWM") > 1e7  # bytes, of a process that has loaded torch

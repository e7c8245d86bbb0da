"""What tests of several methods look at a training step with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import torch


class Recorder:
    """A turn that notes the losses and trains nothing."""

    def __init__(self) -> None:
        self.losses: dict[str, torch.Tensor] = {}

    @contextmanager
    def __call__(self, player: str) -> Iterator[SimpleNamespace]:
        loss = SimpleNamespace()
        yield loss
        self.losses |= {f"{player}.{name}": value for name, value in vars(loss).items()}

"""copy: the input returned unchanged, the floor of every leaderboard. A method that scores below it did harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from i2ibench.errors import ConfigError
from i2ibench.method import Method, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Copy(Method):
    """The identity (no paper)."""

    seeded = False

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        if task.channels_a != task.channels_b:
            channels = f"A has {task.channels_a}, B has {task.channels_b}"
            raise ConfigError(f"copy returns its input, so it needs as many channels in B as in A; {channels}")

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        return a

"""Weights and images by formula: what the authors' code was given to make the numbers that these tests hold."""

from __future__ import annotations

import math
from typing import TypeVar

import pytest
import torch

M = TypeVar("M", bound=torch.nn.Module)


class Formula:
    """Every reference number in this folder was printed by the authors' own code, filled and fed by these two rules."""

    @staticmethod
    def fill(module: M, gain: float = 1.5) -> M:
        """Give every parameter, in the order of `parameters()`, values of a cosine scaled by its fan-in."""
        with torch.no_grad():
            for number, parameter in enumerate(module.parameters()):
                angle = 1.3 * torch.arange(parameter.numel(), dtype=torch.float64) + 0.7 * number
                fan_in = max(1, parameter[0].numel()) if parameter.ndim > 1 else 4
                parameter.copy_((gain * torch.cos(angle) / math.sqrt(fan_in)).view(parameter.shape))
        return module

    @staticmethod
    def picture(*shape: int) -> torch.Tensor:
        """Values in [-1, 1] that repeat nowhere."""
        place = torch.arange(math.prod(shape), dtype=torch.float64)
        return torch.sin(0.37 * place + 0.01 * place.sqrt()).view(shape).float()


@pytest.fixture
def formula() -> type[Formula]:
    return Formula

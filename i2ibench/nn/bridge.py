"""The Brownian bridge between two images, and the way back along it (Li et al., CVPR 2023, arXiv:2205.07680)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from .vae import normal


class BrownianBridge(nn.Module):
    """x_t = (1 - m_t) x + m_t y + sqrt(v_t) noise, with m_t from 0.001 to 0.999 and v_t = 2 s (m_t - m_t^2).

    x is what is sought, y what is given: the bridge begins at one and ends at the other, and is widest midway.

    Args:
        timesteps: points of the bridge.
        variance: s, the variance's scale; at 1 its greatest value is 1/2.
    """

    share: Tensor  # m_t
    variance: Tensor  # v_t

    def __init__(self, timesteps: int, variance: float = 1.0) -> None:
        super().__init__()
        share = torch.linspace(0.001, 0.999, timesteps, dtype=torch.float64)
        self.register_buffer("share", share.float(), persistent=False)
        self.register_buffer("variance", (2 * variance * (share - share.square())).float(), persistent=False)

    def draw_times(self, n: int) -> Tensor:
        """n of the bridge's points, (n,) whole numbers, each as likely as any."""
        return torch.randint(len(self.share), (n,), device=self.share.device)

    def at(self, x: Tensor, y: Tensor, time: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The bridge's points x_t at times (N,), and what a network shall say of them: x_t - x."""
        m, v = (values[time].view(-1, 1, 1, 1) for values in (self.share, self.variance))
        target = m * (y - x) + v.sqrt() * noise
        return x + target, target

    def times(self, steps: int) -> list[int]:
        """So many times from the last to 0, evenly spaced but for the last two, 1 and 0; at least 3."""
        last = len(self.share) - 1
        stride = last / (steps - 2)
        spaced = [int(last - i * stride) for i in range(steps - 2) if last - i * stride > 1]
        return list(dict.fromkeys([*spaced, 1, 0]))

    def walk(
        self, network: Callable[[Tensor, Tensor], Tensor], y: Tensor, steps: int, eta: float, rng: torch.Generator
    ) -> Tensor:
        """From images y (N, C, H, W) to x in [-1, 1] (their algorithm 2, over fewer times as in DDIM).

        `network(x_t, time)`, time (N,) whole numbers, estimates x_t - x. `eta` scales the noise drawn at each step; at
        0 none is.
        """

        def estimate(x_t: Tensor, time: int) -> Tensor:
            return (x_t - network(x_t, torch.full((len(y),), time, device=y.device))).clamp(-1, 1)

        x_t = y
        for time, following in pairwise(self.times(steps)):
            x = estimate(x_t, time)
            m, v, m_next, v_next = (values[t] for t in (time, following) for values in (self.share, self.variance))
            drawn = (v - v_next * ((1 - m) / (1 - m_next)).square()).clamp(min=0) * v_next / v
            away = x_t - (1 - m) * x - m * y
            x_t = (1 - m_next) * x + m_next * y + ((v_next - drawn).clamp(min=0) / v).sqrt() * away
            if eta:
                x_t = x_t + eta * drawn.sqrt() * normal(tuple(y.shape), y, rng)
        return estimate(x_t, 0)

"""BBDM: the published system at its preset `paper`, its loss by hand, the way back, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from i2ibench import registry
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns

BBDM: Any = registry.method("bbdm")


def make(**params: Any) -> Any:
    torch.manual_seed(0)
    small = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (), "sample_steps": 4}
    return BBDM(BBDM.Params(**small | params), Task(3, 3, 16))


def images(seed: int, n: int = 4) -> torch.Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_paper_preset_is_the_published_system() -> None:
    values = dict(BBDM.presets["paper"])
    training = values.pop("training")
    assert training["batch_size"] == 2 * 8
    assert training["steps"] == 400_000 // 2, "theirs counts batches of 8, of which two make a step"
    assert training["ema"] == pytest.approx(0.995 ** (1 / 8), abs=1e-4)
    p = BBDM.Params(**values)
    assert (p.timesteps, p.variance, p.sample_steps, p.eta, p.condition) == (1000, 1, 200, 1, True)
    assert (p.lr, p.beta1, p.beta2, p.weight_decay, p.decay) == (1e-4, 0.9, 0.999, 0, "constant")
    with torch.device("meta"):
        assert BBDM(p, Task(3, 3, 256)).parameter_counts() == {"generator": 237_094_787}


@pytest.mark.parametrize("condition", [True, False])
def test_the_loss_is_that_of_the_paper(condition: bool) -> None:
    method, a, b = make(condition=condition, variance=0.5), images(1), images(2)
    turns = Turns(method)
    torch.manual_seed(3)
    method.step(Batch(a, b), turns)
    found, method = turns.means(), make(condition=condition, variance=0.5)  # again as it was before its step
    torch.manual_seed(3)
    time, noise = torch.randint(1000, (4,)), torch.randn_like(b)
    m = (0.001 + 0.998 * time / 999).view(-1, 1, 1, 1)
    x_t = (1 - m) * b + m * a + (m - m**2).sqrt() * noise
    said = method.generator(torch.cat([x_t, a], 1) if condition else x_t, time)
    assert found == {"generator.l1": pytest.approx((said - (x_t - b)).abs().mean().item(), rel=1e-4)}


def test_the_walk_starts_at_the_input_and_without_noise_is_always_the_same() -> None:
    method, a = make(eta=0.0), images(1, 2)
    seen = []
    method.generator.register_forward_pre_hook(lambda _, args: seen.append(args))
    with torch.no_grad():
        first, other = (method.translate(a, rng=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert torch.equal(first, other)
    assert torch.equal(seen[0][0], torch.cat([a, a], 1))
    assert [int(times[0]) for _, times in seen[:4]] == [999, 499, 1, 0]


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="size 34 must be divisible by 4"):
        BBDM.check(BBDM.Params(), Task(3, 3, 34))
    with pytest.raises(ConfigError, match="sample_steps cannot be more than timesteps: 200 > 100"):
        BBDM.check(BBDM.Params(timesteps=100), Task(3, 3, 64))

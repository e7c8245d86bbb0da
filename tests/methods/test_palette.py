"""Palette: the published system at its preset `paper`, its loss by hand, both samplers, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from i2ibench import nn, registry
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns

Palette: Any = registry.method("palette")


def make(**params: Any) -> Any:
    torch.manual_seed(0)
    small = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (), "sample_steps": 4}
    return Palette(Palette.Params(**small | params), Task(3, 3, 16))


def images(seed: int, n: int = 4) -> torch.Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_paper_preset_is_the_published_system() -> None:
    values = dict(Palette.presets["paper"])
    assert values.pop("training") == {"steps": 1_000_000, "batch_size": 1024, "ema": 0.9999, "warmup": 10_000}
    p = Palette.Params(**values)
    assert (p.schedule, p.timesteps, p.predict, p.sampler, p.sample_steps) == ("linear", 2000, "noise", "ddpm", 1000)
    assert (p.lr, p.beta1, p.beta2, p.weight_decay, p.decay) == (1e-4, 0.9, 0.999, 0, "constant")
    with torch.device("meta"):
        method = Palette(p, Task(3, 3, 256))
    assert method.parameter_counts() == {"generator": 552_814_083}  # ADM's at 256 pixels with A beside B


@pytest.mark.parametrize("predict", ["noise", "velocity"])
def test_the_loss_is_that_of_the_paper(predict: str) -> None:
    method, a, b = make(predict=predict), images(1), images(2)
    turns = Turns(method)
    torch.manual_seed(3)
    method.step(Batch(a, b), turns)
    found, method = turns.means(), make(predict=predict)  # again as it was before its step
    torch.manual_seed(3)
    noise, level = torch.randn_like(b), method.diffusion.draw_levels(4)
    gamma = level.view(-1, 1, 1, 1)
    said = method.generator(torch.cat([a, gamma.sqrt() * b + (1 - gamma).sqrt() * noise], 1), level)
    target = noise if predict == "noise" else gamma.sqrt() * noise - (1 - gamma).sqrt() * b
    assert found == {"generator.mse": pytest.approx((said - target).square().mean().item(), rel=1e-4)}


def test_ddim_draws_its_start_and_nothing_more() -> None:
    method, a = make(), images(1, 2)
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        output = method.translate(a, rng=rng)
    again = torch.Generator().manual_seed(5)
    start = torch.randn(2, 3, 16, 16, generator=again)
    levels = nn.spaced(method.diffusion.levels, 4)
    with torch.no_grad():
        expected = method.diffusion.sample(lambda y, g: method.generator(nn.cat(a, y), g), start, levels)
    assert torch.equal(output, expected)
    assert torch.equal(rng.get_state(), again.get_state())


def test_ddpm_walks_the_papers_schedule_whatever_the_training_had(monkeypatch: pytest.MonkeyPatch) -> None:
    method = make(sampler="ddpm", sample_steps=1000)
    monkeypatch.setattr(method.diffusion, "sample", lambda network, y, levels, sampler, rng: (levels, sampler))
    levels, sampler = method.translate(images(1, 1), rng=torch.Generator())
    assert sampler == "ddpm"
    assert levels[0].item() == pytest.approx(1 - 1e-4)
    assert (levels[-1] / levels[-2]).item() == pytest.approx(1 - 0.09, rel=1e-3)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="size 36 must be divisible by 8"):
        Palette.check(Palette.Params(), Task(3, 3, 36))
    with pytest.raises(ConfigError, match="needs 100 sample_steps or more, not 20"):
        Palette.check(Palette.Params(sampler="ddpm", sample_steps=20), Task(3, 3, 64))
    with pytest.raises(ConfigError, match=r"sample_steps \(50\) cannot be more than timesteps \(10\)"):
        Palette.check(Palette.Params(timesteps=10), Task(3, 3, 64))

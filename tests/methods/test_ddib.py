"""DDIB: the published system at its preset `paper`, its loss by hand, and a bridge between Gaussians, which are known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn as torch_nn

from i2ibench import nn, registry
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns

DDIB: Any = registry.method("ddib")


def make(**params: Any) -> Any:
    torch.manual_seed(0)
    small = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (), "sample_steps": 4}
    return DDIB(DDIB.Params(**small | params), Task(3, 3, 16))


def images(seed: int, n: int = 4) -> torch.Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Gaussian(torch_nn.Module):
    """The best network there is for pixels drawn from N(mean, deviation^2)."""

    def __init__(self, mean: float, deviation: float, predict: str) -> None:
        super().__init__()
        self.mean, self.deviation, self.predict = mean, deviation, predict

    def forward(self, y: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        gamma = level.view(-1, 1, 1, 1)
        away = (y - gamma.sqrt() * self.mean) / (gamma * self.deviation**2 + 1 - gamma)
        noise = (1 - gamma).sqrt() * away
        image = self.mean + gamma.sqrt() * self.deviation**2 * away
        return noise if self.predict == "noise" else gamma.sqrt() * noise - (1 - gamma).sqrt() * image


def of_gaussians(sample_steps: int, schedule: str = "linear", predict: str = "noise") -> Any:
    """The method with the best networks for A of N(0.1, 0.2^2) and B of N(-0.2, 0.1^2)."""
    method = make(sample_steps=sample_steps, schedule=schedule, predict=predict)
    method.generator = nn.group(a=Gaussian(0.1, 0.2, predict), b=Gaussian(-0.2, 0.1, predict))
    return method


def drawn() -> torch.Tensor:
    return 0.1 + 0.2 * torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)).clamp(-3, 3)


RNG = torch.Generator()


@pytest.mark.parametrize(("schedule", "predict"), [("linear", "noise"), ("cosine", "velocity")])
def test_between_gaussians_it_is_the_optimal_transport(schedule: str, predict: str) -> None:
    """Each pixel keeps its place in its distribution: what the equation comes to for Gaussians, without any steps."""
    a = drawn()
    expected = -0.2 + 0.1 * (a - 0.1) / 0.2
    errors = [(of_gaussians(n, schedule, predict).translate(a, rng=RNG) - expected).abs().max() for n in (16, 64, 256)]
    assert errors[2] < 0.04
    for more, fewer in zip(errors[1:], errors, strict=False):
        assert more < 0.4 * fewer, "an error of first order in the step: a quarter"


def test_there_and_back_again_is_the_identity_but_for_the_steps() -> None:
    a = drawn()
    for steps, wrong in ((64, 0.4), (256, 0.1)):
        method = of_gaussians(steps)
        translated = method.translate(a, rng=RNG)
        assert (translated - a).abs().max() > 0.3
        assert (method.translate_back(translated, rng=RNG) - a).abs().max() < wrong
        assert (method.bridge(a, method.generator.a, method.generator.a) - a).abs().max() < wrong


def test_the_noise_of_a_gaussian_is_what_it_should_be() -> None:
    """Standard normal: each image's place in its distribution."""
    method, a = of_gaussians(1000), drawn()
    latent = method.diffusion.encode(method.generator.a, a, method.diffusion.levels)
    torch.testing.assert_close(latent, (a - 0.1) / 0.2, rtol=0, atol=0.03)


def test_the_bridge_of_any_network_to_itself_closes_with_the_steps() -> None:
    method, a, found = make(), images(1, 1)[..., :8, :8], []
    for parameter in method.generator.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    for steps in (8, 32):
        method.params = method.params.model_copy(update={"sample_steps": steps})
        with torch.no_grad():
            found.append((method.bridge(a, method.generator.a, method.generator.a) - a).abs().mean())
    assert found[1] < 0.5 * found[0]


def test_the_paper_preset_is_the_published_system() -> None:
    values = dict(DDIB.presets["paper"])
    assert values.pop("training") == {"steps": 1_980_000, "batch_size": 256, "ema": 0.9999}
    p = DDIB.Params(**values)
    assert (p.schedule, p.timesteps, p.predict) == ("linear", 1000, "noise")
    assert (p.lr, p.beta1, p.beta2, p.weight_decay, p.decay) == (1e-4, 0.9, 0.999, 0, "constant")
    with torch.device("meta"):
        method = DDIB(p, Task(3, 3, 256))
    published = 552_814_086  # ADM's at 256 pixels without classes; three of its six output channels are variances
    assert method.parameter_counts() == {"generator": 2 * (published - 3 * (9 * 256 + 1))}


def test_the_loss_is_that_of_two_models_that_know_nothing_of_each_other() -> None:
    method, a, b = make(), images(1), images(2)
    turns = Turns(method)
    torch.manual_seed(3)
    method.step(Batch(a, b), turns)
    found, method = turns.means(), make()  # again as it was before its step
    torch.manual_seed(3)
    expected = {}
    for domain, x in (("a", a), ("b", b)):
        noise, level = torch.randn_like(x), method.diffusion.draw_levels(4)
        gamma = level.view(-1, 1, 1, 1)
        said = method.generator[domain](gamma.sqrt() * x + (1 - gamma).sqrt() * noise, level)
        expected[f"generator.{domain}"] = pytest.approx((said - noise).square().mean().item(), rel=1e-4)
    assert found == expected


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="size 36 must be divisible by 8"):
        DDIB.check(DDIB.Params(), Task(3, 3, 36))
    with pytest.raises(ConfigError, match="sample_steps cannot be more than timesteps: 50 > 40"):
        DDIB.check(DDIB.Params(timesteps=40), Task(3, 3, 64))
    with pytest.raises(ConfigError, match="timesteps 20: the linear schedule needs more than 20"):
        DDIB.check(DDIB.Params(timesteps=20, sample_steps=5), Task(3, 3, 64))
    DDIB.check(DDIB.Params(timesteps=20, sample_steps=5, schedule="cosine"), Task(3, 3, 64))

"""DiscoGAN: the published system, its losses by hand, whose turn it is, the curriculum and both directions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from recording import Recorder

from i2ibench import registry
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task

DiscoGAN: Any = registry.method("discogan")


def make(**params: Any) -> Any:
    torch.manual_seed(0)
    return DiscoGAN(DiscoGAN.Params(**{"width": 4, "halvings": 3} | params), Task(3, 3, 32))


def losses(method: Any, step: int) -> dict[str, torch.Tensor]:
    rng, recorder = torch.Generator().manual_seed(1), Recorder()
    a, b = (torch.rand(2, 3, 32, 32, generator=rng) * 2 - 1 for _ in range(2))
    method.step(Batch(a, b, step=step), recorder)
    return recorder.losses


def test_the_paper_preset_is_the_published_system() -> None:
    values = dict(DiscoGAN.presets["paper"])
    assert values.pop("training")["batch_size"] == 64
    p = DiscoGAN.Params(**values)
    assert (p.curriculum, p.rate_start, p.rate, p.matching, p.every) == (10_000, 0.01, 0.5, 0.9, 3)
    assert (p.lr, p.beta1, p.beta2, p.weight_decay, p.decay) == (2e-4, 0.5, 0.999, 1e-5, "constant")
    with torch.device("meta"):
        method = DiscoGAN(p, Task(3, 3, 64))
    assert method.parameter_counts() == {"generator": 2 * 5_513_856, "discriminator": 2 * 2_765_568}


def bce(scores: torch.Tensor, real: bool) -> torch.Tensor:
    return F.binary_cross_entropy(scores.sigmoid(), torch.full_like(scores, float(real)))


@pytest.mark.parametrize(("step", "rate"), [(1, 0.01), (99, 0.01), (100, 0.5), (200, 0.5)])
def test_losses_of_the_generators_are_those_of_the_code(step: int, rate: float) -> None:
    method = make(curriculum=100, every=1000)
    rng = torch.Generator().manual_seed(1)
    a, b = (torch.rand(2, 3, 32, 32, generator=rng) for _ in range(2))  # in [0, 1]
    to_b, to_a = method.generator.ab, method.generator.ba
    fake_b, fake_a = to_b(a), to_a(b)
    expected = {
        "generator.cycle_a": rate * F.mse_loss(to_a(fake_b), a),
        "generator.cycle_b": rate * F.mse_loss(to_b(fake_a), b),
    }
    for name, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
        _, of_real = method.discriminator[name](real)
        scores, of_fake = method.discriminator[name](fake)
        expected[f"generator.gan_{name}"] = (1 - rate) * 0.1 * bce(scores, True)
        distances = [F.mse_loss(f.mean(0), r.mean(0)) for f, r in zip(of_fake, of_real, strict=True)]
        expected[f"generator.match_{name}"] = (1 - rate) * 0.9 * torch.stack(distances).sum()
    torch.testing.assert_close(losses(method, step), expected, rtol=1e-4, atol=1e-6)


def test_losses_of_the_discriminators_are_those_of_the_code() -> None:
    method = make()
    rng = torch.Generator().manual_seed(1)
    a, b = (torch.rand(2, 3, 32, 32, generator=rng) for _ in range(2))
    on_a, on_b = method.discriminator.a, method.discriminator.b
    expected = {
        "discriminator.real_a": 0.5 * bce(on_a(a)[0], True),
        "discriminator.fake_a": 0.5 * bce(on_a(method.generator.ba(b))[0], False),
        "discriminator.real_b": 0.5 * bce(on_b(b)[0], True),
        "discriminator.fake_b": 0.5 * bce(on_b(method.generator.ab(a))[0], False),
    }
    torch.testing.assert_close(losses(method, 0), expected, rtol=1e-4, atol=1e-6)


def test_the_discriminators_learn_in_every_third_step_and_the_generators_in_the_others() -> None:
    method = make()
    players = [{name.split(".")[0] for name in losses(method, step)} for step in range(6)]
    assert players == 2 * [{"discriminator"}, {"generator"}, {"generator"}]


def test_one_training_gives_both_directions() -> None:
    method, x, rng = make(), torch.rand(2, 3, 32, 32) * 2 - 1, torch.Generator()
    method.generator.eval()
    torch.testing.assert_close(method.translate(x, rng=rng), 2 * method.generator.ab((x + 1) / 2) - 1)
    torch.testing.assert_close(method.translate_back(x, rng=rng), 2 * method.generator.ba((x + 1) / 2) - 1)


@pytest.mark.parametrize("size", [32, 72])
def test_a_size_that_it_cannot_take_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"size {size} must be divisible by 16 and at least 64"):
        DiscoGAN.check(DiscoGAN.Params(), Task(3, 3, size))

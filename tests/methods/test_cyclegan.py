"""CycleGAN: the published system at its paper preset, its losses by hand, the pool and both directions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recording import Recorder

from i2ibench import registry
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns

CycleGAN: Any = registry.method("cyclegan")


def make(**params: Any) -> Any:
    torch.manual_seed(0)
    narrow = {"width": 4, "blocks": 1, "discriminator_layers": 1}
    return CycleGAN(CycleGAN.Params(**narrow | params), Task(3, 3, 32))


def batch(n: int = 2) -> Batch:
    return Batch(torch.rand(n, 3, 32, 32) * 2 - 1, torch.rand(n, 3, 32, 32) * 2 - 1)


def test_the_paper_preset_is_the_published_system() -> None:
    values = dict(CycleGAN.presets["paper"])
    assert values.pop("training") == {"steps": 200 * 1334, "batch_size": 1}
    params = CycleGAN.Params(**values)
    assert (params.generator, params.blocks, params.norm, params.dropout) == ("resnet", 9, "instance", 0)
    assert (params.gan, params.lambda_cycle, params.lambda_identity, params.pool) == ("lsgan", 10, 0.5, 50)
    assert (params.lr, params.beta1, params.beta2, params.weight_decay, params.decay) == (2e-4, 0.5, 0.999, 0, "linear")
    with torch.device("meta"):
        method = CycleGAN(params, Task(3, 3, 256))
    assert method.parameter_counts() == {"generator": 2 * 11_378_179, "discriminator": 2 * 2_764_737}


def test_losses_are_those_of_the_paper() -> None:
    method, data = make(lambda_cycle=8.0, lambda_identity=0.25), batch()
    recorder = Recorder()
    method.step(data, recorder)

    a, b, g, f = data.a, data.b, method.generator.ab, method.generator.ba
    on_a, on_b = method.discriminator.a, method.discriminator.b
    fake_b, fake_a = g(a), f(b)
    expected = {
        "generator.gan_b": (on_b(fake_b) - 1).square().mean(),
        "generator.gan_a": (on_a(fake_a) - 1).square().mean(),
        "generator.cycle_a": 8 * (f(fake_b) - a).abs().mean(),
        "generator.cycle_b": 8 * (g(fake_a) - b).abs().mean(),
        "generator.identity_a": 2 * (f(a) - a).abs().mean(),
        "generator.identity_b": 2 * (g(b) - b).abs().mean(),
        "discriminator.real_b": (on_b(b) - 1).square().mean() / 2,
        "discriminator.fake_b": on_b(fake_b).square().mean() / 2,
        "discriminator.real_a": (on_a(a) - 1).square().mean() / 2,
        "discriminator.fake_a": on_a(fake_a).square().mean() / 2,
    }
    torch.testing.assert_close(recorder.losses, expected)


def test_without_identity_the_terms_are_gone() -> None:
    recorder = Recorder()
    make(lambda_identity=0.0).step(batch(), recorder)
    assert not [name for name in recorder.losses if "identity" in name]


class Remembers(torch.nn.Module):
    """A pool that hands out the same grey whatever it is given."""

    def forward(self, fakes: torch.Tensor) -> torch.Tensor:
        return torch.full_like(fakes, 0.5)


def test_discriminators_see_the_pool_and_generators_do_not() -> None:
    method, data = make(), batch()
    plain, pooled = Recorder(), Recorder()
    method.step(data, plain)
    method.pool_a, method.pool_b = Remembers(), Remembers()
    method.step(data, pooled)
    changed = {name for name in plain.losses if not torch.equal(plain.losses[name], pooled.losses[name])}
    assert changed == {"discriminator.fake_a", "discriminator.fake_b"}
    on_grey = method.discriminator.b(torch.full((2, 3, 32, 32), 0.5)).square().mean() / 2
    torch.testing.assert_close(pooled.losses["discriminator.fake_b"], on_grey)


def test_one_training_gives_both_directions() -> None:
    method, data = make(), batch()
    turns = Turns(method)
    for _ in range(3):
        method.step(data, turns)
    rng = torch.Generator()
    assert torch.equal(method.translate(data.a, rng=rng), method.generator.ab(data.a))
    assert torch.equal(method.translate_back(data.b, rng=rng), method.generator.ba(data.b))


@pytest.mark.parametrize("params", [{"generator": "unet"}, {"norm": "batch", "dropout": 0.5}, {"attention": True}])
def test_other_generators_train(params: dict[str, Any]) -> None:
    method = make(**params)
    turns = Turns(method)
    before = [p.clone() for p in method.generator.parameters()]
    for _ in range(2):
        method.step(batch(), turns)
    changed = [not torch.equal(p, q) for p, q in zip(before, method.generator.parameters(), strict=True)]
    assert all(changed)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="size 50 does not suit generator 'resnet'; use a multiple of 4"):
        CycleGAN.check(CycleGAN.Params(), Task(3, 3, 50))

"""UNIT: the published system at its preset `paper`, its terms, the mean code, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from i2ibench.methods.unit import UNIT

from i2ibench import nn
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns

SMALL = {"width": 4, "blocks": 1, "discriminator_layers": 2, "scales": 2, "downsamplings": 1}


def unit(**params) -> UNIT:
    torch.manual_seed(0)
    return UNIT(UNIT.Params(**{**SMALL, **params}), Task(3, 3, 32))


def images(n: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_paper_preset_has_the_published_size_and_schedule():
    preset = {key: value for key, value in UNIT.presets["paper"].items() if key != "training"}
    method = UNIT(UNIT.Params(**preset), Task(3, 3, 256))
    assert method.parameter_counts() == {"generator": 2 * 11_140_483, "discriminator": 2 * 8_271_171}
    p = method.params
    assert (p.lr, p.beta1, p.beta2, p.weight_decay, p.decay, p.decay_every) == (
        1e-4,
        0.5,
        0.999,
        1e-4,
        "halve",
        100_000,
    )
    assert (p.lambda_gan, p.lambda_image, p.lambda_kl, p.lambda_cycle, p.lambda_cycle_kl) == (1, 10, 0.01, 10, 0.01)
    assert UNIT.presets["paper"]["training"] == {"steps": 1_000_000, "batch_size": 1}


def test_losses_are_those_of_the_code_with_unit_noise_on_every_code():
    a, b = images(seed=1), images(seed=2)
    method = unit()
    turns = Turns(method)
    torch.manual_seed(5)
    method.step(Batch(a, b), turns)
    named, discriminator = turns.means(), method.discriminator

    own = unit().generator  # as it was before its step: the generator went second
    torch.manual_seed(5)
    code = own.a.encode(a)
    for _ in range(2):  # the discriminator's turn drew noise first
        noise = [torch.randn_like(code) for _ in range(2)]
    with torch.no_grad():
        mean_a, mean_b = own.a.encode(a), own.b.encode(b)
        code_a, code_b = mean_a + noise[0], mean_b + noise[1]
        fake_a, fake_b = own.a.decode(code_b), own.b.decode(code_a)
        again_b, again_a = own.a.encode(fake_a), own.b.encode(fake_b)
        cycle_a = own.a.decode(again_a + torch.randn_like(code))
        cycle_b = own.b.decode(again_b + torch.randn_like(code))
        expected = {
            "image": 10 * (nn.l1(own.a.decode(code_a), a) + nn.l1(own.b.decode(code_b), b)),
            "kl": 0.01 * (mean_a.square().mean() + mean_b.square().mean()),
            "cycle": 10 * (nn.l1(cycle_a, a) + nn.l1(cycle_b, b)),
            "cycle_kl": 0.01 * (again_a.square().mean() + again_b.square().mean()),
            "gan": sum(
                (score - 1).square().mean()
                for fake, judge in ((fake_a, discriminator.a), (fake_b, discriminator.b))
                for score in judge(fake)
            ),
        }
    assert named.keys() == {f"generator.{term}" for term in expected} | {"discriminator.a", "discriminator.b"}
    for term, value in expected.items():
        assert named[f"generator.{term}"] == pytest.approx(float(value), rel=1e-4), term


def test_translates_the_mean_code_without_noise_in_both_directions():
    method, x = unit(), images()
    with torch.no_grad():
        there = method.translate(x, rng=torch.Generator().manual_seed(0))
        assert torch.equal(there, method.translate(x, rng=torch.Generator().manual_seed(1)))
        assert torch.equal(there, method.generator.b.decode(method.generator.a.encode(x)))
        back = method.translate_back(x, rng=torch.Generator())
        assert torch.equal(back, method.generator.a.decode(method.generator.b.encode(x)))


def test_shared_blocks_are_one_set_of_weights_in_the_middle_of_both_domains():
    apart, shared = unit(blocks=2), unit(blocks=2, shared_blocks=1)
    a, b = shared.generator.a, shared.generator.b
    assert a.encoder[-1] is b.encoder[-1]
    assert a.decoder[0] is b.decoder[0]
    assert a.encoder[-2] is not b.encoder[-2]
    assert a.decoder[1] is not b.decoder[1]
    block = sum(p.numel() for p in a.encoder[-1].parameters())
    assert shared.parameter_counts()["generator"] == apart.parameter_counts()["generator"] - 2 * block
    with torch.no_grad():
        for p in a.decoder[0].parameters():
            p.add_(1)
    again = unit(blocks=2, shared_blocks=1)
    again.load_state_dict(shared.state_dict())
    x = images()
    assert torch.equal(again.translate(x, rng=torch.Generator()), shared.translate(x, rng=torch.Generator()))


@pytest.mark.parametrize(
    ("size", "params", "problem"),
    [
        (34, {"downsamplings": 2}, "size 34 must be divisible by 4"),
        (32, {"discriminator_layers": 4, "scales": 3}, "at least 64"),
        (64, {"blocks": 2, "shared_blocks": 3}, "shared_blocks 3 must not exceed blocks 2"),
    ],
)
def test_refuses_what_cannot_work(size, params, problem):
    with pytest.raises(ConfigError, match=problem):
        UNIT.check(UNIT.Params(**params), Task(3, 3, size))

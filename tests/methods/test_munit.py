"""MUNIT: the published system at its preset `paper`, its terms, its styles and what it refuses."""

from __future__ import annotations

import pytest
import torch
from i2ibench.methods.munit import MUNIT

from i2ibench import nn
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns

SMALL = {"width": 4, "mlp_dim": 8, "blocks": 1, "discriminator_layers": 2, "scales": 2, "downsamplings": 1}


def munit(size: int = 32, **params) -> MUNIT:
    torch.manual_seed(0)
    return MUNIT(MUNIT.Params(**{**SMALL, **params}), Task(3, 3, size))


def images(n: int = 2, seed: int = 0, size: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def losses(method: MUNIT) -> dict[str, float]:
    turns = Turns(method)
    method.step(Batch(images(seed=1), images(seed=2)), turns)
    return turns.means()


def test_paper_preset_has_the_published_size_and_schedule():
    preset = {key: value for key, value in MUNIT.presets["paper"].items() if key != "training"}
    method = MUNIT(MUNIT.Params(**preset), Task(3, 3, 256))
    assert method.parameter_counts() == {"generator": 2 * 15_026_187, "discriminator": 2 * 8_271_171}
    p = method.params
    assert (p.lr, p.beta1, p.beta2, p.weight_decay, p.decay, p.decay_every) == (
        1e-4,
        0.5,
        0.999,
        1e-4,
        "halve",
        100_000,
    )
    assert (p.lambda_gan, p.lambda_image, p.lambda_style, p.lambda_content, p.lambda_cycle) == (1, 10, 1, 1, 0)
    assert MUNIT.presets["paper"]["training"] == {"steps": 1_000_000, "batch_size": 1}


def test_starts_kaiming_and_the_discriminator_at_002():
    method = munit(width=32)
    conv = method.generator.a.content_encoder[3].weight  # 4x4 from 32 channels
    assert conv.std().item() == pytest.approx((2 / (32 * 16)) ** 0.5, rel=0.05)
    assert method.discriminator.b.scales[0][2].weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_generator_losses_are_those_of_the_paper():
    method, a, b = munit(lambda_cycle=2.0), images(seed=1), images(seed=2)
    generator, discriminator = method.generator, method.discriminator
    torch.manual_seed(5)
    named = losses(method)
    method = munit(lambda_cycle=2.0)  # again as it was before its step: the generator went second
    torch.manual_seed(5)
    for _ in range(2):  # the discriminator drew its styles first
        style_a, style_b = torch.randn(2, 8, 1, 1), torch.randn(2, 8, 1, 1)
    own = method.generator
    with torch.no_grad():
        (content_a, own_a), (content_b, own_b) = own.a.encode(a), own.b.encode(b)
        fake_a, fake_b = own.a.decode(content_b, style_a), own.b.decode(content_a, style_b)
        (back_b, back_style_a), (back_a, back_style_b) = own.a.encode(fake_a), own.b.encode(fake_b)
        expected = {
            "image": 10 * (nn.l1(own.a.decode(content_a, own_a), a) + nn.l1(own.b.decode(content_b, own_b), b)),
            "style": nn.l1(back_style_a, style_a) + nn.l1(back_style_b, style_b),
            "content": nn.l1(back_a, content_a) + nn.l1(back_b, content_b),
            "cycle": 2 * (nn.l1(own.a.decode(back_a, own_a), a) + nn.l1(own.b.decode(back_b, own_b), b)),
            "gan": sum(
                (score - 1).square().mean()
                for fake, judge in ((fake_a, discriminator.a), (fake_b, discriminator.b))
                for score in judge(fake)
            ),
        }
    assert generator is not own
    assert named.keys() == {f"generator.{term}" for term in expected} | {"discriminator.a", "discriminator.b"}
    for term, value in expected.items():
        assert named[f"generator.{term}"] == pytest.approx(float(value), rel=1e-4), term


def test_no_cycle_without_its_weight():
    assert "generator.cycle" not in losses(munit())


def test_the_style_of_a_given_image_is_used_in_both_directions():
    method, rng = munit(), torch.Generator().manual_seed(0)
    generator, like = method.generator, images(2, seed=3)
    with torch.no_grad():
        there, back = method.translate_like(images(), like), method.translate_back_like(images(), like)
        for given, here, other in ((there, generator.a, generator.b), (back, generator.b, generator.a)):
            style = other.style_encoder(like)
            assert style.shape == (2, 8, 1, 1)
            torch.testing.assert_close(given, other.decode(here.content_encoder(images()), style))
        assert (there - method.translate(images(), rng=rng)).abs().max() > 1e-4


def test_an_image_with_its_own_style_comes_back_better_than_with_another():
    """The style-augmented cycle: on a generator that reconstructs, only the own style can give the image again."""
    method, rng = munit(), torch.Generator().manual_seed(0)
    a = images(4)
    optimiser = torch.optim.Adam(method.generator.parameters(), 1e-3)
    for _ in range(30):
        content, style = method.generator.a.encode(a)
        there = method.generator.b.decode(content, method.style(a))
        loss = nn.l1(method.generator.a.decode(method.generator.b.content_encoder(there), style), a)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        there = method.translate(a, rng=rng)
        own, drawn = method.translate_back_like(there, a), method.translate_back(there, rng=rng)
    assert nn.l1(own, a) < nn.l1(drawn, a)


@pytest.mark.parametrize(
    ("size", "params", "problem"),
    [
        (34, {"downsamplings": 2}, "size 34 must be divisible by 4"),
        (32, {"discriminator_layers": 4, "scales": 3}, "at least 64"),
    ],
)
def test_refuses_what_cannot_work(size, params, problem):
    with pytest.raises(ConfigError, match=problem):
        MUNIT.check(MUNIT.Params(**params), Task(3, 3, size))

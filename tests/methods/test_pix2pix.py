"""pix2pix: the published system at its paper preset, its losses by hand, dropout that stays on, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from recording import Recorder

from i2ibench import registry
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns

Pix2Pix: Any = registry.method("pix2pix")


def make(size: int = 32, **params: Any) -> Any:
    torch.manual_seed(0)
    return Pix2Pix(Pix2Pix.Params(**{"width": 8, "discriminator_layers": 2} | params), Task(3, 3, size))


def test_the_paper_preset_is_the_published_system() -> None:
    values = dict(Pix2Pix.presets["paper"])
    assert values.pop("training") == {"steps": 200 * 400, "batch_size": 1}
    params = Pix2Pix.Params(**values)
    assert (params.generator, params.norm, params.dropout, params.gan, params.lambda_l1) == (
        "unet",
        "batch",
        0.5,
        "vanilla",
        100,
    )
    assert (params.lr, params.beta1, params.beta2, params.weight_decay, params.decay) == (2e-4, 0.5, 0.999, 0, "linear")
    with torch.device("meta"):
        method = Pix2Pix(params, Task(3, 3, 256))
        assert method.parameter_counts() == {"generator": 54_413_955, "discriminator": 2_768_705}
        assert Pix2Pix(params, Task(3, 3, 128)).parameter_counts()["generator"] == 41_828_995


def test_initial_weights_are_normal() -> None:
    method = make(width=32)
    for player in (method.generator, method.discriminator):
        kernels = torch.cat([p.flatten() for name, p in player.named_parameters() if p.ndim > 1])
        assert kernels.std().item() == pytest.approx(0.02, rel=0.01)
    assert method.generator.up[0][1].bias.eq(0).all()


def test_losses_are_those_of_the_paper() -> None:
    method, a, b = make(dropout=0.0, lambda_l1=7.0), torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    recorder = Recorder()
    method.step(Batch(a, b), recorder)

    fake = method.generator(a)
    on_fake = method.discriminator(torch.cat([a, fake], 1))
    on_real = method.discriminator(torch.cat([a, b], 1))
    bce = F.binary_cross_entropy_with_logits
    expected = {
        "generator.gan": bce(on_fake, torch.ones_like(on_fake)),
        "generator.l1": 7 * (fake - b).abs().mean(),
        "discriminator.real": bce(on_real, torch.ones_like(on_real)) / 2,  # halved: D learns at half G's pace
        "discriminator.fake": bce(on_fake, torch.zeros_like(on_fake)) / 2,
    }
    torch.testing.assert_close(recorder.losses, expected)


def test_dropout_and_batch_statistics_stay_on_when_it_translates() -> None:
    assert Pix2Pix.inference == "train"
    method, a = make(size=64), torch.rand(1, 3, 64, 64)
    rng = torch.Generator()
    torch.manual_seed(0)
    first = method.translate(a, rng=rng)
    second = method.translate(a, rng=rng)
    torch.manual_seed(0)
    assert torch.equal(first, method.translate(a, rng=rng))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("generator", ["unet", "resnet", "hd"])
def test_learns_to_invert_images(generator: str) -> None:
    method = make(generator=generator, blocks=2, lr=2e-3)
    turns = Turns(method)
    rng = torch.Generator().manual_seed(0)
    for step in range(60):
        coarse = torch.rand(4, 3, 4, 4, generator=rng) * 1.6 - 0.8
        a = F.interpolate(coarse, (32, 32), mode="bilinear")
        method.step(Batch(a, -a, step / 60), turns)
    distance = (method.translate(a, rng=rng) + a).abs().mean()
    assert distance < 0.5 * (a - -a).abs().mean()  # `copy` scores the latter


def test_a_size_that_does_not_suit_is_refused() -> None:
    with pytest.raises(ConfigError, match="size 48 does not suit generator 'unet'; use a multiple of 32"):
        Pix2Pix.check(Pix2Pix.Params(), Task(3, 3, 48))
    Pix2Pix.check(Pix2Pix.Params(generator="resnet"), Task(3, 3, 48))


def test_channels_may_differ() -> None:
    method = Pix2Pix(Pix2Pix.Params(width=4, discriminator_layers=1), Task(1, 3, 32))
    method.step(Batch(torch.rand(2, 1, 32, 32), torch.rand(2, 3, 32, 32)), Turns(method))
    assert method.translate(torch.rand(1, 1, 32, 32), rng=torch.Generator()).shape == (1, 3, 32, 32)

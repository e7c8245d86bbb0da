"""BicycleGAN: the published system at its preset `paper`, its two cycles by hand, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recording import Recorder

from i2ibench import nn, registry
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns

BicycleGAN: Any = registry.method("bicyclegan")


def make(size: int = 32, **params: Any) -> Any:
    torch.manual_seed(0)
    narrow = {"width": 4, "latent": 3, "dropout": False, "discriminator_layers": 1}
    method = BicycleGAN(BicycleGAN.Params(**narrow | params), Task(3, 3, size))
    for player in (method.generator, method.discriminator):
        nn.init_weights(player, "kaiming")
    return method


def batch(n: int = 4, size: int = 32) -> Batch:
    rng = torch.Generator().manual_seed(1)
    return Batch(*(torch.rand(n, 3, size, size, generator=rng) * 2 - 1 for _ in range(2)))


def test_the_paper_preset_is_the_published_system() -> None:
    values = dict(BicycleGAN.presets["paper"])
    assert values.pop("training") == {"steps": 400 * 400 // 2, "batch_size": 2}
    p = BicycleGAN.Params(**values)
    assert (p.latent, p.dropout, p.scales, p.gan) == (8, True, 2, "lsgan")
    weights = (p.lambda_gan, p.lambda_gan_random, p.lambda_l1, p.lambda_kl, p.lambda_z)
    assert weights == (1, 1, 10, 0.01, 0.5)
    assert (p.lr, p.beta1, p.beta2, p.weight_decay, p.decay) == (2e-4, 0.5, 0.999, 0, "linear")
    with torch.device("meta"):
        method = BicycleGAN(p, Task(3, 3, 256))
    assert method.parameter_counts() == {"generator": 54_794_627 + 2_590_032, "discriminator": 2 * 3_458_978}


@pytest.mark.parametrize("n", [4, 3, 1])
def test_losses_are_those_of_the_paper_on_the_halves_of_the_batch(n: int) -> None:
    method, data, recorder = make(), batch(n), Recorder()
    torch.manual_seed(5)
    method.step(data, recorder)

    half = -(-n // 2)
    a, b, other_b = data.a[:half], data.b[:half], data.b[n - half :]
    g, e, d1, d2 = (*(method.generator[k] for k in ("decoder", "encoder")), *method.discriminator.values())
    torch.manual_seed(5)
    z = torch.randn(half, 3)
    mean, log_var = e(b)
    q = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    encoded, random = g(a, mean + q.stddev * torch.randn(half, 3)), g(a, z)

    def verdict(scores: list[torch.Tensor], wanted: float) -> torch.Tensor:
        return torch.stack([(score - wanted).square().mean() for score in scores]).sum()

    divergence = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    expected = {
        "generator.gan": verdict(d1(encoded), 1),
        "generator.gan_random": verdict(d2(random), 1),
        "generator.l1": 10 * (encoded - b).abs().mean(),
        "generator.kl": 0.01 * divergence,
        "generator.z": 0.5 * (e(random)[0] - z).abs().mean(),
        "discriminator.fake_encoded": verdict(d1(encoded), 0),
        "discriminator.real_encoded": verdict(d1(b), 1),
        "discriminator.fake_random": verdict(d2(random), 0),
        "discriminator.real_random": verdict(d2(other_b), 1),
    }
    torch.testing.assert_close(recorder.losses, expected, rtol=1e-3, atol=1e-5)


def test_reading_the_code_back_trains_the_generator_and_not_the_encoder() -> None:
    method = make(lambda_gan=0.0, lambda_gan_random=0.0, lambda_l1=0.0, lambda_kl=0.0)
    before = {name: [p.clone() for p in net.parameters()] for name, net in method.generator.items()}
    method.step(batch(), Turns(method))
    moved = {
        name: any(not torch.equal(p, q) for p, q in zip(before[name], net.parameters(), strict=True))
        for name, net in method.generator.items()
    }
    assert moved == {"decoder": True, "encoder": False}


def test_samples_follow_the_code_drawn() -> None:
    method, a = make(), batch().a
    with torch.no_grad():
        first, other = (method.translate(a, rng=torch.Generator().manual_seed(seed)) for seed in (0, 1))
        z = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
        assert torch.equal(other, method.generator.decoder(a, z))
    assert (first - other).abs().max() > 1e-3


def test_a_size_that_it_cannot_take_is_refused() -> None:
    for size in (40, 16):
        with pytest.raises(ConfigError, match=f"size {size} must be divisible by 16 and at least 48"):
            BicycleGAN.check(BicycleGAN.Params(), Task(3, 3, size))
    make(48, discriminator_layers=3).step(batch(2, 48), Recorder())

"""The image-to-image VAE: its bound, its options, and that it learns."""

from __future__ import annotations

import pytest
import torch
from i2ibench.methods.vae import VAE

from i2ibench import nn
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns


def vae(**params) -> VAE:
    torch.manual_seed(0)
    return VAE(
        VAE.Params(**{"width": 8, "latent": 4, "downsamplings": 2, "blocks": 1, "warmup": 0.0, **params}),
        Task(3, 3, 32),
    )


def images(n: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def losses(method: VAE, batch: Batch) -> dict[str, float]:
    turns = Turns(method)
    torch.manual_seed(1)
    method.step(batch, turns)
    return turns.means()


def test_the_loss_is_the_negative_bound_per_value():
    batch = Batch(images(seed=1), images(seed=2))
    named = losses(vae(likelihood="gaussian", scale=0.5), batch)
    net = vae().generator
    torch.manual_seed(1)
    mean, log_var = net.encode(batch.a)
    q = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    p = torch.distributions.Normal(net.decode(mean + q.stddev * torch.randn_like(mean)), 0.5)
    standard = torch.distributions.Normal(0.0, 1.0)
    divergence = torch.distributions.kl_divergence(q, standard.expand(mean.shape)).sum() / 4
    bound = p.log_prob(batch.b).sum() / 4 - divergence
    assert named["generator.nll"] + named["generator.kl"] == pytest.approx(-bound.item() / (3 * 32 * 32), rel=1e-4)


def test_beta_and_free_bits_weigh_the_kl_only():
    batch = Batch(images(seed=1), images(seed=2))
    plain, heavy, free = (losses(vae(**p), batch) for p in ({}, {"beta": 3.0}, {"free_bits": 500.0}))
    assert heavy["generator.kl"] == pytest.approx(3 * plain["generator.kl"], rel=1e-4)
    assert free["generator.kl"] == pytest.approx(500 * 4 * 8 * 8 / (3 * 32 * 32), rel=1e-4)  # all on the floor
    assert plain["generator.nll"] == pytest.approx(heavy["generator.nll"]) == pytest.approx(free["generator.nll"])


def test_beta_grows_over_the_warm_up():
    a, b = images(seed=1), images(seed=2)
    kls = [losses(vae(warmup=0.5), Batch(a, b, progress))["generator.kl"] for progress in (0.0, 0.25, 0.5, 0.75)]
    assert kls == pytest.approx([0, kls[2] / 2, kls[2], kls[2]], rel=1e-5)


def test_translates_the_mean_code():
    method, a = vae(), images()
    with torch.no_grad():
        output = method.translate(a, rng=torch.Generator())
        torch.testing.assert_close(output, method.generator.decode(method.generator.encode(a)[0]))


@pytest.mark.parametrize("size", [34, 4])
def test_refuses_a_size_it_cannot_halve(size):
    with pytest.raises(ConfigError, match=f"size {size} must be divisible by 4 and at least 8"):
        VAE.check(VAE.Params(), Task(3, 3, size))


def test_learns_a_small_task_better_than_copying():
    torch.manual_seed(0)
    a = nn.normal((64, 3, 2, 2), torch.zeros(1)).sign().repeat_interleave(16, 2).repeat_interleave(16, 3)
    b = -a.flip(3)  # the mirror image, inverted
    method = vae(lr=2e-3, warmup=0.5)
    turns = Turns(method)
    for i in range(100):
        rows = torch.arange(16 * i, 16 * i + 16) % 48
        method.step(Batch(a[rows], b[rows], progress=i / 100), turns)
    with torch.no_grad():
        output = method.translate(a[48:], rng=torch.Generator())
    assert nn.l1(output, b[48:]) < 0.5 * nn.l1(a[48:], b[48:])

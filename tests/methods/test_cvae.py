"""The conditional VAE: BicycleGAN's networks and weights at its preset `paper`, the bound, the two priors."""

from __future__ import annotations

import pytest
import torch
from i2ibench.methods.cvae import CVAE

from i2ibench import nn
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns


def cvae(size: int = 32, **params) -> CVAE:
    torch.manual_seed(0)
    return CVAE(CVAE.Params(**{"width": 4, "latent": 3, "dropout": False, **params}), Task(3, 3, size))


def images(n: int = 4, seed: int = 0, size: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_paper_preset_is_the_published_generator_encoder_and_weights():
    preset = {key: value for key, value in CVAE.presets["paper"].items() if key != "training"}
    method = CVAE(CVAE.Params(**preset), Task(3, 3, 256))
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in method.generator.items()}
    assert counts == {"decoder": 54_794_627, "posterior": 2_590_032}
    p = method.params
    assert (p.lambda_l1, p.lambda_kl, p.latent, p.lr, p.beta1, p.decay) == (10, 0.01, 8, 2e-4, 0.5, "linear")


@pytest.mark.parametrize("prior", ["normal", "learned"])
def test_the_loss_is_the_weighted_bound(prior):
    batch = Batch(images(seed=1), images(seed=2))
    method = cvae(prior=prior)
    turns = Turns(method)
    torch.manual_seed(1)
    method.step(batch, turns)
    named, method = turns.means(), cvae(prior=prior)  # again as it was before its step
    torch.manual_seed(1)
    mean, log_var = method.generator.posterior(batch.b)
    q = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    prior_mean, prior_log_var = method.prior(batch.a)
    p = torch.distributions.Normal(prior_mean, (0.5 * prior_log_var).exp())
    output = method.generator.decoder(batch.a, mean + q.stddev * torch.randn_like(mean))
    assert named["generator.l1"] == pytest.approx(10 * nn.l1(output, batch.b).item(), rel=1e-4)
    divergence = torch.distributions.kl_divergence(q, p).sum(1).mean()
    assert named["generator.kl"] == pytest.approx(0.01 * divergence.item(), rel=1e-3, abs=1e-9)


def test_the_learned_prior_sees_a_and_the_other_does_not():
    a = images()
    fixed = cvae().prior(a)
    assert torch.equal(torch.stack(fixed), torch.zeros(2, 4, 3))
    mean, _ = nn.init_weights(cvae(prior="learned").generator, "kaiming").prior(a)
    assert (mean[0] - mean[1]).abs().max() > 0


def test_samples_follow_the_code_drawn():
    method, a = cvae(), images()
    nn.init_weights(method.generator, "kaiming")
    with torch.no_grad():
        first, other = (method.translate(a, rng=torch.Generator().manual_seed(seed)) for seed in (0, 1))
        z = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
        assert torch.equal(other, method.generator.decoder(a, z))
    assert (first - other).abs().max() > 1e-3


def test_every_accepted_size_comes_back_at_its_size():
    for size in (32, 48, 96):
        CVAE.check(CVAE.Params(), Task(3, 3, size))
        method = cvae(size)
        method.step(Batch(images(2, 1, size), images(2, 2, size)), Turns(method))
        assert method.translate(images(2, 3, size), rng=torch.Generator()).shape == (2, 3, size, size)


@pytest.mark.parametrize("size", [16, 40])
def test_refuses_a_size_it_cannot_halve(size):
    with pytest.raises(ConfigError, match=f"size {size} must be divisible by 16 and at least 32"):
        CVAE.check(CVAE.Params(), Task(3, 3, size))

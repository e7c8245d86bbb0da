"""The variational terms against closed forms and torch.distributions, and the networks against the published sizes."""

from __future__ import annotations

import pytest
import torch
from torch import distributions
from torch.nn import functional as F

from i2ibench.nn import LatentUNet, SpatialVAE, VectorEncoder, kl, nll, normal, sample


def gaussian(seed: int, shape: tuple[int, ...] = (6, 3, 4)) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=rng), torch.randn(shape, generator=rng)


def as_distribution(mean: torch.Tensor, log_var: torch.Tensor) -> distributions.Normal:
    return distributions.Normal(mean, log_var.mul(0.5).exp())


def test_kl_is_that_of_torch_in_nats_per_image():
    posterior, prior = gaussian(0), gaussian(1)
    zero = torch.zeros_like(prior[0])
    for second, given in ((prior, prior), ((zero, zero), None)):
        expected = distributions.kl_divergence(as_distribution(*posterior), as_distribution(*second))
        torch.testing.assert_close(kl(posterior, given), expected.sum((1, 2)).mean())


def test_kl_of_a_distribution_from_itself_is_zero():
    torch.testing.assert_close(kl(gaussian(0), gaussian(0)), torch.tensor(0.0))


def test_free_bits_are_a_floor_under_each_latent_and_take_its_gradient():
    mean = torch.tensor([[0.1, 3.0]], requires_grad=True)
    cost = kl((mean, torch.zeros_like(mean)), free_bits=0.5)
    torch.testing.assert_close(cost, torch.tensor(0.5 + 4.5))
    cost.backward()
    assert mean.grad is not None
    assert mean.grad.tolist() == [[0.0, 3.0]]


@pytest.mark.parametrize("family", [distributions.Normal, distributions.Laplace])
def test_nll_with_a_given_scale_is_the_density_of_torch(family):
    output, target = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    likelihood = "gaussian" if family is distributions.Normal else "laplace"
    torch.testing.assert_close(nll(output, target, likelihood, 0.3), -family(output, 0.3).log_prob(target).mean())


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_the_learned_scale_is_the_best_one(likelihood):
    output, target = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    learned = nll(output, target, likelihood)
    best = (F.mse_loss(output, target).sqrt() if likelihood == "gaussian" else F.l1_loss(output, target)).item()
    torch.testing.assert_close(learned, nll(output, target, likelihood, best))
    for scale in (0.9 * best, 1.1 * best):
        assert nll(output, target, likelihood, scale) > learned


def test_sample_has_the_mean_and_deviation_asked_for():
    mean, log_var = torch.full((20_000,), 2.0), torch.full((20_000,), 2 * torch.log(torch.tensor(0.5)).item())
    z = sample((mean, log_var), torch.Generator().manual_seed(0))
    assert z.mean().item() == pytest.approx(2, abs=0.02)
    assert z.std().item() == pytest.approx(0.5, abs=0.02)


def test_noise_is_of_the_generator_given_and_else_of_the_global_one():
    like = torch.zeros(1, dtype=torch.float64)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, again = (normal((4,), like, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.dtype == torch.float64
    assert torch.equal(torch.get_rng_state(), state)
    normal((4,), like)
    assert not torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (lambda: LatentUNet(3, 3, width=64, latent=8, depth=8), 54_794_627),
        (lambda: LatentUNet(3, 3, width=64, latent=8, depth=7), 42_145_155),
        (lambda: VectorEncoder(3, width=64, latent=8, halvings=5), 2_590_032),
    ],
    ids=["U-Net at 256", "U-Net at 128", "encoder"],
)
def test_number_of_parameters_of_bicyclegan(network, parameters):
    assert sum(p.numel() for p in network().parameters()) == parameters


def test_the_code_reaches_every_level_of_the_unet():
    net, a, z = LatentUNet(3, 3, width=4, latent=2, depth=5), torch.randn(2, 3, 32, 32), torch.randn(2, 2)
    assert net(a, z).shape == (2, 3, 32, 32)
    for level in range(5):
        joined = []
        handle = net.downs[level].register_forward_pre_hook(lambda _, args, joined=joined: joined.append(args[0]))
        net(a, z)
        handle.remove()
        assert torch.equal(joined[0][:, -2:, 0, 0], z)


def test_spatial_vae_keeps_places_apart():
    torch.manual_seed(0)
    net, a = SpatialVAE(3, 1, width=8, latent=4, downs=2, blocks=1), torch.randn(2, 3, 32, 32)
    mean, log_var = net.encode(a)
    assert mean.shape == log_var.shape == (2, 4, 8, 8)
    output = net(a)
    assert output.shape == (2, 1, 32, 32)
    moved = mean.clone()
    moved[:, :, 0, 0] += 5  # one corner's code moves that corner most
    change = (net.decode(moved) - net.decode(mean)).abs().mean((0, 1))
    assert change[:8, :8].mean() > 2 * change[16:, 16:].mean()

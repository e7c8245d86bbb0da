"""StarGAN's networks and gradient penalty against numbers of the authors' code."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from i2ibench import nn


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("domains", "generator", "discriminator"), [(5, 8_430_528, 44_762_048), (8, 8_439_936, 44_786_624)]
)
def test_parameter_counts_are_the_authors(domains: int, generator: int, discriminator: int) -> None:
    """Of `Generator(c_dim=domains)` and `Discriminator(c_dim=domains)`, for CelebA and RaFD at 128 pixels."""
    with torch.device("meta"):
        assert count(nn.DomainGenerator(3, domains)) == generator
        assert count(nn.DomainDiscriminator(3, 128, domains)) == discriminator


def test_the_generator_with_equal_weights_gives_the_authors_numbers(formula: Any) -> None:
    """Their `Generator(8, c_dim=3, repeat_num=2)`, in training mode as they translate."""
    generator, x = formula.fill(nn.DomainGenerator(3, 3, 8, 2)), formula.picture(2, 3, 32, 32)
    output = generator(x, torch.tensor([1, 2]))
    theirs = [-0.0652, -0.11352, 0.00226, 0.08875, -0.07574, -0.14923, -0.26897, 0.0606, 0.12329, -0.04408, -0.10649, -0.09504, 0.0954, -0.12081, -0.11406, -0.21171, 0.06706, 0.21046, -0.00429, -0.05458, -0.15147, 0.06188, -0.11512, -0.03036, -0.06328, 0.04524, 0.20996]  # fmt: skip
    torch.testing.assert_close(output[0, :, ::14, ::14].flatten(), torch.tensor(theirs), rtol=0, atol=1e-4)
    assert torch.equal(generator.eval()(x, torch.tensor([1, 2])), output), "no statistics are kept"


def test_the_discriminator_with_equal_weights_gives_the_authors_numbers(formula: Any) -> None:
    """Their `Discriminator(32, 8, c_dim=3, repeat_num=4)`."""
    scores, domains = formula.fill(nn.DomainDiscriminator(3, 32, 3, 8, 4))(formula.picture(2, 3, 32, 32))
    theirs = torch.tensor([0.00645, -0.22338, 0.15599, 0.20941, -0.01063, -0.20708, 0.15349, 0.18228])
    torch.testing.assert_close(scores.flatten(), theirs, rtol=0, atol=1e-4)
    theirs = torch.tensor([[0.01828, 0.01834, 0.01761], [0.01769, 0.0174, 0.01635]])
    torch.testing.assert_close(domains, theirs, rtol=0, atol=1e-4)


def test_the_gradient_penalty_is_the_authors(formula: Any) -> None:
    """Their `Solver.gradient_penalty` at the same places between the same images."""
    critic, real = formula.fill(nn.DomainDiscriminator(3, 32, 3, 8, 4)), formula.picture(2, 3, 32, 32)
    torch.manual_seed(0)
    penalty = nn.gradient_penalty(lambda x: critic(x)[0], real, real.flip(3))
    assert penalty.item() == pytest.approx(0.89581, abs=1e-4)
    penalty.backward()
    assert all(
        p.grad is not None for name, p in critic.named_parameters() if "weight" in name and "classify" not in name
    )


def test_a_critic_of_slope_one_has_no_penalty() -> None:
    real, fake = torch.rand(4, 3, 5, 5), torch.rand(4, 3, 5, 5)
    assert nn.gradient_penalty(lambda x: x[:, 0, 0, 0], real, fake).item() == 0
    assert nn.gradient_penalty(lambda x: 3 * x[:, 0, 0, 0], real, fake).item() == pytest.approx(4)


def test_the_wasserstein_loss_is_the_score_with_its_sign() -> None:
    scores = torch.tensor([[1.0, 2.0], [-4.0, 3.0]])
    assert nn.gan_loss(scores, True, "wgan").item() == -0.5
    assert nn.gan_loss(scores, False, "wgan").item() == 0.5

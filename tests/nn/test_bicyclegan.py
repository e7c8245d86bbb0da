"""BicycleGAN's networks against numbers of the authors' code, and a network that is asked but not taught."""

from __future__ import annotations

from typing import Any

import torch

from i2ibench import nn


def close(found: torch.Tensor, theirs: list[float], within: float = 1e-4) -> None:
    torch.testing.assert_close(found.flatten(), torch.tensor(theirs), rtol=0, atol=within)


def test_parameter_counts_of_the_discriminator_are_the_authors() -> None:
    for layers, theirs in ((3, 3_458_978), (2, 830_626)):  # basic_256_multi, basic_128_multi, two scales
        assert sum(p.numel() for p in nn.MultiScalePatchGAN(3, layers=layers).parameters()) == theirs


def test_the_discriminator_with_equal_weights_gives_the_authors_numbers(formula: Any) -> None:
    """Their `D_NLayersMulti(3, 8, n_layers=2, num_D=2)`, instance norm."""
    large, small = formula.fill(nn.MultiScalePatchGAN(3, 8, layers=2))(formula.picture(1, 3, 36, 36))
    assert (large.shape, small.shape) == ((1, 1, 7, 7), (1, 1, 2, 2))
    close(large.flatten()[::9], [0.17638, 0.12358, 0.13323, 0.16669, 0.1998, 0.04954])
    close(small.flatten()[::9], [-0.55166])


def test_the_generator_with_equal_weights_gives_the_authors_numbers(formula: Any) -> None:
    """Their `define_G(3, 3, 2, 4, "unet_128", where_add="all")`, whose layers lie inside each other.

    Instance norms over four pixels magnify the rounding of float32, which theirs is in: by 0.005 on another processor.
    """
    network = nn.LatentUNet(3, 3, width=4, latent=2, depth=7)
    formula.fill(torch.nn.ModuleList([*network.downs, *reversed(network.ups)]))
    output = network.double()(formula.picture(1, 3, 128, 128).double(), torch.tensor([[0.5, -1.2]]).double())
    theirs = [0.78537, 0.70148, 0.72487, 0.10953, 0.6214, 0.6233, 0.28923, 0.70371, 0.74035, 0.92056, 0.02417, 0.20553, 0.60467, 0.15182, 0.38022, 0.51811, 0.25442, 0.37993, -0.96612, -0.59082, -0.69789, -0.39689, -0.55907, -0.67392, -0.47288, -0.69534, -0.77729]  # fmt: skip
    close(output[0, :, ::50, ::50].float(), theirs, within=5e-3)


def test_the_encoder_with_equal_weights_gives_the_authors_numbers(formula: Any) -> None:
    """Their `define_E(3, 2, 4, "resnet_128")`."""
    network = nn.VectorEncoder(3, width=4, latent=2, halvings=4)
    formula.fill(torch.nn.ModuleList([network.mean, network.log_var, network.body]))
    mean, log_var = network(formula.picture(1, 3, 128, 128))
    close(mean, [-0.68757, 0.50082])
    close(log_var, [-0.22638, 0.43156])


def test_a_frozen_network_gets_no_gradient_and_hands_it_on() -> None:
    net, x = torch.nn.Linear(3, 2), torch.randn(4, 3, requires_grad=True)
    output = nn.frozen(net, x)
    assert torch.equal(output, net(x))
    output.sum().backward()
    assert net.weight.grad is None
    assert torch.equal(x.grad, net.weight.sum(0).expand(4, 3))

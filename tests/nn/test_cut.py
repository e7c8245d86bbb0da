"""CUT's networks against numbers of the authors' code, its blurs by hand, and the contrast by its formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from i2ibench import nn
from i2ibench.nn.cut import BlurDown, BlurUp


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_are_the_authors() -> None:
    network = nn.BlurResNet(3, 3)
    assert count(network) == 11_378_179
    assert count(nn.BlurPatchGAN(3)) == 2_764_737
    assert count(nn.PatchContrast(network.feature_channels)) == 560_384


def test_the_generator_with_equal_weights_gives_the_authors_numbers(formula: Any) -> None:
    """Their `define_G(3, 3, 8, "resnet_6blocks", "instance")`."""
    network = formula.fill(nn.BlurResNet(3, 3, 8, 6))
    x = formula.picture(1, 3, 36, 36)
    theirs = [0.70336, 0.33042, 0.60303, 0.73907, 0.71206, 0.63147, 0.51577, 0.73477, 0.30119, 0.64966, 0.52833, 0.54564, 0.77469, 0.68868, 0.51611, 0.54888, 0.65547, -0.0867, -0.25989, -0.03017, -0.33318, 0.06522, -0.17016, -0.42784, -0.20867, -0.30507, -0.78649]  # fmt: skip
    torch.testing.assert_close(network(x)[0, :, ::17, ::17].flatten(), torch.tensor(theirs), rtol=0, atol=1e-4)
    features = network.features(x)
    assert [f.shape[1:] for f in features] == [(3, 42, 42), (16, 36, 36), (32, 18, 18), (32, 9, 9), (32, 9, 9)]
    assert [f.shape[1] for f in features] == network.feature_channels
    means = torch.stack([f.mean() for f in features])
    deviations = torch.stack([f.std() for f in features])
    torch.testing.assert_close(means, torch.tensor([0.0001, -0.04929, 0.0015, 0.29312, 0.29312]), rtol=0, atol=2e-5)
    torch.testing.assert_close(
        deviations, torch.tensor([0.70708, 0.65052, 0.65234, 1.04961, 2.86274]), rtol=0, atol=1e-4
    )


def test_the_discriminator_with_equal_weights_gives_the_authors_numbers(formula: Any) -> None:
    """Their `define_D(3, 8, "n_layers", 2, "instance")`."""
    scores = formula.fill(nn.BlurPatchGAN(3, 8, layers=2))(formula.picture(1, 3, 36, 36))
    assert scores.shape == (1, 1, 7, 7)
    theirs = torch.tensor([0.20545, 0.14382, 0.11642, 0.19362, 0.00037, 0.04265])
    torch.testing.assert_close(scores.flatten()[::9], theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("blur", [BlurDown(), BlurUp()])
def test_blurs_keep_a_constant_image(blur: torch.nn.Module) -> None:
    out = blur(torch.full((2, 3, 8, 8), 0.7))
    assert out.shape[2:] in ((4, 4), (16, 16))
    torch.testing.assert_close(out, torch.full_like(out, 0.7))


def test_few_blocks_have_fewer_features_and_every_place_is_compared() -> None:
    for blocks, layers in ((1, 4), (3, 5), (9, 5)):
        network = nn.BlurResNet(3, 3, 4, blocks)
        features = network.features(torch.rand(1, 3, 16, 16))
        assert len(features) == len(network.feature_channels) == layers
    contrast = nn.PatchContrast([2], width=3, patches=5)
    assert contrast([torch.rand(1, 2, 2, 2)], [torch.rand(1, 2, 2, 2)]).isfinite()  # only four places


def test_the_smallest_image_that_the_discriminator_takes() -> None:
    for layers in (1, 2, 3):
        least = 3 * 2**layers
        assert nn.BlurPatchGAN(3, 4, layers)(torch.rand(1, 3, least, least)).numel() == 1
        with pytest.raises((RuntimeError, ValueError)):
            nn.BlurPatchGAN(3, 4, layers)(torch.rand(1, 3, least - 1, least - 1))


def test_the_contrast_is_the_formula_within_each_image() -> None:
    torch.manual_seed(0)
    queries, keys = (torch.nn.functional.normalize(torch.randn(2, 5, 3), dim=2) for _ in range(2))
    total = 0.0
    for image in range(2):
        for s in range(5):
            weights = [math.exp(float(queries[image, s] @ keys[image, r]) / 0.07) for r in range(5)]
            total -= math.log(weights[s] / sum(weights))
    assert nn.patch_nce(queries, keys).item() == pytest.approx(total / 10, rel=1e-4)


def test_the_contrast_compares_equal_places_and_trains_only_through_the_output() -> None:
    torch.manual_seed(0)
    contrast = nn.PatchContrast([4, 6], width=8, patches=7, temperature=0.01)
    features = [torch.randn(2, 4, 6, 6), torch.randn(2, 6, 3, 3)]
    assert contrast(features, features) < 0.5 < contrast([f.flip(2) for f in features], features)
    output, source = ([f.clone().requires_grad_() for f in features] for _ in range(2))
    contrast(output, source).backward()
    assert all(f.grad is not None and f.grad.any() for f in output)
    assert all(f.grad is None for f in source)

"""DiscoGAN's networks against numbers of the authors' code, and feature matching by hand."""

from __future__ import annotations

from typing import Any

import torch

from i2ibench import nn


def test_parameter_counts_are_the_authors() -> None:
    assert sum(p.numel() for p in nn.EncoderDecoder(3, 3).parameters()) == 5_513_856
    assert sum(p.numel() for p in nn.FeatureDiscriminator(3).parameters()) == 2_765_568


def test_the_generator_with_equal_weights_gives_the_authors_numbers(formula: Any) -> None:
    """Their `Generator()` with 8 channels for 64, in training mode."""
    output = formula.fill(nn.EncoderDecoder(3, 3, 8))((formula.picture(2, 3, 64, 64) + 1) / 2)
    theirs = [0.55854, 0.52046, 0.53864, 0.52208, 0.58584, 0.51572, 0.50135, 0.53632, 0.505, 0.49157, 0.46944, 0.44907, 0.55532, 0.56443, 0.45453, 0.54537, 0.46468, 0.53936, 0.44764, 0.50221, 0.49916, 0.43707, 0.36844, 0.51806, 0.46499, 0.48983, 0.46582]  # fmt: skip
    torch.testing.assert_close(output[0, :, ::30, ::30].flatten(), torch.tensor(theirs), rtol=0, atol=1e-4)


def test_the_discriminator_with_equal_weights_gives_the_authors_numbers(formula: Any) -> None:
    """Their `Discriminator()` with 8 channels for 64, in training mode; it ends in a sigmoid, ours before it."""
    scores, features = formula.fill(nn.FeatureDiscriminator(3, 8))((formula.picture(2, 3, 64, 64) + 1) / 2)
    assert scores.shape == (2, 1, 1, 1)
    torch.testing.assert_close(scores.sigmoid().flatten(), torch.tensor([0.44923, 0.51118]), rtol=0, atol=1e-4)
    assert [f.shape[1:] for f in features] == [(16, 16, 16), (32, 8, 8), (64, 4, 4)]
    means, deviations = (torch.stack([getattr(f, name)() for f in features]) for name in ("mean", "std"))
    torch.testing.assert_close(means, torch.tensor([0.20697, 0.25863, 0.25293]), rtol=0, atol=1e-4)
    torch.testing.assert_close(deviations, torch.tensor([0.47455, 0.4886, 0.49044]), rtol=0, atol=1e-4)


def test_larger_images_get_a_map_of_scores() -> None:
    scores, _ = nn.FeatureDiscriminator(3, 4)(torch.rand(2, 3, 96, 96))
    assert scores.shape == (2, 1, 3, 3)


def test_feature_matching_compares_means_over_the_batch_and_sums_the_layers() -> None:
    real = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0], [1.0]])]  # means 2, 3 and 1
    fake = [torch.tensor([[0.0, 3.0], [2.0, 3.0]]), torch.tensor([[4.0], [2.0]])]  # means 1, 3 and 3
    assert nn.feature_matching(real, fake).item() == (1 + 0) / 2 + 4
    assert nn.feature_matching(real, [f.flip(0) for f in real]).item() == 0

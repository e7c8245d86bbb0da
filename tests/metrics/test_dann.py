"""DANN: the paper's schedule and reversed gradient; without them it is the network that adapts to nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from i2ibench.metrics import adaptation, dann

STEPS = 60


def test_the_strength_is_that_of_the_paper() -> None:
    assert dann.strength(0) == 0
    assert dann.strength(0.1) == pytest.approx(np.tanh(0.5)), "2 / (1 + exp(-x)) - 1 is tanh(x / 2)"
    assert dann.strength(1) == pytest.approx(0.99990920, abs=1e-8)


def test_a_reversed_gradient_is_that_of_the_identity_times_minus_the_strength() -> None:
    x = torch.randn(3, 4, requires_grad=True, generator=torch.Generator().manual_seed(0))
    y = dann.Reversal.apply(x, 0.3)
    assert torch.equal(x, y)
    (y**2).sum().backward()
    torch.testing.assert_close(x.grad, -0.3 * 2 * x.detach())


def test_features_gain_what_the_domain_classifier_loses() -> None:
    """Equation 13 of the paper: the features' gradient is that of the labels minus strength x that of the domains."""
    torch.manual_seed(0)
    network = adaptation.classifier(3).double()
    loss = dann.Loss(network).double()
    source, target = torch.randn(2, 4, 3, 32, 32).double()
    labels = torch.tensor([0, 1, 2, 0])
    weight = network[0].weight

    def gradient(progress: float) -> torch.Tensor:
        return torch.autograd.grad(loss(source, labels, target, progress), weight)[0]

    domain = loss.domain(loss.features(torch.cat([source, target])))[:, 0]
    truth = torch.tensor([0.0] * 4 + [1.0] * 4).double()
    of_domain = torch.autograd.grad(torch.nn.functional.binary_cross_entropy_with_logits(domain, truth), weight)[0]
    torch.testing.assert_close(gradient(0.0) - gradient(0.2), dann.strength(0.2) * of_domain)
    assert of_domain.abs().max() > 1e-4


def shifted(count: int, seed: int, tint: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright upper or lower half (the class), under a tint that only tells the domain."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    images = rng.integers(0, 50, (count, 16, 16, 3))
    for image, label in zip(images, labels, strict=True):
        image[8 * label : 8 * label + 8] += 60
    images[..., 2] += tint
    return images.astype(np.uint8), labels


def test_without_a_reversed_gradient_it_is_the_source_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    (a, of_a), (b, _), (test, of_test) = shifted(80, 0, 0), shifted(80, 1, 140), shifted(60, 2, 140)
    arguments = a, of_a, test, of_test, 2, 4, "cpu"
    monkeypatch.setattr(dann, "strength", lambda progress: 0.0)
    np.testing.assert_array_equal(adaptation.recognised(*arguments), adaptation.recognised(*arguments, b))


def test_it_reads_shifted_images_and_never_sees_their_labels() -> None:
    (a, of_a), (b, _), (test, of_test) = shifted(80, 0, 0), shifted(80, 1, 140), shifted(60, 2, 140)
    found = adaptation.recognised(a, of_a, test, of_test, 2, STEPS, "cpu", b)
    assert found.mean() > 0.9
    np.testing.assert_array_equal(found, adaptation.recognised(a, of_a, test, of_test, 2, STEPS, "cpu", b))

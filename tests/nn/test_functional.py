"""cat, group, calls and the losses: what they compute, against torch and by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from i2ibench import nn


def test_cat_joins_channels() -> None:
    a, b = torch.zeros(2, 3, 4, 4), torch.ones(2, 1, 4, 4)
    assert torch.equal(nn.cat(a, b)[:, 3:], b)


def test_group_is_one_module_of_several() -> None:
    pair = nn.group(ab=torch.nn.Linear(2, 1), ba=torch.nn.Linear(1, 2))
    assert pair.ab(torch.zeros(1, 2)).shape == (1, 1)
    assert set(pair.state_dict()) == {"ab.weight", "ab.bias", "ba.weight", "ba.bias"}


class Counting(torch.nn.Module):
    """Counts its calls; returns a tensor and a list, as multi-scale discriminators do."""

    def __init__(self, *layers: torch.nn.Module) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(*layers)
        self.called = 0

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        self.called += 1
        y = self.body(x)
        return y, [y, F.avg_pool2d(y, 2)]


@pytest.mark.parametrize(
    ("norm", "training", "passes"),
    [(torch.nn.InstanceNorm2d, True, 1), (torch.nn.BatchNorm2d, True, 2), (torch.nn.BatchNorm2d, False, 1)],
)
def test_calls_equal_separate_calls(norm: type[torch.nn.Module], training: bool, passes: int) -> None:
    net = Counting(torch.nn.Conv2d(3, 4, 3), norm(4)).train(training)
    x, y = torch.randn(2, 3, 8, 8), 5 + torch.randn(3, 3, 8, 8)
    expected = net(x), net(y)
    net.called = 0
    results = nn.calls(net, x, y)
    assert net.called == passes
    torch.testing.assert_close(results, expected)


def test_vanilla_is_cross_entropy_on_logits() -> None:
    scores = torch.tensor([-200.0, -1.0, 0.0, 3.0, 200.0])
    for real in (True, False):
        expected = F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(real)))
        torch.testing.assert_close(nn.gan_loss(scores, real, "vanilla"), expected)
    assert nn.gan_loss(torch.zeros(3), True, "vanilla").item() == pytest.approx(math.log(2))


def test_lsgan_is_the_squared_distance_to_the_label() -> None:
    scores = torch.tensor([0.0, 1.0, 3.0])
    assert nn.gan_loss(scores, True, "lsgan").item() == pytest.approx((1 + 0 + 4) / 3)
    assert nn.gan_loss(scores, False, "lsgan").item() == pytest.approx((0 + 1 + 9) / 3)


def test_scales_are_summed() -> None:
    one, two = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 2, 2)
    total = nn.gan_loss([one, two], True, "lsgan")
    torch.testing.assert_close(total, nn.gan_loss(one, True, "lsgan") + nn.gan_loss(two, True, "lsgan"))


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="available: lsgan, vanilla, wgan"):
        nn.gan_loss(torch.zeros(1), True, "hinge")  # type: ignore[arg-type]


def test_distances() -> None:
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 5.0])
    assert nn.l1(x, y).item() == 2.0
    assert nn.mse(x, y).item() == 5.0


@pytest.mark.parametrize(
    ("kind", "gain", "deviation"),
    [("normal", 0.02, 0.02), ("kaiming", 0.02, math.sqrt(2 / (64 * 9))), ("xavier", 2.0, 2 * math.sqrt(2 / (128 * 9)))],
)
def test_initial_weights(kind: Any, gain: float, deviation: float) -> None:
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(2000)
    net: Any = torch.nn.Sequential(torch.nn.Conv2d(64, 64, 3), norm)
    assert nn.init_weights(net, kind, gain) is net
    assert net[0].weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert not net[0].bias.any()
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.002)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_initialisation_leaves_other_parameters_alone() -> None:
    block = nn.init_weights(nn.SelfAttention(8))
    assert block.gamma.item() == 0
    with pytest.raises(ValueError, match="available: kaiming"):
        nn.init_weights(block, "he")  # type: ignore[arg-type]

"""DiffAugment against its authors' formulas, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from i2ibench.nn.augment import color, cutout, diffaugment, translation

POLICY = ("color", "translation", "cutout")


def seeded(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    torch.manual_seed(3)
    return function(x)


@pytest.mark.parametrize("function", [color, translation, cutout, partial(diffaugment, policy=POLICY)])
def test_augmentation_is_differentiable_and_keeps_the_shape(function: Callable[[Tensor], Tensor]) -> None:
    x = torch.rand(2, 3, 8, 6, dtype=torch.float64, requires_grad=True)
    assert function(x).shape == x.shape
    assert torch.autograd.gradcheck(partial(seeded, function), x)


def test_color_by_the_authors_formula() -> None:
    x = torch.rand(4, 3, 8, 8)
    torch.manual_seed(3)
    brightness, saturation, contrast = torch.rand(3, 4, 1, 1, 1, 1)
    for image, ours, b, s, c in zip(x, seeded(color, x), brightness, saturation, contrast, strict=True):
        y = image + (b.item() - 0.5)
        y = (y - y.mean(0, keepdim=True)) * (s.item() * 2) + y.mean(0, keepdim=True)
        y = (y - y.mean()) * (c.item() + 0.5) + y.mean()
        torch.testing.assert_close(ours, y)


def test_translation_moves_each_image_by_up_to_an_eighth() -> None:
    x = torch.rand(40, 3, 16, 16) + 1
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    found = set()
    for i, moved in enumerate(translation(x)):
        shifts = [
            (dy, dx) for dy in range(5) for dx in range(5)
            if torch.equal(moved, padded[i, :, dy : dy + 16, dx : dx + 16])
        ]  # fmt: skip
        assert len(shifts) == 1
        found |= set(shifts)
    assert len(found) > 10
    assert {0, 4} <= {dy for dy, _ in found}, "as far as it may, both ways"


def test_cutout_sets_one_rectangle_to_grey() -> None:
    x = torch.rand(30, 3, 16, 16) + 1
    for image, ours in zip(x, cutout(x), strict=True):
        gone = (ours == 0).all(0)
        rows, columns = gone.any(1), gone.any(0)
        assert torch.equal(gone, rows[:, None] & columns[None, :])
        assert 4 <= rows.sum() <= 8
        assert 4 <= columns.sum() <= 8
        assert torch.equal(ours, torch.where(gone, torch.zeros(()), image))


def test_a_condition_and_its_image_are_augmented_alike() -> None:
    x = torch.rand(5, 3, 16, 16)
    first, second = diffaugment(torch.cat([x, x], 1), POLICY).split(3, 1)
    torch.testing.assert_close(first, second)
    assert not torch.allclose(first, x)

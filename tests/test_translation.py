"""Several styles of one image, the style of another, and the way back: shapes, seeds and which image goes where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from i2ibench.data.ragged import Ragged
from i2ibench.errors import TrialError
from i2ibench.method import Method, Task
from i2ibench.translation import TRANSLATE_BATCH, reconstruct, translate, translate_like, translate_styles

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(60, 196, (TRANSLATE_BATCH + 5, 4, 4, 3), np.uint8)


class Shifts(Method):
    """There an image gets brighter by 0.1 and a drawn number, and back darker by 0.1."""

    multimodal = True
    bidirectional = True

    def translate(self, a: torch.Tensor, *, rng: torch.Generator) -> torch.Tensor:
        return a + 0.1 + 0.3 * torch.rand(len(a), 1, 1, 1, generator=rng)

    def translate_back(self, b: torch.Tensor, *, rng: torch.Generator) -> torch.Tensor:
        return b - 0.1


class Means(Shifts):
    """The style of an image is its mean; A is told from B by its sign."""

    exemplars = True

    def translate_like(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - a.mean(dim=(1, 2, 3), keepdim=True) + b.mean(dim=(1, 2, 3), keepdim=True)).clamp(-1, 1)

    def translate_back_like(self, b: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return self.translate_like(b, a)


def make(kind: type[Method]) -> Method:
    return kind(kind.Params(), Task(3, 3, 4))


def test_styles_are_n_translations_of_each_image_in_order() -> None:
    styles = translate_styles(make(Shifts), IMAGES, 3, 7, CPU)
    assert styles.shape == (len(IMAGES), 3, 4, 4, 3)
    shift = styles.astype(int) - IMAGES[:, None]
    assert (np.ptp(shift, axis=(2, 3, 4)) <= 1).all(), "each is its own image, shifted"
    assert 12 <= shift.min() <= 16
    assert 46 <= shift.max() <= 51
    assert (np.ptp(shift.mean(axis=(2, 3, 4)), axis=1) > 0).mean() > 0.9, "by numbers of their own"


def test_styles_come_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = translate_styles(make(Shifts), IMAGES, 2, 7, CPU)
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, translate_styles(make(Shifts), IMAGES, 2, 7, CPU))
    assert (first != translate_styles(make(Shifts), IMAGES, 2, 8, CPU)).any()
    np.testing.assert_array_equal(
        translate_styles(make(Shifts), IMAGES, 1, 7, CPU)[:, 0], translate(make(Shifts), IMAGES, 7, CPU)
    )


def test_styles_of_the_way_back() -> None:
    styles = translate_styles(make(Shifts), IMAGES, 2, 7, CPU, backward=True)
    assert np.abs(styles.astype(int) - IMAGES[:, None] + 12.75).max() <= 1


@pytest.mark.parametrize("backward", [False, True])
def test_each_image_gets_the_style_of_its_own_reference_or_all_of_one(backward: bool) -> None:
    references = np.random.default_rng(1).integers(90, 166, IMAGES.shape, np.uint8)
    found = translate_like(make(Means), IMAGES, references, CPU, backward=backward)
    means = found.mean(axis=(1, 2, 3))
    assert np.abs(means - references.mean(axis=(1, 2, 3))).max() < 2
    one = translate_like(make(Means), IMAGES, references[:1], CPU, backward=backward)
    assert np.abs(one.mean(axis=(1, 2, 3)) - references[0].mean()).max() < 2


@pytest.mark.parametrize("backward", [False, True])
def test_there_and_back(backward: bool) -> None:
    method = make(Shifts)
    outputs = translate(method, IMAGES, 0, CPU, backward=backward)
    back = reconstruct(method, IMAGES, outputs, 0, CPU, backward=backward)
    np.testing.assert_array_equal(back, translate(method, outputs, 0, CPU, backward=not backward))
    assert np.abs(back.astype(int) - IMAGES).max() > 1, "the drawn number is lost"
    own = reconstruct(make(Means), IMAGES, outputs, 0, CPU, backward=backward)
    assert np.abs(own.astype(int) - IMAGES).max() <= 2, "but not by who is told the image's style"


def test_nothing_that_is_no_image_passes() -> None:
    class Wild(Means):
        def translate_like(self, a: Any, b: Any) -> Any:
            return a * 3

    with pytest.raises(TrialError, match=r"images lie in \[-1, 1\]"):
        translate_like(make(Wild), IMAGES * 0 + 255, IMAGES, CPU)


class Blurs(Method):
    """A network that takes any even size, and an output hangs on five pixels around."""

    def build(self, task: Task) -> None:
        self.blur = torch.nn.Sequential(torch.nn.AvgPool2d(2), torch.nn.Upsample(scale_factor=2))

    def translate(self, a: torch.Tensor, *, rng: torch.Generator) -> torch.Tensor:
        return self.blur(a)


class Inverts(Method):
    """A network that takes its own size alone."""

    def translate(self, a: torch.Tensor, *, rng: torch.Generator) -> torch.Tensor:
        if a.shape[-2:] != (8, 8):
            raise RuntimeError("shape mismatch")
        return -a


@pytest.mark.parametrize("method_class", [Blurs, Inverts, Means])
def test_images_of_several_sizes_come_back_at_theirs(method_class: type[Method]) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(60, 196, (height, width, 3), np.uint8) for height, width in ((8, 8), (13, 30), (5, 9))]
    method = method_class(method_class.Params(), Task(3, 3, 8))
    found = translate(method, Ragged.of(images), 3, CPU)
    assert isinstance(found, Ragged)
    assert [image.shape for image in found] == [image.shape for image in images]
    for image, output in zip(images, found, strict=True):
        alone = translate(method, Ragged.of([image]), 3, CPU)[0]
        assert np.array_equal(output, alone), "an output hangs on its own image and the seed"
    if method_class is Inverts:
        assert all(np.array_equal(output, 255 - image) for image, output in zip(images, found, strict=True))
    if method_class is Blurs:
        expected = translate(method, images[1][None, :12], 3, CPU)[0]
        assert np.array_equal(found[1][:12], expected), "whole, not in tiles: only the border is continued"


def test_a_method_that_fails_on_its_own_size_says_so() -> None:
    method = Inverts(Inverts.Params(), Task(3, 3, 16))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        translate(method, Ragged.of([np.zeros((16, 20, 3), np.uint8)]), 0, CPU)

"""Colour jitter is torchvision's, drawn for each image from seed and step, alike for pairs, and off by default."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as reference  # type: ignore[import-untyped]

from i2ibench.data.batches import Batches
from i2ibench.data.folder import Folder
from i2ibench.data.images import Images
from i2ibench.data.jitter import factors, jittered
from i2ibench.data.source import SourceParams
from i2ibench.errors import DataError

SIZE = 8


def pictures(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, SIZE, SIZE, 3), np.uint8)


def batches(pairing: str, jitter: float | None, seed: int = 0, *, alike: bool = False) -> Batches:
    a, b = pictures(12, 0), pictures(12, 0 if alike else 1)
    images = Images(a, b, a, b, tuple("abcdefghijkl"), True, "0123456789abcdef" * 4)
    return Batches(images, pairing, 6, seed, SourceParams(size=SIZE, jitter=jitter))


def test_each_image_is_changed_as_torchvision_does() -> None:
    images = torch.rand(5, 3, SIZE, SIZE)
    kept = factors(3, 1, 0, 5, 0.8)
    changed = jittered(2 * images - 1, torch.from_numpy(kept))
    for image, (brightness, contrast, saturation), found in zip(images, kept.tolist(), changed, strict=True):
        expected = reference.adjust_brightness(image, brightness)
        expected = reference.adjust_saturation(reference.adjust_contrast(expected, contrast), saturation)
        torch.testing.assert_close(found, 2 * expected - 1, rtol=0, atol=1e-5)


def test_factors_fill_their_range_and_hang_on_seed_step_and_stream() -> None:
    drawn = factors(0, 0, 0, 2000, 0.3)
    assert drawn.min() >= 0.7
    assert drawn.max() <= 1.3
    assert np.abs(drawn.mean(axis=0) - 1).max() < 0.02
    others = (factors(*keys, 2000, 0.3) for keys in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    assert all((other != drawn).mean() > 0.99 for other in others)
    assert np.array_equal(factors(0, 0, 0, 2000, 0.3), drawn)


def test_off_by_default_and_of_training_images_as_they_are() -> None:
    plain, changed = batches("paired", None), batches("paired", 0.4)
    assert not torch.equal(plain.at(2)[0], changed.at(2)[0])
    assert torch.equal(plain.pixels(2)[0], changed.pixels(2)[0]), "crops and order are the same"


def test_the_parts_of_a_batch_are_those_of_the_whole_and_stay_in_range() -> None:
    whole, cut = batches("unpaired", 0.9).at(4), batches("unpaired", 0.9)
    for expected, first, second in zip(whole, cut.at(4, slice(0, 2)), cut.at(4, slice(2, 6)), strict=True):
        torch.testing.assert_close(expected, torch.cat([first, second]), rtol=0, atol=1e-6)
        assert expected.min() >= -1
        assert expected.max() <= 1


@pytest.mark.parametrize(("pairing", "same"), [("paired", True), ("unpaired", False)])
def test_the_images_of_a_pair_change_alike(pairing: str, same: bool) -> None:
    a, b = batches(pairing, 0.5, alike=True).at(1)
    assert torch.equal(a, b) == same


def test_label_maps_keep_their_colours(tmp_path) -> None:
    keys = {"path": str(tmp_path), "layout": "side-by-side", "palette": {"wall": "#ff0000", "sky": "#0000ff"}}
    with pytest.raises(DataError, match="jitter would change the colours of label maps"):
        Folder(Folder.Params(**keys, jitter=0.1))

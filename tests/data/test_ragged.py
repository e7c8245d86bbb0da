"""Images of several sizes in one array are those that went in, one by one and in slices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2ibench.data.ragged import Ragged

SIZES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6)


def drawn(sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for height, width in sizes]


@given(SIZES, st.integers(-7, 7), st.integers(-7, 7))
def test_what_comes_out_is_what_went_in(sizes: list[tuple[int, int]], start: int, stop: int) -> None:
    images = drawn(sizes)
    found = Ragged.of(images)
    assert len(found) == len(images)
    assert found.nbytes == sum(image.nbytes for image in images)
    for view in (found, Ragged(found.pixels, found.shapes)):
        assert all(np.array_equal(one, other) for one, other in zip(view, images, strict=True))
        assert np.array_equal(view[-1], images[-1])
    part = found[start:stop]
    assert len(part) == len(images[start:stop])
    assert all(np.array_equal(one, other) for one, other in zip(part, images[start:stop], strict=True))


def test_images_are_views_that_can_be_filled() -> None:
    room = Ragged(np.zeros(3 * (2 * 3 + 4 * 1), np.uint8), np.array([[2, 3], [4, 1]]))
    room[1][...] = 7
    assert room[0].max() == 0
    assert room.pixels.sum() == 7 * 12


def test_pixels_that_are_missing_are_missed() -> None:
    with pytest.raises(ValueError, match="11 bytes of pixels for images of 12"):
        Ragged(np.zeros(11, np.uint8), np.array([[2, 2]]))


def test_all_at_one_size() -> None:
    plain = [np.full((height, width, 3), 9, np.uint8) for height, width in ((3, 8), (20, 5))]
    squashed = Ragged.of(plain).squashed(4)
    assert squashed.shape == (2, 4, 4, 3)
    assert (squashed == 9).all()

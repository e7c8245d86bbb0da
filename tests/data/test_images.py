"""Which of some images are taken, and which part of each."""

import numpy as np
import pytest

from i2ibench.data.images import centre, evenly_spaced


@pytest.mark.parametrize(("count", "wanted"), [(5, 100), (100, 100), (281, 100), (7, 3), (2, 1), (60_000, 2000)])
def test_images_are_taken_evenly_spaced(count: int, wanted: int) -> None:
    chosen = evenly_spaced(count, wanted)
    assert len(chosen) == len(set(chosen.tolist())) == min(count, wanted)
    assert chosen[0] == 0
    assert chosen[-1] == count - 1 or wanted == 1
    assert np.ptp(np.diff(chosen)) <= 1 if len(chosen) > 1 else True


def test_none_of_none() -> None:
    assert evenly_spaced(0, 3).tolist() == []


@pytest.mark.parametrize(("kept", "size", "first"), [(4, 4, 0), (7, 4, 1), (8, 4, 2)])
def test_the_centre_of_images_that_are_kept_larger(kept: int, size: int, first: int) -> None:
    images = np.broadcast_to(np.arange(kept)[None, :, None, None], (2, kept, kept, 3))
    assert centre(images, size).shape == (2, size, size, 3)
    assert centre(images, size)[0, 0, 0, 0] == first

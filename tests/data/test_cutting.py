"""Images cut out of a memory map are those that Pillow cuts, and memory in use is never lent a second time."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms.functional import to_tensor

from i2ibench.data import cutting
from i2ibench.data.cutting import ARRAYS, Crops, Cuts, Room

LOAD = 11


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 5),
    size=st.integers(1, LOAD),
    channels_last=st.booleans(),
    cached=st.sampled_from([1, 3 * 2 * LOAD**2, cutting.CACHED]),
    threads=st.integers(1, 3),
)
def test_images_are_those_that_pillow_cuts_and_mirrors(
    seed: int, count: int, size: int, channels_last: bool, cached: int, threads: int
) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, LOAD, LOAD, 3), dtype=np.uint8)
    images.flags.writeable = False  # as of a memory map
    top, left = rng.integers(0, LOAD - size + 1, (2, count))
    crops = Crops(top, left, rng.random(count) < 0.5)
    expected = []
    for image, y, x, mirrored in zip(images, top, left, crops.mirrored, strict=True):
        by_pillow = Image.fromarray(image).crop((x, y, x + size, y + size))
        expected.append(to_tensor(ImageOps.mirror(by_pillow) if mirrored else by_pillow))
    room, whole = Room(), torch.stack(expected) if expected else torch.empty(0, 3, size, size)
    cuts = Cuts.of(list(images), size, crops)
    pixels = cuts.bytes(room)
    assert torch.equal(pixels, (255 * whole).round().byte())
    with using(threads), pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "CACHED", cached)
        floats = cuts.floats(room, channels_last=channels_last)
    assert torch.equal(floats, pixels.float() / 127.5 - 1)
    assert floats.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    rows, columns = crops.indices(size)
    gathered = images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    np.testing.assert_array_equal(gathered, pixels.permute(0, 2, 3, 1).numpy())


@contextmanager
def using(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    yield
    torch.set_num_threads(before)


def test_images_are_kept_whole_without_crops() -> None:
    images = np.arange(2 * 5 * 5 * 3, dtype=np.uint8).reshape(2, 5, 5, 3)
    pixels = Cuts.of(list(images), 5, None).bytes(Room())
    np.testing.assert_array_equal(pixels.permute(0, 2, 3, 1).numpy(), images)


@pytest.mark.parametrize("channels_last", [False, True])
def test_many_threads_and_one_make_the_same_large_batch(channels_last: bool) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 286, 286, 3), dtype=np.uint8)
    crops = Crops(np.arange(9), np.arange(9)[::-1] + 20, np.arange(9) % 2 == 0)
    cuts = Cuts.of(list(images), 256, crops)
    expected = cuts.bytes(Room()).float() / 127.5 - 1
    room = Room()
    for threads in (1, 2, 8, 2):
        with using(threads):
            assert torch.equal(cuts.floats(room, channels_last=channels_last), expected)


WAYS_TO_HOLD: dict[str, Callable[[torch.Tensor], Any]] = {
    "the tensor": lambda x: x,
    "a view": lambda x: x[1:, 0],
    "an array of numpy's": lambda x: x.numpy()[1:],
    "the graph of a loss": lambda x: (torch.ones((), requires_grad=True) * x).sum(),
}


@pytest.mark.parametrize("hold", WAYS_TO_HOLD.values(), ids=WAYS_TO_HOLD)
def test_memory_is_used_again_only_once_nobody_holds_it(hold: Callable[[torch.Tensor], Any]) -> None:
    room = Room()
    first = room.lend((3, 2, 5), torch.float32)
    where = first.data_ptr()
    held = hold(first)
    del first
    assert room.lend((3, 2, 5), torch.float32).data_ptr() != where
    del held
    gc.collect()
    again = room.lend((3, 2, 5), torch.float32), room.lend((3, 2, 5), torch.float32)
    assert where in {x.data_ptr() for x in again}
    assert again[0].data_ptr() != again[1].data_ptr()


def test_memory_of_another_shape_or_type_is_not_lent() -> None:
    room = Room()
    for shape, dtype in (((4, 6), torch.float32), ((6, 4), torch.float32), ((6, 4), torch.uint8)):
        x = room.lend(shape, dtype)
        assert (x.shape, x.dtype, x.data_ptr() % 64) == (shape, dtype, 0)


def test_many_that_are_held_do_not_share_memory_and_few_are_remembered() -> None:
    room = Room()
    held = [room.lend((7,), torch.uint8) for _ in range(3 * ARRAYS)]
    assert len({x.data_ptr() for x in held}) == len(held)
    assert len(room._arrays) == ARRAYS

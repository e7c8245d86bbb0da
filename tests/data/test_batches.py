"""Batches are a pure function of (seed, step), visit every image once per epoch, and keep or break pairs as asked."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2ibench.data.batches import Batches, pools, to_float, to_uint8
from i2ibench.data.images import Images
from i2ibench.data.source import SourceParams
from i2ibench.errors import DataError

SIZE = 8


def numbered(n_a, n_b, *, paired, size=SIZE, fingerprint="0123456789abcdef" * 4):
    """Images whose pixel (y, x) of image i holds (i, y, x): pixels tell where they come from. In B i starts at 100."""

    def make(n, offset):
        i, y, x = np.meshgrid(np.arange(n) + offset, np.arange(size), np.arange(size), indexing="ij")
        return np.stack([i, y, x], axis=-1).astype(np.uint8)

    a, b = make(n_a, 0), make(n_b, 100)
    return Images(a, b, a, b, tuple(map(str, range(n_a))), paired, fingerprint)


sizes = st.integers(2, 40)
seeds = st.integers(0, 2**32)


@given(n=sizes, batch_size=st.integers(1, 50), seed=seeds, paired=st.booleans())
def test_every_epoch_visits_every_image_once(n, batch_size, seed, paired):
    images = numbered(n, n, paired=paired)
    batches = Batches(images, "paired" if paired else "unpaired", batch_size, seed, SourceParams(size=SIZE))
    steps = -(-3 * n // batch_size)
    stream = np.concatenate([batches.indices(step)[0] for step in range(steps)])
    for epoch in range(3):
        assert sorted(stream[epoch * n : (epoch + 1) * n]) == list(range(n))


@given(n=sizes, seed=seeds, steps=st.lists(st.integers(0, 1000), min_size=1, max_size=6))
def test_a_step_does_not_depend_on_earlier_calls(n, seed, steps):
    params = SourceParams(size=SIZE - 2, load_size=SIZE, flip=True)
    images = numbered(n, n + 1, paired=False)
    one = Batches(images, "unpaired", 4, seed, params)
    for step in steps:
        fresh = Batches(images, "unpaired", 4, seed, params)
        for x, y in zip(one.at(step), fresh.at(step), strict=True):
            assert torch.equal(x, y)


@given(
    n=sizes, seed=seeds, paired=st.booleans(), crop=st.booleans(), cuts=st.tuples(st.integers(0, 7), st.integers(0, 7))
)
def test_the_parts_of_a_batch_make_up_the_whole(n, seed, paired, crop, cuts):
    params = SourceParams(size=SIZE - 2, load_size=SIZE, flip=True) if crop else SourceParams(size=SIZE)
    batches = Batches(numbered(n, n, paired=paired), "paired" if paired else "unpaired", 7, seed, params)
    first, second = sorted(cuts)
    parts = [batches.at(5, part) for part in (slice(0, first), slice(first, second), slice(second, 7))]
    for domain, whole in enumerate(batches.at(5)):
        assert torch.equal(torch.cat([part[domain] for part in parts]), whole)


@given(n=sizes, fingerprint=st.text("0123456789abcdef", min_size=64, max_size=64))
def test_unpaired_halves_of_paired_data_are_disjoint_and_cover_all(n, fingerprint):
    a, b = pools(numbered(n, n, paired=True, fingerprint=fingerprint), "unpaired")
    assert not set(a) & set(b)
    assert sorted([*a, *b]) == list(range(n))
    assert abs(len(a) - len(b)) <= 1


def test_the_halves_are_the_same_for_all_seeds():
    images = numbered(40, 40, paired=True)
    params = SourceParams(size=SIZE)
    seen = [
        {int(i) for s in range(20) for i in Batches(images, "unpaired", 2, seed, params).indices(s)[0]}
        for seed in (0, 1)
    ]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 20


def test_order_depends_on_the_seed_and_the_epoch():
    images, params = numbered(40, 40, paired=True), SourceParams(size=SIZE)
    first, second = (Batches(images, "paired", 40, seed, params).indices(0)[0].tolist() for seed in (0, 1))
    later = Batches(images, "paired", 40, 0, params).indices(1)[0].tolist()
    assert first != second
    assert first != later


@given(seed=seeds, step=st.integers(0, 100), flip=st.booleans())
def test_pairs_are_cropped_and_flipped_alike(seed, step, flip):
    params = SourceParams(size=SIZE - 3, load_size=SIZE, flip=flip)
    a, b = (to_uint8(x).astype(int) for x in Batches(numbered(9, 9, paired=True), "paired", 5, seed, params).at(step))
    np.testing.assert_array_equal(a[..., 0] + 100, b[..., 0])
    np.testing.assert_array_equal(a[..., 1:], b[..., 1:])
    rows, columns = np.diff(a[..., 1], axis=1), np.diff(a[..., 2], axis=2)
    assert (rows == 1).all(), "rows are never mirrored"
    assert set(columns.ravel()) <= ({1, -1} if flip else {1})


def test_crops_and_flips_reach_everything():
    params = SourceParams(size=SIZE - 1, load_size=SIZE, flip=True)
    batches = Batches(numbered(9, 9, paired=True), "paired", 64, 0, params)
    corners = {tuple(image[0, 0, 1:]) for step in range(4) for image in to_uint8(batches.at(step)[0])}
    assert corners == {(y, x) for y in (0, 1) for x in (0, 1, SIZE - 2, SIZE - 1)}


def test_unpaired_images_are_augmented_independently():
    params = SourceParams(size=SIZE // 2, load_size=SIZE, flip=True)
    a, b = Batches(numbered(9, 9, paired=False), "unpaired", 64, 0, params).at(0)
    assert not torch.equal(a[:, 1:], b[:, 1:])


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_to_float_and_back_is_the_identity(r, g, b):
    image = np.array([[[[r, g, b]]]], np.uint8)
    x = to_float(image)
    assert x.shape == (1, 3, 1, 1)
    assert x.abs().max() <= 1
    np.testing.assert_array_equal(to_uint8(x), image)


def test_to_uint8_rounds_and_clamps():
    x = torch.tensor([-5.0, -1.0, 0.002, 1.0, 5.0]).view(1, 1, 1, 5)
    assert to_uint8(x).ravel().tolist() == [0, 0, 128, 255, 255]


def test_batches_are_floats_of_the_right_shape_and_layout():
    for x in Batches(numbered(5, 5, paired=True), "paired", 7, 0, SourceParams(size=SIZE)).at(3):
        assert x.shape == (7, 3, SIZE, SIZE)
        assert x.dtype == torch.float32
        assert x.is_contiguous()


def test_a_paired_method_refuses_unpaired_data():
    with pytest.raises(DataError, match="needs pairs"):
        Batches(numbered(5, 5, paired=False), "paired", 2, 0, SourceParams(size=SIZE))


def test_one_pair_cannot_be_halved():
    with pytest.raises(DataError, match="two at least"):
        Batches(numbered(1, 1, paired=True), "unpaired", 2, 0, SourceParams(size=SIZE))


def test_images_held_as_tensors_give_the_same_batches_as_memory_maps():
    images, params = numbered(30, 30, paired=True), SourceParams(size=SIZE - 2, load_size=SIZE, flip=True)
    mapped, held = Batches(images, "unpaired", 8, 3, params), Batches(images, "unpaired", 8, 3, params)
    held._arrays = torch.from_numpy(images.train_a), torch.from_numpy(images.train_b)
    for x, y in zip(mapped.at(5), held.at(5), strict=True):
        assert torch.equal(x, y)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_batches_on_the_gpu_are_those_on_the_cpu():
    images, params = numbered(30, 30, paired=True), SourceParams(size=SIZE - 2, load_size=SIZE, flip=True)
    here, there = (Batches(images, "unpaired", 8, 3, params, device) for device in ("cpu", "cuda"))
    for step in (0, 5, 17):
        for x, y in zip(here.at(step), there.at(step), strict=True):
            assert y.is_cuda
            torch.testing.assert_close(x, y.cpu(), rtol=0, atol=1e-6)

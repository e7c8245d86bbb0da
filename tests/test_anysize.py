"""Images of any size through a network that takes some sizes: what padding and tiles lay before it, and give back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2ibench import anysize
from i2ibench.anysize import padded, tiled
from i2ibench.nn.superres import Shrink, enlargement


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 4, 16]), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_padding_and_tiles_give_back_what_is_left_alone(height: int, width: int, multiple: int, least: int) -> None:
    images, seen = noise(2, height, width, 3), []

    def same(batch: np.ndarray) -> np.ndarray:
        seen.append(batch.shape[1:3])
        return np.stack([batch, 255 - batch], axis=1)

    for outputs in (padded(same, images, multiple, least), tiled(same, images, least, None)):
        np.testing.assert_array_equal(outputs, np.stack([images, 255 - images], axis=1))
    assert all(edge % multiple == 0 and edge >= least for edge in seen[0])
    assert set(seen[1:]) == {(least, least)}


def test_tiles_overlap_by_a_quarter_and_blend() -> None:
    """A network that paints each tile in one tone: between two centres the outputs pass over gradually."""
    tones = iter(range(0, 256, 40))

    def paint(tiles: np.ndarray) -> np.ndarray:
        return np.stack([np.full_like(tile, next(tones)) for tile in tiles])[:, None]

    row = tiled(paint, noise(1, 16, 40, 3), 16, None)[0, 0, 8, :, 0].astype(int)
    assert (row[0], row[-1]) == (0, 80)
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() <= 10


@pytest.mark.parametrize(("scale", "edge", "least"), [(4, 28, 32), (4, 20, 32), (8, 24, 56)])
def test_an_enlarged_image_that_is_padded_is_shrunk_to_what_it_was(scale: int, edge: int, least: int) -> None:
    """Networks of super-resolution undo the enlargement, whose pixels must lie where they lay in training."""
    count = edge // scale
    small = np.random.default_rng(0).integers(60, 200, (count, count)).astype(float)
    rows = enlargement(count, scale).numpy()
    enlarged = np.rint(rows @ small @ rows.T).clip(0, 255).astype(np.uint8)
    seen: list[np.ndarray] = []

    def network(batch: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(batch).permute(0, 3, 1, 2) / 127.5 - 1
        seen.append((Shrink(least, scale)(x)[0, 0].numpy() + 1) * 127.5)
        return batch[:, None]

    padded(network, np.stack([enlarged] * 3, -1)[None], scale, least)
    places = range(len(seen[0]) - count + 1)
    errors = [np.abs(seen[0][y : y + count, x : x + count] - small)[1:-1, 1:-1].mean() for y in places for x in places]
    assert min(errors) < 3, "in grey levels, the border aside: 16 or more where the grids do not meet"


@pytest.mark.parametrize(("scale", "edge", "size"), [(4, 76, 32), (4, 100, 48), (2, 50, 32), (4, 28, 32), (8, 120, 64)])
def test_tiles_of_an_enlarged_image_are_shrunk_to_what_they_were(scale: int, edge: int, size: int) -> None:
    small = np.random.default_rng(0).integers(60, 200, (edge // scale,) * 2).astype(float)
    rows = enlargement(edge // scale, scale).numpy()
    enlarged = np.rint(rows @ small @ rows.T).clip(0, 255).astype(np.uint8)

    def again(tiles: np.ndarray) -> np.ndarray:
        """Shrinks a tile and enlarges it, which is the tile if it lies on the grid."""
        back = enlargement(size // scale, scale).float()
        x = torch.from_numpy(tiles).permute(0, 3, 1, 2) / 127.5 - 1
        outputs = (back @ Shrink(size, scale)(x) @ back.T).add(1).mul(127.5).round().clamp(0, 255)
        return outputs.permute(0, 2, 3, 1).to(torch.uint8).numpy()[:, None]

    found = tiled(again, np.stack([enlarged] * 3, -1)[None], size, scale)[0, 0, :, :, 0].astype(int)
    assert np.abs(found - enlarged)[scale:-scale, scale:-scale].mean() < 2


@given(st.integers(4, 64), st.integers(1, 6), st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_tiles_begin_on_the_grid_and_leave_nothing_out(size: int, power: int, more: int) -> None:
    grid = min(2**power, max(1, size // 4))
    starts = anysize._starts(size + more, size, grid)
    assert starts[0] == 0
    assert starts[-1] == more
    assert all(0 <= after - before <= size for before, after in pairwise(starts))
    assert all(start % grid == 0 for start in starts[:-1])

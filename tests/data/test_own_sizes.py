"""`test_size: own`: test images keep their width and height, in every kind of files, and tasks follow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from i2ibench.data.cache import load
from i2ibench.data.folder import Folder
from i2ibench.data.images import Images
from i2ibench.data.ragged import Ragged
from i2ibench.data.tasks import TASKS
from i2ibench.errors import DataError

SIZES = [(37, 50), (24, 24), (61, 30)]  # height, width


def picture(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """`folder({"test": [(h, w), ...]})` writes a PNG of each size, numbered; train/ gets three of its own."""

    def write(parts: dict[str, list[tuple[int, int]]], seed: int = 0) -> Path:
        for part, sizes in {"train": [(40, 40)] * 3, **parts}.items():
            (tmp_path / "files" / part).mkdir(parents=True)
            for i, (height, width) in enumerate(sizes):
                Image.fromarray(picture(seed + i, height, width)).save(tmp_path / "files" / part / f"{i}.png")
        return tmp_path / "files"

    return write


def read(path: Path, cache: Path, **keys: Any) -> Images:
    params = Folder.Params(**{"path": str(path), "layout": "images", "size": 16, "test_size": "own", **keys})
    return load(Folder(params), cache)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_images_are_cut_to_a_multiple_of_the_scale(folder: Callable[..., Path], tmp_path: Path, scale: int) -> None:
    task = {"name": "super-resolve", "scale": scale}
    images = read(folder({"test": SIZES}), tmp_path / "cache", task=task)
    assert images.train_a.shape == (3, 16, 16, 3)
    assert isinstance(images.test_b, Ragged)
    assert images.test_b.shapes.tolist() == [[h - h % scale, w - w % scale] for h, w in SIZES]
    for i, (height, width) in enumerate(images.test_b.shapes.tolist()):
        whole = picture(i, *SIZES[i])[:height, :width]
        assert np.array_equal(images.test_b[i], whole)
        small, _ = TASKS["super-resolve"](scale=scale).pair(whole, 0)
        assert np.array_equal(images.test_a[i], small)
        assert not np.array_equal(small, whole)


@pytest.mark.parametrize("task", [name for name in TASKS if name != "super-resolve"])
def test_every_task_makes_pairs_of_them(folder: Callable[..., Path], tmp_path: Path, task: str) -> None:
    images = read(folder({"test": SIZES}), tmp_path / "cache", task=task)
    for a, b, size, i in zip(images.test_a, images.test_b, SIZES, range(3), strict=True):
        assert a.shape == b.shape == (*size, 3)
        assert np.array_equal(a if task == "segment" else b, picture(i, *size))
    again = read(tmp_path / "files", tmp_path / "other", task=task)
    assert all(np.array_equal(one, other) for one, other in zip(images.test_a, again.test_a, strict=True))


def test_boxes_cover_their_share_of_any_shape(folder: Callable[..., Path], tmp_path: Path) -> None:
    images = read(folder({"test": [(20, 90), (90, 20)]}), tmp_path / "cache", task={"name": "inpaint", "mask": "box"})
    for image in images.test_a:
        missing = (image == 128).all(axis=2)
        assert 0.25 <= missing.mean() < 0.6
        assert missing.any(axis=int(image.shape[0] > image.shape[1])).mean() > 0.2, "along the whole length"


def test_pairs_in_one_file_and_photographs_that_lie_on_their_side(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for i, (height, width) in enumerate(SIZES):
            both = picture(i, height, 2 * width)
            turned = Image.fromarray(np.rot90(both).copy())  # as a camera held upright stores it
            exif = turned.getexif()
            exif[0x0112] = 6  # to be turned clockwise
            turned.save(tmp_path / part / f"{i}.png", exif=exif)
    images = read(tmp_path, tmp_path / "cache", layout="side-by-side")
    assert isinstance(images.test_a, Ragged)
    for i, (height, width) in enumerate(SIZES):
        both = picture(i, height, 2 * width)
        assert np.array_equal(images.test_a[i], both[:, :width])
        assert np.array_equal(images.test_b[i], both[:, width:])


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_every_format_may_lie_on_its_side(folder: Callable[..., Path], tmp_path: Path, ending: str) -> None:
    path = folder({"test": []})
    turned = Image.new("RGB", (50, 37), "red")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(path / "test" / f"a.{ending}", exif=exif)
    images = read(path, tmp_path / "cache", task="colorize")
    assert images.test_b[0].shape == (50, 37, 3)


def test_strokes_reach_every_part(folder: Callable[..., Path], tmp_path: Path) -> None:
    images = read(folder({"test": [(40, 120)] * 30}), tmp_path / "cache", task="inpaint")
    missing = np.mean([(image == 128).all(axis=2) for image in images.test_a], axis=0)
    thirds = [part.mean() for part in np.array_split(missing, 3, axis=1)]
    assert min(thirds) > 0.6 * max(thirds)


def test_it_is_another_data_set_than_that_of_one_size(folder: Callable[..., Path], tmp_path: Path) -> None:
    path = folder({"test": SIZES})
    own = read(path, tmp_path / "cache", task="colorize")
    squares = read(path, tmp_path / "cache", task="colorize", test_size=None)
    assert own.fingerprint != squares.fingerprint
    assert squares.test_a.shape == (3, 16, 16, 3)  # type: ignore[union-attr]
    assert np.array_equal(own.train_a, squares.train_a)


def test_a_pair_of_two_sizes_names_both(tmp_path: Path) -> None:
    for part in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / part).mkdir()
        for i in range(2):
            height = 20 + i if part == "testB" else 20
            Image.fromarray(picture(i, height, 30)).save(tmp_path / part / f"{i}.png")
    with pytest.raises(
        DataError, match=r"testA/1.png has 30 x 20 pixels and .*testB/1.png 30 x 21: pairs at their own"
    ):
        read(tmp_path, tmp_path / "cache", layout="by-name")
    unpaired = read(tmp_path, tmp_path / "cache", layout="unpaired")
    assert isinstance(unpaired.test_b, Ragged)
    assert unpaired.test_b.shapes.tolist() == [[20, 30], [21, 30]]


def test_an_image_that_is_smaller_than_the_scale(folder: Callable[..., Path], tmp_path: Path) -> None:
    path = folder({"test": [(30, 30), (7, 40)]})
    with pytest.raises(DataError, match=r"test/1.png: its 40 x 7 pixels are too few for scale 8"):
        read(path, tmp_path / "cache", task={"name": "super-resolve", "scale": 8})


def test_a_file_that_is_none(folder: Callable[..., Path], tmp_path: Path) -> None:
    path = folder({"test": [(30, 30), (7, 40)]})
    (path / "test" / "1.png").write_text("no image")
    with pytest.raises(DataError, match=r"test/1.png: does not decode as an image"):
        read(path, tmp_path / "cache", task="colorize")

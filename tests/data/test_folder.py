"""Folders of image files: three layouts, every format, and an error of one line for each mistake."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from i2ibench.data import pixels
from i2ibench.data.folder import Folder, FolderParams
from i2ibench.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data"


def save(path, color=(10, 20, 30), size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def make(root, **folders):
    """make(root, trainA=["1", "2"]) writes root/trainA/1.png and 2.png."""
    for folder, names in folders.items():
        for name in names:
            save(root / folder / f"{name}.png")


def folder(path, layout, base=None, **params):
    return Folder(FolderParams(path=str(path), layout=layout, size=8, **params), base)


def refused(path, layout, match, base=None):
    with pytest.raises(DataError, match=match) as error:
        folder(path, layout, base).decode()
    assert "\n" not in str(error.value)


# -- layouts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("test", ["test", "val"])
def test_side_by_side_cuts_in_the_middle(tmp_path, test):
    both = np.zeros((8, 16, 3), np.uint8)
    both[:, :8], both[:, 8:] = (255, 0, 0), (0, 0, 255)
    for split in ("train", test):
        (tmp_path / split).mkdir()
        Image.fromarray(both).save(tmp_path / split / "x.png")
    images = folder(tmp_path, "side-by-side").decode()
    assert (images.train_a == (255, 0, 0)).all()
    assert (images.test_b == (0, 0, 255)).all()
    assert images.test_names == ("x",)
    back = folder(tmp_path, "side-by-side", direction="BtoA").decode()
    assert (back.train_a == (0, 0, 255)).all()
    assert (back.test_b == (255, 0, 0)).all()


def test_by_name_pairs_whatever_the_ending_and_the_order_of_writing(tmp_path):
    for split in ("train", "test"):
        for i in (3, 1, 2):
            save(tmp_path / f"{split}A" / f"{i}.png", (i, i, i))
        for i in (2, 3, 1):
            save(tmp_path / f"{split}B" / f"{i}.BMP", (i + 100, 0, 0))
    source = folder(tmp_path, "by-name")
    images = source.decode()
    assert images.train_a[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert images.train_b[:, 0, 0, 0].tolist() == [101, 102, 103]
    assert source.pairing == "paired"
    assert images.paired


def test_unpaired_counts_may_differ_and_names_follow_the_direction(tmp_path):
    make(tmp_path, trainA="12", trainB="345", testA="6", testB="78")
    source = folder(tmp_path, "unpaired", direction="BtoA")
    images = source.decode()
    assert source.summary() == {"train_a": 3, "train_b": 2, "test_a": 2, "test_b": 1}
    assert source.summary() == {name: len(getattr(images, name)) for name in source.summary()}
    assert images.test_names == ("7", "8")
    assert not images.paired


def test_hidden_and_other_files_are_passed_over(tmp_path):
    make(tmp_path, trainA="1", trainB="1", testA="1", testB="1")
    (tmp_path / "trainA" / "._1.png").write_bytes(b"resource fork")
    (tmp_path / "trainA" / "notes.txt").write_text("hello")
    assert folder(tmp_path, "by-name").summary()["train_a"] == 1


def test_paths_expand_and_are_relative_to_the_benchmark_file(tmp_path, monkeypatch):
    make(tmp_path / "home" / "set", trainA="1", trainB="1", testA="1", testB="1")
    monkeypatch.setenv("DATA", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for path, base in (("$DATA/set", None), ("${DATA}/set", None), ("~/set", None), ("set", tmp_path / "home")):
        assert folder(path, "by-name", base).summary()["train_a"] == 1
    monkeypatch.delenv("DATA")
    refused("$DATA/set", "by-name", "variable DATA is not set")


# -- fingerprints ----------------------------------------------------------------------------------------------------


def test_the_fingerprint_follows_names_and_bytes_but_not_the_place(tmp_path):
    for place in ("one", "two"):
        make(tmp_path / place, trainA="12", trainB="12", testA="1", testB="1")
    first, second = (folder(tmp_path / place, "by-name").fingerprint(tmp_path / "cache") for place in ("one", "two"))
    assert first == second
    assert first == folder(tmp_path / "one", "by-name", direction="BtoA").fingerprint()
    assert first != folder(tmp_path / "one", "unpaired").fingerprint()
    save(tmp_path / "two" / "testB" / "1.png", (1, 1, 1))
    changed = folder(tmp_path / "two", "by-name").fingerprint(tmp_path / "cache")
    assert changed != first
    for domain in "AB":
        (tmp_path / "one" / f"train{domain}" / "2.png").rename(tmp_path / "one" / f"train{domain}" / "3.png")
    assert folder(tmp_path / "one", "by-name").fingerprint(tmp_path / "cache") != first


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_a_missing_folder(tmp_path):
    refused(tmp_path / "nowhere", "by-name", "nowhere: there is no such folder")


def test_a_wrong_layout_names_what_is_there_and_what_would_fit(tmp_path):
    make(tmp_path, trainA="1", trainB="1", valA="1", valB="1")
    refused(
        tmp_path,
        "side-by-side",
        "expects the folders train, test .* found: trainA, .*perhaps you mean layout: by-name or",
    )


def test_an_empty_folder(tmp_path):
    make(tmp_path, trainA="1", trainB="1", testA="1")
    (tmp_path / "testB").mkdir()
    refused(tmp_path, "by-name", "testB: holds no images")


def test_counts_and_names_that_differ(tmp_path):
    make(tmp_path, trainA="1234567", trainB="12x", testA="1", testB="1")
    refused(
        tmp_path,
        "by-name",
        r"trainA \(7 images\) and trainB \(3\) .*only in trainA: 3, 4, 5 and 2 more; only in trainB: x;",
    )


def test_one_name_twice(tmp_path):
    make(tmp_path, trainA="1", trainB="1", testA="1", testB="1")
    save(tmp_path / "trainA" / "1.bmp")
    refused(tmp_path, "by-name", "trainA: several files are named 1")


def test_an_image_that_does_not_decode(tmp_path):
    make(tmp_path, trainA="12", trainB="12", testA="1", testB="1")
    whole = (tmp_path / "trainB" / "2.png").read_bytes()
    (tmp_path / "trainB" / "2.png").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path, "by-name", r"trainB/2\.png: does not decode as an image")


def test_an_odd_width_side_by_side(tmp_path):
    for split in ("train", "test"):
        save(tmp_path / split / "1.png", size=(15, 8))
    refused(tmp_path, "side-by-side", r"1\.png: is 15 pixels wide")


# -- pixels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", pixels.ENDINGS)
def test_every_format_reads(tmp_path, ending):
    save(tmp_path / f"x{ending}", (200, 100, 50), (16, 16))
    image = np.asarray(pixels.read(tmp_path / f"x{ending}")).astype(int)
    assert image.shape == (16, 16, 3)
    assert np.abs(image - (200, 100, 50)).max() <= 6  # JPEG and WebP lose a little


def test_rotation_is_honoured(tmp_path):
    image = Image.new("RGB", (4, 2), "black")
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    image.save(tmp_path / "x.png", exif=exif)
    turned = np.asarray(pixels.read(tmp_path / "x.png"))
    assert turned.shape == (4, 2, 3)
    assert turned[0, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGBA", (2, 2), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("LA", (2, 2), (0, 255)), (0, 0, 0)),
        (Image.new("L", (2, 2), 77), (77, 77, 77)),
        (Image.new("1", (2, 2), 1), (255, 255, 255)),
        (Image.new("RGB", (2, 2), (9, 8, 7)).quantize(4), (9, 8, 7)),
        (Image.fromarray(np.full((2, 2), 257 * 30, np.uint16)), (30, 30, 30)),
    ],
    ids=["transparent", "grey-alpha", "grey", "bits", "palette", "16-bit"],
)
def test_every_mode_becomes_rgb(tmp_path, image, expected):
    image.save(tmp_path / "x.png")
    assert (np.asarray(pixels.read(tmp_path / "x.png")) == expected).all()


def test_fit(tmp_path):
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, 2:6] = 255
    wide = Image.fromarray(image)
    assert (pixels.fitted(wide, 4, "crop") == 255).all()
    assert pixels.fitted(wide, 4, "squash")[:, 0].max() < 128
    noise = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
    assert np.array_equal(pixels.fitted(Image.fromarray(noise), 5, "window"), noise[2:7, 4:9])


def test_a_window_needs_room(tmp_path):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        Image.new("RGB", (20, 15)).save(tmp_path / part / "a.png")
    folder = Folder(Folder.Params(path=str(tmp_path), layout="images", size=16, fit="window", task="colorize"))
    with pytest.raises(
        DataError, match=r"a.png: its 20 x 15 pixels are too few for a window of 16; choose another fit"
    ):
        folder.decode()


@settings(max_examples=20, deadline=None)
@given(
    size=st.integers(4, 24),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    fit=st.sampled_from(["squash", "crop"]),
)
def test_any_shape_becomes_square(size, width, height, fit):
    assert (pixels.fitted(Image.new("RGB", (width, height), (5, 6, 7)), size, fit) == (5, 6, 7)).all()


@given(size=st.integers(4, 16))
@settings(max_examples=5, deadline=None)
def test_an_image_of_the_right_size_is_left_as_it_is(size):
    x = np.random.default_rng(size).integers(0, 256, (size, size, 3), np.uint8)
    for fit in ("squash", "crop", "window"):
        np.testing.assert_array_equal(pixels.fitted(Image.fromarray(x), size, fit), x)


# -- real files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "layout", "train", "test"),
    [("facade-windows", "side-by-side", 476, 128), ("emoji", "by-name", 1625, 281), ("emoji", "unpaired", 1625, 281)],
)
def test_real_folders(name, layout, train, test):
    if not (SHARED / name).is_dir():
        pytest.skip(f"no {name} beside the repository (../shared/data)")
    source = folder(SHARED / name, layout)
    assert source.summary() == {"train_a": train, "train_b": train, "test_a": test, "test_b": test}
    images = source.decode()
    assert images.test_a.shape == (test, 8, 8, 3)
    assert images.train_a.std(axis=0).min() > 20, "the images differ from each other"
    difference = np.abs(images.test_a.astype(int) - images.test_b)
    shuffled = np.abs(images.test_a.astype(int) - np.roll(images.test_b, 1, axis=0))
    assert name != "emoji" or difference.mean() < 0.7 * shuffled.mean(), "A and B of one emoji are alike"


def test_hidden_pairs_train_unpaired_and_are_scored_paired(tmp_path):
    make(tmp_path, trainA="123", trainB="xy", testA="12", testB="12")
    source = folder(tmp_path, "hidden-pairs")
    images = source.decode()
    assert source.pairing == "unpaired"
    assert source.hidden_pairs
    assert not images.paired
    assert images.scores_pairs
    save(tmp_path / "testA" / "3.png")
    refused(tmp_path, "hidden-pairs", r"testA \(3 images\) and testB \(2\) do not pair by name")

"""Palettes and class labels: what a data set may declare, what becomes of its images, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from i2ibench.data import labels
from i2ibench.data.folder import Folder, FolderParams
from i2ibench.data.glyphs import GlyphParams, Glyphs
from i2ibench.errors import DataError

ROAD, SKY, TREE = (128, 64, 128), (70, 130, 180), (107, 142, 35)
PALETTE = {"road": list(ROAD), "sky": "#4682b4", "tree": TREE}


def save(path, colour=(10, 20, 30), size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def folder(path, layout="unpaired", base=None, **params):
    return Folder(FolderParams(path=str(path), layout=layout, size=8, **params), base)


# -- palettes ----------------------------------------------------------------------------------------------------------


def test_colours_are_written_as_numbers_or_in_hexadecimal():
    params = FolderParams(path="x", layout="unpaired", palette=PALETTE)
    assert params.palette == {"road": ROAD, "sky": SKY, "tree": TREE}
    assert FolderParams(**params.model_dump(mode="json")) == params, "it travels as JSON"


@pytest.mark.parametrize(
    ("palette", "problem"),
    [
        ({"a": [0, 0, 0], "b": [0, 0, 256]}, r'b: write a colour as \[r, g, b\] .* "#rrggbb"'),
        ({"a": [0, 0, 0], "b": None}, "b: write a colour"),  # what YAML makes of an unquoted #rrggbb
        ({"a": [0, 0, 0], "b": "#12345"}, "b: write a colour"),
        ({"a": [0, 0, 0], "b": [0.5, 0, 0]}, "b: write a colour"),
        ({"a": "#0000FF", "b": [0, 0, 255]}, "a and b have the same colour"),
        ({"a": [0, 0, 0]}, "2 to 256 classes, this one 1"),
        ([[0, 0, 0], [1, 1, 1]], "dictionary"),
    ],
)
def test_colours_that_are_none(palette, problem):
    with pytest.raises(ValidationError, match=problem):
        FolderParams(path="x", layout="unpaired", palette=palette)


@pytest.mark.parametrize(
    ("domain", "direction", "expected"),
    [("B", "AtoB", "b"), ("B", "BtoA", "a"), ("A", "AtoB", "a"), ("A", "BtoA", "b")],
)
def test_the_palettes_domain_turns_with_the_direction(tmp_path, domain, direction, expected):
    for part in ("trainA", "trainB", "testA", "testB"):
        save(tmp_path / part / "1.png")
    palette = folder(tmp_path, palette=PALETTE, palette_domain=domain, direction=direction).palette
    assert palette == labels.Palette(("road", "sky", "tree"), (ROAD, SKY, TREE), expected)
    assert folder(tmp_path).palette is None


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_label_maps_keep_their_colours_when_they_are_resized_and_photographs_do_not(tmp_path, direction):
    stripes = np.zeros((32, 64, 3), np.uint8)
    stripes[:, 1::2] = 255  # both halves: stripes of one pixel, which no smaller image can hold
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        Image.fromarray(stripes).save(tmp_path / split / "x.png")
    palette = {"black": [0, 0, 0], "white": [255, 255, 255]}
    images = folder(tmp_path, "side-by-side", palette=palette, direction=direction, load_size=12).decode()
    maps, photographs = ("b", "a") if direction == "AtoB" else ("a", "b")
    for split in ("train", "test"):
        assert set(np.unique(getattr(images, f"{split}_{maps}"))) <= {0, 255}
        assert set(np.unique(getattr(images, f"{split}_{photographs}"))) - {0, 255}


def test_a_palette_makes_other_images_but_its_colours_only_other_scores(tmp_path):
    for part in ("trainA", "trainB", "testA", "testB"):
        save(tmp_path / part / "1.png")
    plain, declared = folder(tmp_path), folder(tmp_path, palette=PALETTE)
    other = folder(tmp_path, palette=PALETTE | {"sky": "#000000"})
    assert plain.fingerprint() != declared.fingerprint() == other.fingerprint()
    assert plain.declared() == ""
    assert len({plain.declared(), declared.declared(), other.declared()}) == 3
    assert declared.declared() == folder(tmp_path, palette=PALETTE).declared()


def test_a_task_makes_images_that_no_palette_of_files_fits(tmp_path):
    for part in ("train", "test"):
        save(tmp_path / part / "1.png")
    with pytest.raises(DataError, match="task colorize makes images of its own"):
        folder(tmp_path, "images", task="colorize", palette=PALETTE)


# -- classes by folder -------------------------------------------------------------------------------------------------


@pytest.fixture
def animals(tmp_path):
    for part in ("trainA", "trainB", "testA", "testB"):
        for i, kind in enumerate(("cat", "dog")):
            for number in range(2):
                save(tmp_path / part / kind / f"{number}.png", (i * 100 + number, 0, 0))
    save(tmp_path / "trainA" / "cat" / "2.png", (2, 0, 0))
    return tmp_path


def test_folders_are_classes(animals):
    source = folder(animals, labels="folders")
    found = source.class_labels()
    assert found.classes == ("cat", "dog")
    assert found.train_a.tolist() == [0, 0, 0, 1, 1]
    assert found.train_b.tolist() == found.test_b.tolist() == [0, 0, 1, 1]
    images = source.decode()
    assert images.train_a[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101], "in the order of the labels"
    assert images.test_names == ("cat/0", "cat/1", "dog/0", "dog/1")
    back = folder(animals, labels="folders", direction="BtoA").class_labels()
    assert (len(back.train_a), len(back.train_b)) == (4, 5)


def test_images_in_folders_pair_by_class_and_name(animals):
    with pytest.raises(DataError, match=r"trainA \(5 images\) and trainB \(4\) .*only in trainA: cat/2;"):
        folder(animals, "by-name", labels="folders")
    (animals / "trainA" / "cat" / "2.png").unlink()
    source = folder(animals, "by-name", labels="folders")
    assert source.pairing == "paired"
    assert source.fingerprint() != folder(animals, labels="folders").fingerprint()


def test_side_by_side_in_folders(tmp_path):
    for split in ("train", "test"):
        for i, kind in enumerate(("cat", "dog")):
            save(tmp_path / split / kind / "x.png", (i, 0, 0), (16, 8))
    source = folder(tmp_path, "side-by-side", labels="folders")
    assert source.class_labels().test_b.tolist() == [0, 1]
    assert source.decode().test_names == ("cat/x", "dog/x")


def test_a_renamed_class_is_another_data_set(animals):
    before = folder(animals, labels="folders").fingerprint()
    for part in ("trainA", "trainB", "testA", "testB"):
        (animals / part / "dog").rename(animals / part / "wolf")
    assert folder(animals, labels="folders").fingerprint() != before


def test_folders_that_are_no_classes(animals, tmp_path):
    save(animals / "testB" / "stray.png")
    with pytest.raises(DataError, match=r"testB: stray\.png lie beside the folders of the classes"):
        folder(animals, labels="folders")
    (animals / "testB" / "stray.png").unlink()
    save(animals / "testB" / "fox" / "0.png")
    with pytest.raises(DataError, match="no training image of the inputs has the class fox"):
        folder(animals, labels="folders").declared()


def test_one_class_is_none(tmp_path):
    for part in ("trainA", "trainB", "testA", "testB"):
        save(tmp_path / part / "cat" / "0.png")
    with pytest.raises(DataError, match="two at least"):
        folder(tmp_path, labels="folders").declared()


# -- classes by table --------------------------------------------------------------------------------------------------


@pytest.fixture
def digits(tmp_path):
    for part, names in (("trainA", "123"), ("trainB", "45"), ("testA", "1"), ("testB", "67")):
        for name in names:
            save(tmp_path / "set" / part / f"{name}.png")
    (tmp_path / "labels.csv").write_text(
        "name, class\n1.png,one\n2,two\n3,one\n\n4,two\n5,two\n6,one\ntestB/7.PNG,two\n7,three\n", encoding="utf-8"
    )
    return tmp_path


def test_a_table_of_classes_beside_the_benchmark_file(digits):
    found = folder("set", base=digits, labels="labels.csv").class_labels()
    assert found.classes == ("one", "two")
    assert found.train_a.tolist() == [0, 1, 0]
    assert found.train_b.tolist() == [1, 1]
    assert found.test_b.tolist() == [0, 1], "testB/7 goes before 7"


def test_another_class_changes_scores_and_no_training(digits):
    before = folder("set", base=digits, labels="labels.csv")
    kept = before.fingerprint(), before.declared()
    table = (digits / "labels.csv").read_text().replace("3,one", "3,two")
    (digits / "labels.csv").write_text(table)
    after = folder("set", base=digits, labels="labels.csv")
    assert after.fingerprint() == kept[0] == folder("set", base=digits).fingerprint()
    assert after.declared() != kept[1]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("1,one\n", r"labels\.csv:1: a file of labels begins with the line name,class"),
        ("name,class\n1,one,x\n", r"labels\.csv:2: a line holds an image's name and its class, this one '1,one,x'"),
        ("name,class\n1,\n", r"labels\.csv:2: a line holds"),
        ("name,class\n1,one\n1.png,two\n", r"labels\.csv:3: 1 has two classes, one and two"),
        ("name,class\n1,one\n", r"labels\.csv: has no class for 2, 3 of .*trainA; add a line"),
        ('name,class\n"1,one\n', r"labels\.csv: is no CSV file"),
        ("name,class\n1,one\n2,two\n3,two\n4,two\n5,two\n6,one\n7,three\n", "has the class three"),
    ],
)
def test_tables_that_cannot_be_used(digits, table, problem):
    (digits / "labels.csv").write_text(table)
    with pytest.raises(DataError, match=problem) as error:
        folder("set", base=digits, labels="labels.csv").declared()
    assert "\n" not in str(error.value)


def test_a_missing_table(digits):
    with pytest.raises(DataError, match=r"nowhere\.csv: cannot be read"):
        folder("set", base=digits, labels="nowhere.csv").declared()


# -- glyphs ------------------------------------------------------------------------------------------------------------


def test_glyphs_are_labelled_by_their_writing_system():
    source = Glyphs(GlyphParams(size=16))
    found, names = source.class_labels(), source.decode().test_names
    assert {"Latin", "Greek", "Cyrillic", "Common"} <= set(found.classes)
    assert set(found.test_b) == set(found.train_a), "the classes are those of training"
    of = {name: found.classes[label] for name, label in zip(names, found.test_b, strict=True)}
    for name, script in of.items():
        point = int(name[2:], 16)
        if 0x400 <= point < 0x500:
            assert script == "Cyrillic"
        if 0x2800 <= point < 0x2900:
            assert script == "Braille"
        if chr(point).isascii() and chr(point).isalpha():
            assert script == "Latin"
    summary = source.summary()
    assert all(len(getattr(found, array)) == summary[array] for array in labels.LABELLED)
    assert source.declared() == "", "the labels are part of the characters"

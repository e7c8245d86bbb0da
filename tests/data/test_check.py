"""`data check`: what is there, what is broken, what leaks, and YAML that works."""

import shutil

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from i2ibench.cli import app
from i2ibench.data.check import check
from i2ibench.errors import DataError


@pytest.fixture(scope="module")
def crops():
    """Sixty crops of real photographs that scikit-image ships: 64 x 64, no two alike."""
    from skimage import data

    found = []
    for photo in (data.coffee(), data.astronaut(), data.rocket()):
        for y in range(0, photo.shape[0] - 64, 80):
            for x in range(0, photo.shape[1] - 64, 80):
                crop = photo[y : y + 64, x : x + 64]
                if crop.std() > 25:
                    found.append(crop)
    return found[:60]


def save(folder, images, names=None, **options):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{names[i] if names else i}.png", **options)


@pytest.fixture
def unpaired(tmp_path, crops):
    for i, folder in enumerate(("trainA", "trainB", "testA", "testB")):
        save(tmp_path / folder, crops[12 * i : 12 * i + 12], [f"{folder}{k}" for k in range(12)])
    return tmp_path


def test_a_sound_set_is_fine_and_its_yaml_loads(unpaired):
    calls = []
    report = check(unpaired, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (48, 48)
    assert report.fine, (report.twins, report.problems)
    assert report.counts == {"train_a": 12, "train_b": 12, "test_a": 12, "test_b": 12}
    assert report.yaml == {"source": "folder", "path": str(unpaired), "layout": "unpaired", "size": 64}
    from i2ibench.data.folder import Folder

    assert Folder(Folder.Params(**{k: v for k, v in report.yaml.items() if k != "source"})).summary() == report.counts


def test_leaks_are_found_and_by_which_kind(unpaired, crops):
    jpeg = unpaired / "testA" / "recompressed.jpg"
    Image.fromarray(crops[0]).resize((80, 80)).save(jpeg, quality=60)
    save(unpaired / "testA", [crops[1], crops[2][:, ::-1]], ["copied", "turned"])
    save(unpaired / "testB", [crops[12]], ["copied"])
    twins = {(twin.test.path.name, twin.train.path.name, twin.kind) for twin in check(unpaired).twins}
    assert twins == {
        ("recompressed.jpg", "trainA0.png", "nearly the same"),
        ("copied.png", "trainA1.png", "the same pixels"),
        ("turned.png", "trainA2.png", "mirrored"),
        ("copied.png", "trainB0.png", "the same pixels"),
    }


def test_broken_files_and_repeats(unpaired, crops):
    whole = (unpaired / "trainA" / "trainA3.png").read_bytes()
    (unpaired / "trainA" / "trainA3.png").write_bytes(whole[:200])
    (unpaired / "testB" / "empty.png").write_bytes(b"")
    save(unpaired / "trainB", [crops[14]], ["again"])
    report = check(unpaired)
    assert len(report.broken) == 2
    assert any("trainA3.png: does not decode" in line for line in report.broken)
    assert {n: [(i.path.name, j.path.name) for i, j in p] for n, p in report.repeats.items()} == {
        "train_b": [("trainB2.png", "again.png")]
    }
    said = CliRunner().invoke(app, ["data", "check", str(unpaired)]).output
    assert (
        f"repeated images in train B: 1\n  {unpaired}/trainB/trainB2.png is the same as {unpaired}/trainB/again.png"
        in said
    )
    assert not report.fine


def test_plain_images_are_not_twins_of_each_other(tmp_path):
    for i, folder in enumerate(("trainA", "trainB", "testA", "testB")):
        save(tmp_path / folder, [np.full((16, 16, 3), 10 * i + k, np.uint8) for k in range(3)])
    assert check(tmp_path).twins == []


@pytest.mark.parametrize("layout", ["by-name", "side-by-side", "images", "flat", "list"])
def test_every_kind_of_set_is_recognised(tmp_path, crops, layout):
    if layout == "by-name":
        for i, folder in enumerate(("trainA", "trainB", "testA", "testB")):
            save(tmp_path / folder, crops[4 * i : 4 * i + 4])
    elif layout == "side-by-side":
        pairs = [np.concatenate(crops[2 * i : 2 * i + 2], axis=1) for i in range(8)]
        save(tmp_path / "train", pairs[:4])
        save(tmp_path / "val", pairs[4:])
    elif layout == "images":
        save(tmp_path / "train", crops[:4])
        save(tmp_path / "test", crops[4:8])
    else:
        save(tmp_path, crops[:30])
        if layout == "list":
            rows = ["a,b,split"] + [f"{2 * i}.png,{2 * i + 1}.png,{'train' if i < 9 else 'test'}" for i in range(15)]
            (tmp_path / "pairs.csv").write_text("\n".join(rows))
    report = check(tmp_path / "pairs.csv" if layout == "list" else tmp_path)
    expected = {"list": None, "flat": "images"}.get(layout, layout)
    assert report.yaml.get("layout") == expected
    assert report.problems == []
    assert (
        sum(report.counts.values()) == {"by-name": 16, "side-by-side": 16, "images": 8, "flat": 30, "list": 30}[layout]
    )
    assert report.yaml.get("test_share") == (0.2 if layout == "flat" else None), "0.1 of these would be one"
    assert report.counts.get("test_a", 2) >= 2


def test_names_that_nearly_pair_are_doubtful(tmp_path, crops):
    for i, folder in enumerate(("trainA", "trainB", "testA", "testB")):
        save(tmp_path / folder, crops[6 * i : 6 * i + 6])
    (tmp_path / "trainB" / "5.png").rename(tmp_path / "trainB" / "five.png")
    report = check(tmp_path)
    assert report.yaml["layout"] == "unpaired"
    assert "only in trainA: 5" in report.problems[0]


@pytest.mark.parametrize(
    ("renamed", "name", "said"),
    [
        ("trainB", "b_{}", "; trainB has the names of trainA with 'b_' added"),
        ("trainA", "{}-photo", "; trainA has the names of trainB with '-photo' added"),
        ("trainB", "other{}", "; the test images do pair: layout: hidden-pairs scores them so"),
    ],
)
def test_pairs_of_which_one_side_is_renamed_are_doubtful(tmp_path, crops, renamed, name, said):
    for i, folder in enumerate(("trainA", "trainB", "testA", "testB")):
        save(tmp_path / folder, crops[6 * i : 6 * i + 6], [f"face{k}" for k in range(6)])
    for file in sorted((tmp_path / renamed).iterdir()):
        stem = name.format(file.stem if name != "other{}" else 6 - int(file.stem[-1]))
        file.rename(file.with_stem(stem))
    report = check(tmp_path)
    assert report.yaml["layout"] == "unpaired"
    (problem,) = report.problems
    assert "trainA (6 images) and trainB (6) do not pair by name: only in trainA: " in problem
    assert problem.endswith(said)


def test_too_few_test_images_for_scores_are_wrong(unpaired):
    for file in sorted((unpaired / "testB").iterdir())[1:]:
        file.unlink()
    report = check(unpaired)
    assert report.problems == ["the test images of B are 1, and scores need at least 2"]
    assert not report.fine


def test_shapes_that_differ_are_cropped_in_the_proposal(tmp_path, crops):
    save(tmp_path / "train", [crops[0][:40], crops[1][:, :40], crops[2]])
    save(tmp_path / "test", [crops[3]])
    assert {"size": 32, "fit": "crop"}.items() <= check(tmp_path).yaml.items()


def test_pairs_whose_two_images_differ_in_size_are_named_and_what_becomes_of_them(tmp_path, crops):
    for i, folder in enumerate(("trainA", "trainB", "testA", "testB")):
        save(tmp_path / folder, crops[4 * i : 4 * i + 4])
    save(tmp_path / "trainB", [crops[6][:, :40]], ["2"])
    (tmp_path / "trainA" / "3.png").write_bytes(b"")  # has no size to compare
    Image.fromarray(crops[8]).resize((32, 32)).save(tmp_path / "testA" / "0.png")
    report = check(tmp_path)
    assert [(a.item.place, b.item.place) for a, b in report.unequal] == [
        (str(tmp_path / "trainA" / "2.png"), str(tmp_path / "trainB" / "2.png")),
        (str(tmp_path / "testA" / "0.png"), str(tmp_path / "testB" / "0.png")),
    ]
    assert not report.fine
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert "differ in size (each is fitted to `size`; test_size: own refuses such test pairs): 2" in result.output
    assert f"{tmp_path}/testA/0.png has 32 x 32 pixels, and {tmp_path}/testB/0.png has 64 x 64 pixels" in result.output


def test_nothing_to_look_at(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        check(tmp_path / "none")
    with pytest.raises(DataError):
        check(tmp_path)


def test_the_command_prints_yaml_that_can_be_used_and_its_exit_code_says_whether_all_is_well(unpaired, crops):
    runner = CliRunner()
    result = runner.invoke(app, ["data", "check", str(unpaired)])
    assert result.exit_code == 0, result.output
    entry = yaml.safe_load(result.output.partition("To use it:")[2])["data"][unpaired.name]
    assert entry["layout"] == "unpaired"
    save(unpaired / "testA", [crops[1]], ["copied"])
    result = runner.invoke(app, ["data", "check", str(unpaired)])
    assert result.exit_code == 1
    assert "leaks" in result.output
    assert "copied.png" in result.output


def test_the_listing_names_every_set_and_task():
    from i2ibench.data.recipes import recipes
    from i2ibench.data.tasks import TASKS

    output = CliRunner().invoke(app, ["datasets"]).output
    assert all(name in output for name in [*recipes(), *TASKS, "glyphs", "folder", "list", "webdataset"])


def test_of_several_domains_each_is_looked_at(tmp_path):
    rng = np.random.default_rng(0)
    for domain in ("cat", "dog", "wild"):
        for split in ("train", "test"):
            (tmp_path / split / domain).mkdir(parents=True)
            for i in range(2):
                noise = rng.integers(0, 256, (20, 20, 3), np.uint8)
                Image.fromarray(noise).save(tmp_path / split / domain / f"{i}.png")
    shutil.copy(tmp_path / "train" / "wild" / "0.png", tmp_path / "test" / "wild" / "1.png")
    report = check(tmp_path)
    assert report.yaml == {"source": "folder", "path": str(tmp_path), "layout": "domains", "size": 16}
    assert report.counts == {f"{split}_{domain}": 2 for split in ("train", "test") for domain in ("cat", "dog", "wild")}
    (twin,) = report.twins
    assert twin.test.path == tmp_path / "test" / "wild" / "1.png"

"""The decoded cache: built once, whole or absent, safe for two builders, rebuilt when damaged."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image

from i2ibench.data import pixels
from i2ibench.data.cache import digests, load
from i2ibench.data.check import check
from i2ibench.data.folder import Folder, FolderParams
from i2ibench.errors import DataError


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "data" / folder / f"{i}.png")
    return tmp_path / "data"


def source(data, **params):
    return Folder(FolderParams(path=str(data), layout="by-name", size=8, **params))


def entries(cache):
    return [path for path in cache.iterdir() if path.is_dir()]


def test_what_is_read_back_is_what_was_decoded_and_is_memory_mapped(data, tmp_path):
    decoded, loaded = source(data).decode(), load(source(data), tmp_path / "cache")
    for name in ("train_a", "train_b", "test_a", "test_b"):
        np.testing.assert_array_equal(getattr(decoded, name), getattr(loaded, name))
        assert isinstance(getattr(loaded, name), np.memmap)
        assert not getattr(loaded, name).flags.writeable
    assert (decoded.test_names, decoded.paired, decoded.fingerprint) == (
        loaded.test_names,
        loaded.paired,
        loaded.fingerprint,
    )


def test_a_second_load_decodes_nothing(data, tmp_path):
    calls = []
    load(source(data), tmp_path / "cache", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (12, 12)
    calls.clear()
    load(source(data), tmp_path / "cache", progress=lambda *call: calls.append(call))
    assert calls == []


def test_settings_that_change_pixels_have_entries_of_their_own(data, tmp_path):
    for params in ({}, {"direction": "BtoA"}, {"load_size": 10}, {"fit": "crop"}):
        load(source(data, **params), tmp_path / "cache")
    load(source(data, flip=True), tmp_path / "cache")
    assert len(entries(tmp_path / "cache")) == 4


@pytest.mark.parametrize("kind", ["link to nowhere", "link in circles", "pipe", "folder"])
def test_what_has_the_name_of_an_image_and_is_no_file_is_said(data, kind):
    odd = data / "trainA" / "0.png"
    odd.unlink()
    make = {"pipe": os.mkfifo, "folder": os.mkdir}
    if kind in make:
        make[kind](odd)
    else:
        odd.symlink_to("0.png" if kind == "link in circles" else data / "nowhere.png")
    said = "is no file" if kind in make else "is a link that leads to no file"
    with pytest.raises(DataError, match=f"0.png: {said}"):
        source(data).fingerprint()
    with pytest.raises(DataError, match=f"0.png: {said}"):
        pixels.read(odd)
    found = check(data)
    assert [line.partition("0.png: ")[2] for line in found.broken] == [said]


def test_names_that_are_not_utf8_are_names_like_others(data, tmp_path):
    """File names are bytes: what is no text in them is spelled out where people read them, and files are found."""
    for folder in ("trainA", "trainB", "testA", "testB"):
        for old, new in (("0.png", b"!caf\xe9.png"), ("1.png", b"!caf\xe8.png")):
            (data / folder / old).rename(data / folder / os.fsdecode(new))
    names = (r"!caf\udce8", r"!caf\udce9", "2")
    assert load(source(data), tmp_path / "cache").test_names == names
    assert load(source(data), tmp_path / "cache").test_names == names, "and from the cache"
    single = Folder(FolderParams(path=str(data / "trainA"), layout="images", size=8, task="colorize", test_share=0.5))
    assert len(single.decode().train_a) + len(single.decode().test_a) == 3
    assert str(DataError(os.fsdecode(b"caf\xe9.png: is odd"))) == r"caf\udce9.png: is odd"


@pytest.mark.parametrize("damage", ["cut", "bytes", "index", "missing"])
def test_a_damaged_entry_is_built_anew(data, tmp_path, damage):
    cache = tmp_path / "cache"
    good = np.array(load(source(data), cache).train_a)
    (entry,) = entries(cache)
    file = entry / "train_a.npy"
    if damage == "cut":
        os.truncate(file, file.stat().st_size - 5)
    elif damage == "bytes":
        file.write_bytes(file.read_bytes()[:-8] + b"damaged!")
    elif damage == "index":
        (entry / "index.json").write_text('{"fingerprint"')
    else:
        file.unlink()
    np.testing.assert_array_equal(load(source(data), cache).train_a, good)
    np.testing.assert_array_equal(np.load(file), good)


def test_an_entry_copied_elsewhere_is_used_though_its_times_changed(data, tmp_path):
    load(source(data), tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    for file in entry.glob("*.npy"):
        os.utime(file, (1, 1))
    calls = []
    load(source(data), tmp_path / "cache", progress=lambda *call: calls.append(call))
    assert calls == []


def test_what_a_dead_builder_left_is_replaced(data, tmp_path):
    load(source(data), tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    entry.rename(entry.with_name(entry.name + ".partial"))
    (entry.with_name(entry.name + ".partial") / "train_b.npy").unlink()
    load(source(data), tmp_path / "cache")
    assert entries(tmp_path / "cache") == [entry]


def test_a_failing_build_leaves_no_entry(data, tmp_path):
    (data / "testB" / "1.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"testB/1\.png: does not decode"):
        load(source(data), tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


def test_two_processes_at_once_decode_once(data, tmp_path):
    code = textwrap.dedent(f"""
        from pathlib import Path
        from i2ibench.data.folder import Folder, FolderParams
        from i2ibench.data.cache import load
        calls = []
        source = Folder(FolderParams(path={str(data)!r}, layout="by-name", size=8))
        images = load(source, Path({str(tmp_path / "cache")!r}), progress=lambda *call: calls.append(call))
        print(len(calls), int(images.train_a.sum()))
    """)
    workers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts, sums = zip(*(map(int, worker.communicate(timeout=60)[0].split()) for worker in workers), strict=True)
    assert sorted(counts) == [0, 0, 12]
    assert len(set(sums)) == 1


def test_a_cache_that_cannot_be_written_is_one_line(data, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"image cache .* cannot be written") as error:
        load(source(data), tmp_path / "cache")
    assert "\n" not in str(error.value)


def test_digests_follow_the_bytes_and_are_remembered(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"one")
    first = digests([file], tmp_path / "cache")
    assert digests([file]) == first
    remembered = next((tmp_path / "cache").glob("digests-*.json"))
    remembered.write_text(remembered.read_text().replace(first[file], "from memory"))
    assert digests([file], tmp_path / "cache") == {file: "from memory"}
    file.write_bytes(b"three")
    assert digests([file], tmp_path / "cache") == digests([file]) != first

"""Tar shards as webdataset writes them: read where they lie, links passed over, damage named."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from i2ibench.data.shards import ShardParams, WebDataset
from i2ibench.errors import DataError


def png(value, size=(8, 8)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def shard(path, files, links=()):
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)


def make(path, layout, **params):
    return WebDataset(ShardParams(path=str(path), layout=layout, size=8, **params))


def reds(images):
    return images[:, 0, 0, 0].tolist()


def test_pairs_over_several_shards(tmp_path):
    shard(
        tmp_path / "train-0000.tar",
        {
            "0001.a.png": png(1),
            "0001.json": b"{}",
            "0001.b.png": png(101),
            "0002.b.png": png(102),
            "0002.a.png": png(2),
        },
    )
    shard(tmp_path / "train-0001.tar", {"0003.a.png": png(3), "0003.b.png": png(103)})
    shard(tmp_path / "val-0000.tar", {"x/0009.a.png": png(9), "x/0009.b.png": png(109)})
    source = make(tmp_path, "pairs")
    images = source.decode()
    assert source.pairing == "paired"
    assert (reds(images.train_a), reds(images.train_b)) == ([1, 2, 3], [101, 102, 103])
    assert images.test_names == ("x/0009",)
    assert source.summary() == {"train_a": 3, "train_b": 3, "test_a": 1, "test_b": 1}


def test_side_by_side_unpaired_and_images_for_a_task(tmp_path):
    both = np.zeros((8, 16, 3), np.uint8)
    both[:, :8], both[:, 8:] = 10, 20
    buffer = io.BytesIO()
    Image.fromarray(both).save(buffer, "PNG")
    for split in ("train", "test"):
        shard(tmp_path / f"{split}.tar", {"1.png": buffer.getvalue()})
        for domain, value in (("A", 1), ("B", 2)):
            shard(tmp_path / f"{split}{domain}.tar", {f"{i}.png": png(value) for i in range(value)})
    images = make(tmp_path, "unpaired").decode()
    assert (reds(images.train_a), reds(images.train_b)) == ([1], [2, 2])
    assert not images.paired
    with pytest.raises(DataError, match="add one, such as task: colorize"):
        make(tmp_path, "images")
    for name in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / f"{name}.tar").unlink()
    images = make(tmp_path, "side-by-side").decode()
    assert (reds(images.test_a), reds(images.test_b)) == ([10], [20])
    assert make(tmp_path, "images", task="colorize").decode().paired


def test_links_are_never_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(77))
    for split in ("train", "test"):
        shard(
            tmp_path / f"{split}.tar", {"1.png": png(1)}, links=[("2.png", "../secret.png"), ("3.png", "/etc/passwd")]
        )
    images = make(tmp_path, "images", task="colorize").decode()
    assert reds(images.train_b) == [1]


def test_the_fingerprint_follows_the_bytes(tmp_path):
    prints = []
    for value in (1, 1, 2):
        for split in ("train", "test"):
            shard(tmp_path / f"{split}.tar", {"1.a.png": png(value), "1.b.png": png(value)})
        prints.append(make(tmp_path, "pairs").fingerprint())
    assert prints[0] == prints[1] != prints[2]


def test_mistakes(tmp_path):
    with pytest.raises(DataError, match=r"no shards train\*.tar; found: no .tar files"):
        make(tmp_path, "pairs")
    shard(tmp_path / "test.tar", {"1.a.png": png(1), "1.b.png": png(1)})
    shard(tmp_path / "train.tar", {"1.a.png": png(1), "1.b.png": png(1), "2.a.png": png(1)})
    with pytest.raises(DataError, match=r"train samples that have no pair .a and .b: 2"):
        make(tmp_path, "pairs")
    shard(tmp_path / "train.tar", {"1.txt": b"x"})
    with pytest.raises(DataError, match="the train shards hold no images"):
        make(tmp_path, "pairs")
    shard(tmp_path / "train.tar", {"1.a.png": png(1), "1.b.png": png(1)})
    whole = (tmp_path / "train.tar").read_bytes()
    for length in (600, 1024, 1100, 2047):
        (tmp_path / "train.tar").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"train.tar: is cut off|train.tar: is no uncompressed tar"):
            make(tmp_path, "pairs")
    (tmp_path / "train.tar").write_bytes(whole[:512] + b"\0" * 100 + whole[612:])
    with pytest.raises(DataError, match=r"train.tar: 1: does not decode"):
        make(tmp_path, "pairs").decode()
    import gzip

    (tmp_path / "train.tar").write_bytes(gzip.compress(whole))
    with pytest.raises(DataError, match="is no uncompressed tar file"):
        make(tmp_path, "pairs")

"""Lists of image files: pairs, domains, single images; splits by column and by hash; one line for each mistake."""

import json

import pytest
from PIL import Image

from i2ibench.data.lists import List, ListParams
from i2ibench.errors import DataError


@pytest.fixture
def root(tmp_path):
    """Images 0 to 9, image i of the colour (i, 0, 0), in two folders."""
    for folder in ("photos", "maps"):
        (tmp_path / folder).mkdir()
        for i in range(10):
            Image.new("RGB", (8, 8), (i, 100 * (folder == "maps"), 0)).save(tmp_path / folder / f"{i}.png")
    return tmp_path


def make(root, text, name="list.csv", **params):
    (root / name).write_text(text, encoding="utf-8")
    return List(ListParams(path=name, size=8, **params), root)


def reds(images):
    return images[:, 0, 0, 0].tolist()


def test_pairs_with_splits(root):
    rows = ["a,b,split"] + [f"photos/{i}.png,maps/{9 - i}.png,{'train' if i < 7 else 'Test'}" for i in range(10)]
    source = make(root, "\n".join(rows))
    images = source.decode()
    assert source.pairing == "paired"
    assert images.paired
    assert reds(images.train_a) == [0, 1, 2, 3, 4, 5, 6]
    assert reds(images.train_b) == [9, 8, 7, 6, 5, 4, 3]
    assert images.test_names == ("7", "8", "9")
    assert images.test_b[0, 0, 0].tolist() == [2, 100, 0]


def test_columns_of_other_names_tabs_and_jsonl(root):
    columns = {"a": "photo", "b": "label map"}
    pairs = [(f"photos/{i}.png", f"maps/{i}.png", "train" if i else "val") for i in range(4)]
    tsv = "photo\tlabel map\tsplit\n" + "\n".join("\t".join(row) for row in pairs)
    lines = [json.dumps(dict(zip(("photo", "label map", "split"), row, strict=True)) | {"id": 3}) for row in pairs]
    first = make(root, tsv, "list.tsv", columns=columns)
    second = make(root, "\n".join(lines) + "\n\n", "list.jsonl", columns=columns)
    assert first.fingerprint() == second.fingerprint()
    assert first.summary() == {"train_a": 3, "train_b": 3, "test_a": 1, "test_b": 1}


def test_domains_and_unused_validation_rows(root):
    rows = ["image,domain,split"]
    rows += [
        f"photos/{i}.png,{'horse' if i % 2 else 'zebra'},{'train' if i < 4 else 'test' if i < 8 else 'val'}"
        for i in range(10)
    ]
    source = make(root, "\n".join(rows), domains=("horse", "zebra"))
    assert source.pairing == "unpaired"
    images = source.decode()
    assert (reds(images.train_a), reds(images.train_b)) == ([1, 3], [0, 2])
    assert (reds(images.test_a), reds(images.test_b)) == ([5, 7], [4, 6])
    assert reds(make(root, "\n".join(rows)).decode().train_a) == [0, 2], "the first domain of the file is A"


def test_two_of_many_domains(root):
    rows = ["image,domain,split"]
    rows += [f"photos/{i}.png,{'xyz'[i % 3]},{'train' if i < 5 else 'test'}" for i in range(10)]
    with pytest.raises(DataError, match=r"has the domains x, y, z; say which, such as domains: \[x, y\]"):
        make(root, "\n".join(rows))
    assert reds(make(root, "\n".join(rows), domains=("z", "x")).decode().train_a) == [2]
    with pytest.raises(DataError, match="no domain 'w'"):
        make(root, "\n".join(rows), domains=("z", "w"))


def test_single_images_are_held_out_by_name_for_a_task(root):
    rows = ["image"] + [f"photos/{i}.png" for i in range(10)]
    source = make(root, "\n".join(rows), task="colorize", test_share=0.4)
    summary = source.summary()
    assert summary["train_a"] + summary["test_a"] == 10
    assert summary["test_a"] >= 1
    assert source.decode().paired


@pytest.mark.parametrize(
    ("text", "params", "match"),
    [
        ("a,b\nphotos/0.png,maps/0.png", {}, r"list.csv:2: names no split; add a column split"),
        ("a,b,split\nphotos/0.png,maps/99.png,train", {}, r"list.csv:2: .*maps/99.png: there is no such file"),
        ("a,b,split\nphotos/0.png,,train", {}, r"list.csv:2: the column b is empty"),
        ("a,b,split\nphotos/0.png,maps/0.png,tset", {}, r"list.csv:2: the split is 'tset'; write train or test"),
        ("a,b,split\nphotos/0.png,maps/0.png,train", {}, r"list.csv: names no test images of domain A"),
        ("x,y\n1,2", {}, r"neither the columns a and b nor image"),
        ("image,split\nphotos/0.png,train", {}, r"add a task, such as task: colorize"),
        ("a,b\n1,2,3", {}, r"list.csv:2: has more cells"),
        ('a,b\n"1,2', {}, r"is not valid CSV"),
    ],
)
def test_mistakes_name_the_line(root, text, params, match):
    with pytest.raises(DataError, match=match) as error:
        make(root, text, **params)
    assert "\n" not in str(error.value)


def test_other_files(root):
    with pytest.raises(DataError, match=r"is not valid JSONL"):
        make(root, "{", "x.jsonl")
    with pytest.raises(DataError, match=r"x.jsonl:1: a line of JSONL is an object"):
        make(root, "[1]", "x.jsonl")
    with pytest.raises(DataError, match=r"a list is a .csv, .tsv or .jsonl file"):
        make(root, "a", "x.txt")
    with pytest.raises(DataError, match="cannot be read"):
        List(ListParams(path="none.csv"), root)
    with pytest.raises(ValueError, match="unknown column 'c'"):
        ListParams(path="x.csv", columns={"c": "d"})

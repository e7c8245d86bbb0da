"""Several domains: batches that visit them evenly, and sets whose pairs share one split and one drawing of each image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from i2ibench.data.domains import DomainBatches
from i2ibench.data.folder import Folder
from i2ibench.data.glyphs import Glyphs
from i2ibench.data.images import Images
from i2ibench.data.lists import List
from i2ibench.data.source import SourceParams
from i2ibench.errors import DataError

SIZE = 8
FONTS = ("cmr10", "cmtt10", "cmb10")  # small alphabets: the split is found in a moment


def numbered(counts: list[int], *, paired: bool = False) -> list[Images]:
    """Pairs of the first domain with each other; pixel (y, x) of image i of domain d holds (i, 16 d + y, x)."""

    def make(domain: int) -> np.ndarray:
        i, y, x = np.meshgrid(np.arange(counts[domain]), np.arange(SIZE), np.arange(SIZE), indexing="ij")
        return np.stack([i, 16 * domain + y, x], axis=-1).astype(np.uint8)

    first = make(0)
    others = [make(domain) for domain in range(1, len(counts))]
    return [Images(first, other, first, other, (), paired, "0123456789abcdef" * 4) for other in others]


counts = st.lists(st.integers(1, 12), min_size=3, max_size=5)
seeds = st.integers(0, 2**32)


@settings(deadline=None, max_examples=25)
@given(counts=counts, seed=seeds, batch_size=st.integers(1, 9), step=st.integers(0, 500))
def test_images_are_of_the_domains_that_they_are_said_to_be_of(
    counts: list[int], seed: int, batch_size: int, step: int
) -> None:
    batches = DomainBatches(numbered(counts), batch_size, seed, SourceParams(size=SIZE))
    a, b, of_a, of_b = batches.pixels(step)
    for images, domains in ((a, of_a), (b, of_b)):
        assert images.shape == (batch_size, 3, SIZE, SIZE)
        assert torch.equal(images[:, 1, 0, 0].long() // 16, domains)
    assert (of_a != of_b).all(), "there would be nothing to translate"


@settings(deadline=None, max_examples=25)
@given(counts=counts, seed=seeds, batch_size=st.integers(1, 9))
def test_all_domains_come_equally_often_and_each_epoch_has_every_image_once(
    counts: list[int], seed: int, batch_size: int
) -> None:
    k, rounds = len(counts), 2 * max(counts)
    batches = DomainBatches(numbered(counts), batch_size, seed, SourceParams(size=SIZE))
    steps = -(-k * rounds // batch_size)
    seen: list[list[tuple[int, int, int]]] = [[] for _ in counts]  # by domain: (place, stream, row)
    for step in range(steps):
        for stream, (domains, rows) in enumerate(batches.indices(step)):
            for i, (domain, row) in enumerate(zip(domains, rows, strict=True)):
                seen[domain].append(((step * batch_size + i) // k, stream, int(row)))
    for count, visits in zip(counts, seen, strict=True):
        whole = [row for turn, _, row in sorted(visits) if turn < rounds]
        assert len(whole) == 2 * rounds
        for epoch in range(2 * rounds // count):
            assert sorted(whole[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_every_ordered_pair_of_domains_is_equally_likely() -> None:
    batches = DomainBatches(numbered([3, 50, 7]), 30, 0, SourceParams(size=SIZE))
    met: Counter[tuple[int, int]] = Counter()
    for step in range(200):
        (of_a, _), (of_b, _) = batches.indices(step)
        met.update(zip(of_a.tolist(), of_b.tolist(), strict=True))
    assert set(met) == {(i, j) for i in range(3) for j in range(3) if i != j}
    assert max(met.values()) - min(met.values()) < 6 * 1000**0.5, "1,000 each are expected"


@settings(deadline=None, max_examples=25)
@given(seed=seeds, steps=st.lists(st.integers(0, 300), min_size=1, max_size=4), cut=st.integers(0, 5))
def test_a_step_is_the_same_whatever_was_asked_before_and_its_parts_make_it_up(
    seed: int, steps: list[int], cut: int
) -> None:
    params = SourceParams(size=SIZE - 2, load_size=SIZE, flip=True)
    images = numbered([4, 9, 5])
    one = DomainBatches(images, 5, seed, params)
    for step in steps:
        whole = one.at(step)
        fresh = DomainBatches(images, 5, seed, params)
        parts = zip(fresh.at(step, slice(0, cut)), fresh.at(step, slice(cut, None)), strict=True)
        for expected, (first, second) in zip(whole, parts, strict=True):
            assert torch.equal(expected, torch.cat([first, second]))


@pytest.mark.parametrize("k", [3, 4])
def test_of_paired_domains_no_image_has_its_partner_in_the_training_set(k: int) -> None:
    batches = DomainBatches(numbered([20] * k, paired=True), 8, 0, SourceParams(size=SIZE))
    rows: list[set[int]] = [set() for _ in range(k)]
    for step in range(40):
        for domains, found in batches.indices(step):
            for domain, row in zip(domains, found, strict=True):
                rows[domain].add(int(row))
    assert sum(map(len, rows)) == 20, "all are seen"
    assert set().union(*rows) == set(range(20)), "each in one domain alone"
    with pytest.raises(DataError, match="3 paired domains needs 3 training images"):
        DomainBatches(numbered([2, 2, 2], paired=True), 8, 0, SourceParams(size=SIZE))


@pytest.mark.parametrize("crop", [False, True])
def test_images_held_as_tensors_give_the_same(crop: bool) -> None:
    """As on a GPU, where the images live."""
    params = SourceParams(size=SIZE - 2, load_size=SIZE, flip=True) if crop else SourceParams(size=SIZE)
    mapped, held = (DomainBatches(numbered([4, 9, 5]), 7, 0, params) for _ in range(2))
    held._arrays = [torch.from_numpy(array) for array in mapped._arrays if isinstance(array, np.ndarray)]
    for step in (0, 3):
        for expected, found in zip(mapped.at(step), held.at(step), strict=True):
            assert torch.equal(expected, found)


# -- the sets ----------------------------------------------------------------------------------------------------------


def glyphs(**keys: Any) -> Glyphs:
    return Glyphs(Glyphs.Params(size=16, **keys))


def test_the_pairs_of_several_fonts_share_their_characters_their_split_and_each_fonts_drawings() -> None:
    first, second = (glyphs(domains=FONTS, pair=pair).decode() for pair in (FONTS[:2], FONTS[1:]))
    assert first.test_names == second.test_names
    assert np.array_equal(first.train_b, second.train_a)
    assert np.array_equal(first.test_b, second.test_a)
    back = glyphs(domains=FONTS, pair=FONTS[:2], direction="BtoA").decode()
    assert np.array_equal(back.test_a, first.test_b)
    assert len({glyphs(domains=FONTS, pair=pair).fingerprint() for pair in (FONTS[:2], FONTS[1:])}) == 2
    train = {image.tobytes() for images in (first.train_a, first.train_b, second.train_b) for image in images}
    assert not [image for images in (first.test_a, second.test_b) for image in images if image.tobytes() in train]


def test_two_domains_by_their_short_names_are_the_two_fonts() -> None:
    fonts = glyphs(source_font="DejaVu Sans Bold", target_font="DejaVu Sans Mono")
    named = glyphs(domains=("bold", "mono"))
    assert named.fingerprint() == fonts.fingerprint()
    assert named.to_spread == ()
    assert glyphs(domains=("regular", "bold", "mono")).to_spread == ("regular", "bold", "mono")
    with pytest.raises(ValidationError, match="leave those out"):
        glyphs(domains=("bold", "mono"), target_font="DejaVu Sans")
    with pytest.raises(DataError, match="'mono' and 'DejaVu Sans Mono' are one font"):
        glyphs(domains=("mono", "DejaVu Sans Mono", "bold"))


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Three domains of 3 to 5 images; the red of an image is 50 x its domain + its number."""
    for d, domain in enumerate(("cat", "dog", "wild")):
        for split, count in (("train", 3 + d), ("val", 2)):
            folder = tmp_path / "animals" / split / domain
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (SIZE, SIZE), (50 * d + i, 0, 0)).save(folder / f"{i}.png")
    return tmp_path / "animals"


def folder(path: Path, **keys: Any) -> Folder:
    return Folder(Folder.Params(**{"path": str(path), "layout": "domains", "size": SIZE} | keys))


def reds(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def test_a_folder_with_a_folder_for_each_domain(animals: Path) -> None:
    assert folder(animals).to_spread == ("cat", "dog", "wild")
    source = folder(animals, domains=("wild", "cat", "dog"), pair=("wild", "dog"))
    images = source.decode()
    assert source.to_spread == ()
    assert source.pairing == "unpaired"
    assert reds(images.train_a) == [100, 101, 102, 103, 104]
    assert reds(images.test_b) == [50, 51]
    two = folder(animals, domains=("wild", "dog"))
    assert two.fingerprint() == source.fingerprint(), "the images are the same"
    assert reds(folder(animals, domains=("wild", "dog"), direction="BtoA").decode().train_a) == [50, 51, 52, 53]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"domains": ("cat", "dgo")}, r"train has no folder 'dgo'; did you mean 'dog'"),
        ({"layout": "images", "task": "colorize", "domains": ("cat", "dog")}, "`domains` belongs to layout domains"),
        ({"task": "colorize"}, "task colorize makes pairs from the images of one domain: name two `domains`"),
    ],
)
def test_a_mistake_is_named(animals: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        folder(animals, **keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"domains": ("cat", "cat")}, "two or more different"),
        ({"domains": ("cat", "dog", "wild"), "pair": ("cat", "lion")}, "should be two of `domains`"),
        ({"pair": ("cat", "dog")}, "should be two of `domains`"),
    ],
)
def test_domains_and_pair_fit_together(animals: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        folder(animals, **keys)


def test_a_domain_without_test_images_is_named(animals: Path) -> None:
    (animals / "train" / "fish").mkdir()
    Image.new("RGB", (SIZE, SIZE)).save(animals / "train" / "fish" / "0.png")
    with pytest.raises(DataError, match=r"val/fish: there is no such folder"):
        folder(animals, domains=("cat", "fish"))


def test_a_list_with_several_domains(animals: Path) -> None:
    rows = [
        f"{file.relative_to(animals)},{file.parent.name},{file.parts[-3]}" for file in sorted(animals.glob("*/*/*.png"))
    ]
    (animals / "list.csv").write_text("\n".join(["image,domain,split", *rows]), encoding="utf-8")
    keys = {"path": str(animals / "list.csv"), "size": SIZE, "domains": ("cat", "dog", "wild")}
    assert List(List.Params(**keys)).to_spread == ("cat", "dog", "wild")
    source = List(List.Params(**keys, pair=("dog", "wild")))
    assert reds(source.decode().train_a) == [50, 51, 52, 53]
    assert reds(source.decode().test_b) == [100, 101]

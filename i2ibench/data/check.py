"""What is in a set of image files, and what is wrong with it: broken files, leaks between splits, sizes, colours."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from i2ibench.data import pixels
from i2ibench.data.files import Files
from i2ibench.data.folder import Folder, FolderParams, is_image, layouts
from i2ibench.data.images import Progress
from i2ibench.data.items import Item, read
from i2ibench.data.lists import List, ListParams
from i2ibench.data.pairing import doubt_of
from i2ibench.data.paths import entries
from i2ibench.data.shards import ShardParams, WebDataset
from i2ibench.data.source import LEAST_TEST
from i2ibench.errors import DataError, absent
from i2ibench.machine import cores

CLOSE = 12.0  # root mean squared difference (of 255) of two 16 x 16 thumbnails below which images are near-duplicates
ALIKE = 0.25  # and that as a share of a thumbnail's own contrast, for those that have little
LARGEST = 256  # of the sizes that are proposed
SHARES = {"test_share": 0.1}, {"test_share": 0.2}, {"test_share": 0.5}  # likewise: the first that leaves enough to test


@dataclass(frozen=True)
class Look:
    """What one image looks like."""

    item: Item
    width: int
    height: int
    mode: str
    colour: np.ndarray  # mean of R, G, B
    spread: float  # standard deviation over all pixels and channels
    digest: str  # of the pixels
    thumbnail: np.ndarray  # uint8 (16, 16, 3)


@dataclass(frozen=True)
class Twin:
    """A test image that a training image looks like."""

    test: Item
    train: Item
    kind: str  # "the same pixels", "nearly the same", "mirrored"


@dataclass
class Report:
    """All that was found. `yaml` is how to use the set, as a mapping for an entry of `data:`; empty if it cannot be."""

    path: Path
    counts: dict[str, int] = field(default_factory=dict)
    looks: dict[str, list[Look]] = field(default_factory=dict)  # by array: train_a, ...
    broken: list[str] = field(default_factory=list)
    twins: list[Twin] = field(default_factory=list)
    unequal: list[tuple[Look, Look]] = field(default_factory=list)  # the A and B of pairs that differ in size
    repeats: dict[str, list[tuple[Item, Item]]] = field(default_factory=dict)  # array -> image, an earlier one like it
    problems: list[str] = field(default_factory=list)  # why it cannot be used as it is, or what is doubtful
    yaml: dict[str, Any] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        return not (self.broken or self.twins or self.unequal or self.problems)


def check(path: Path, progress: Progress | None = None) -> Report:
    """Read every image of a folder, a list, or a folder of shards.

    Raises:
        DataError: there is no such file or folder, or nothing in it is an image.
    """
    report = Report(path)
    source, report.yaml, problem = _recognise(path)
    if problem:
        report.problems.append(problem)
    if source is not None:
        arrays = source.by_domain() if isinstance(source, Folder) and source.to_spread else source.files
        if report.yaml.get("task"):  # single images: A and B are the same
            arrays = {name: items for name, items in arrays.items() if name.endswith("a")}
    else:
        arrays = {"images": [Item(file) for file in _all_images(path)]}
        if not arrays["images"]:
            raise DataError(f"{path}: {problem or 'holds no images'}")
    report.counts = {name: len(items) for name, items in arrays.items()}
    report.problems += [
        f"the test images of {_domain(name)} are {n}, and scores need at least {LEAST_TEST}"
        for name, n in report.counts.items()
        if name.startswith("test") and n < LEAST_TEST
    ]
    _look_at(arrays, report, progress)
    report.repeats = {name: again for name, looks in report.looks.items() if (again := _repeats(looks))}
    for domain in dict.fromkeys(name.partition("_")[2] for name in arrays):
        report.twins += _twins(report.looks.get(f"train_{domain}", []), report.looks.get(f"test_{domain}", []))
    if source is not None and source.kind_paired and not report.yaml.get("task"):
        report.unequal = _unequal(arrays, report.looks)
    if report.yaml:
        report.yaml |= _proposal([look for looks in report.looks.values() for look in looks])
    return report


def _recognise(path: Path) -> tuple[Files | None, dict[str, Any], str]:
    """The source that fits, the keys to use it, and what is wrong where none fits."""
    if not path.exists():
        raise DataError(absent(path, "file or folder"))
    tried: list[tuple[type[Files], Any, dict[str, Any]]] = []
    if path.is_file():
        for share in ({}, *SHARES):
            for task in ({}, {"task": "colorize"}):
                tried.append((List, ListParams, {"path": str(path), **task, **share}))
    elif any(file.suffix == ".tar" for file in entries(path)):
        for layout in ("pairs", "unpaired", "images"):
            task = {"task": "colorize"} if layout == "images" else {}
            tried.append((WebDataset, ShardParams, {"path": str(path), "layout": layout, **task}))
    else:
        fitting: list[str] = [layout for layout in layouts(path) if layout != "images"]
        for layout in fitting:
            if layout != "side-by-side" or _side_by_side(path):
                tried.append((Folder, FolderParams, {"path": str(path), "layout": layout}))
        flat = not fitting and any(map(is_image, entries(path)))
        single = {"path": str(path), "layout": "images", "task": "colorize"}
        tried += [(Folder, FolderParams, {**single, **share}) for share in (SHARES if flat else ({},))]
    problem = ""
    for kind, params, values in tried:
        try:
            source = kind(params(**values), Path())
        except DataError as error:
            problem = problem or str(error)
            continue
        if len(source.files["test_a"]) < LEAST_TEST and values.get("test_share", 1) < SHARES[-1]["test_share"]:
            continue
        doubt = doubt_of(source.files) if "do not pair by name" in problem else None
        return source, {"source": kind.name, **values}, "" if doubt is None else problem + doubt
    return None, {}, problem


def _domain(name: str) -> str:
    """Of test_a "A", and of several domains, test_cat, "cat"."""
    domain = name.partition("_")[2]
    return domain.upper() if domain in ("a", "b") else domain


def _repeats(looks: Sequence[Look]) -> list[tuple[Item, Item]]:
    """The images whose pixels an earlier one has, each with the first of these."""
    first: dict[str, Item] = {}
    again = [(look.item, first.setdefault(look.digest, look.item)) for look in looks]
    return [(item, earlier) for item, earlier in again if item is not earlier]


def _side_by_side(path: Path) -> bool:
    """Whether the first training images are at least nearly twice as wide as they are high."""
    files = sorted(filter(is_image, entries(path / "train")))[:5]
    wide = 0
    for file in files:
        with suppress(DataError):  # found again, and reported, when all files are read
            height, width = pixels.extent(file, str(file))
            wide += 1.6 <= width / height <= 3
    return 2 * wide > len(files)


def _all_images(path: Path) -> list[Path]:
    found = sorted(path.rglob("*")) if path.is_dir() else ()
    return [file for file in found if is_image(file) and file.is_file()]


def _look_at(arrays: dict[str, list[Item]], report: Report, progress: Progress | None) -> None:
    """Read every image once, on all cores."""
    jobs = [(name, item) for name, items in arrays.items() for item in items]

    def work(job: tuple[str, Item]) -> Look | str:
        try:
            return _look(job[1])
        except DataError as error:
            return str(error)

    report.looks = {name: [] for name in arrays}
    with ThreadPoolExecutor(cores()) as pool:
        for done, ((name, _), look) in enumerate(zip(jobs, pool.map(work, jobs), strict=True), start=1):
            if isinstance(look, Look):
                report.looks[name].append(look)
            else:
                report.broken.append(look)
            if progress:
                progress(done, len(jobs))
    report.broken = list(dict.fromkeys(report.broken))  # a side-by-side file is read for both of its halves


def _look(item: Item) -> Look:
    from PIL import Image

    image = pixels.half(read(item._replace(half=None)), item.half, item.place)  # says what is wrong, in our words
    mode = ""
    if item.member is None:
        with Image.open(item.path) as file:
            mode = file.mode + (" with alpha" if file.has_transparency_data else "")
    array = np.asarray(image)
    return Look(
        item,
        *image.size,
        mode or "RGB",
        array.mean(axis=(0, 1)),
        float(array.std()),
        hashlib.sha256(array.tobytes() + repr(array.shape).encode()).hexdigest(),
        np.asarray(image.resize((16, 16), Image.Resampling.BOX)),
    )


def _twins(train: list[Look], test: list[Look]) -> list[Twin]:
    """For each test image the training image that it is a near-duplicate of, if there is one."""
    if not train or not test:
        return []
    by_digest = {look.digest: look for look in reversed(train)}
    known = np.stack([look.thumbnail for look in train])
    thumbnails = np.stack([look.thumbnail for look in test])
    plain, turned = _nearest(known, thumbnails), _nearest(known, thumbnails[:, :, ::-1])
    found = []
    for i, look in enumerate(test):
        if look.digest in by_digest:
            found.append(Twin(look.item, by_digest[look.digest].item, "the same pixels"))
            continue
        bound = min(CLOSE, ALIKE * float(look.thumbnail.std()))
        for kind, (row, distance) in (("nearly the same", plain[i]), ("mirrored", turned[i])):
            if distance < bound:
                found.append(Twin(look.item, train[row].item, kind))
                break
    return found


def _unequal(arrays: dict[str, list[Item]], looks: dict[str, list[Look]]) -> list[tuple[Look, Look]]:
    """The pairs whose two images differ in size; those of which one cannot be read are left out."""
    seen = {name: {look.item: look for look in found} for name, found in looks.items()}
    pairs = [
        (seen[f"{split}_a"].get(a), seen[f"{split}_b"].get(b))
        for split in ("train", "test")
        for a, b in zip(arrays[f"{split}_a"], arrays[f"{split}_b"], strict=True)
    ]
    return [(a, b) for a, b in pairs if a and b and (a.width, a.height) != (b.width, b.height)]


def _nearest(known: np.ndarray, wanted: np.ndarray) -> list[tuple[int, float]]:
    """For each of `wanted` the row of `known` that it differs least from, and by how much (root mean square)."""
    flat = known.reshape(len(known), -1).astype(np.float32)
    norms = (flat**2).sum(axis=1)
    found = []
    for start in range(0, len(wanted), 64):
        block = wanted[start : start + 64].reshape(-1, flat.shape[1]).astype(np.float32)
        squares = norms[:, None] + (block**2).sum(axis=1) - 2 * flat @ block.T
        rows = squares.argmin(axis=0)
        found += [(int(row), float(max(squares[row, i], 0) / flat.shape[1]) ** 0.5) for i, row in enumerate(rows)]
    return found


def _proposal(looks: Iterable[Look]) -> dict[str, Any]:
    """Keys that suit the sizes: the largest power of two that most images reach, cropped where their shapes differ."""
    looks = list(looks)
    if not looks:
        return {}
    side = float(np.percentile([min(look.width, look.height) for look in looks], 25))
    size = int(min(LARGEST, 2 ** int(np.log2(max(side, 4)))))
    shapes = Counter((look.width > 1.1 * look.height, look.height > 1.1 * look.width) for look in looks)
    return {"size": size} | ({"fit": "crop"} if len(shapes) > 1 else {})

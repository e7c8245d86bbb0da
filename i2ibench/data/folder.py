"""folder: image files on disk, paired side by side in one file, paired by name, or not paired at all."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from i2ibench.data import pixels
from i2ibench.data.cache import cores, digests
from i2ibench.data.images import Allocate, Images, Progress, in_memory
from i2ibench.data.source import Pairing, Source, SourceParams
from i2ibench.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SPLITS = {"train": ("train",), "test": ("test", "val")}  # what the folder of each split may be called


class FolderParams(SourceParams):
    path: str = Field(description="the folder; ~ and $VARIABLES are expanded; relative to the benchmark file")
    layout: Literal["side-by-side", "by-name", "unpaired"] = Field(
        description="side-by-side: train/ and test/ with A|B in one file; by-name: trainA/, trainB/, testA/ and testB/ "
        "with equal file names; unpaired: the same four folders, any names"
    )


class Half(NamedTuple):
    """Where one image is: a file, or the left ("a") or right ("b") half of one."""

    path: Path
    half: str | None = None


class Folder(Source):
    """Image files in a folder per split (and domain). `val` stands in for `test` where there is no `test`."""

    name = "folder"
    description = "image files on disk: paired side by side, paired by name, or unpaired"
    Params = FolderParams

    def __init__(self, params: FolderParams, base: Path | None = None) -> None:
        super().__init__(params, base)
        self.path = self.base / _expand(params.path)
        if not self.path.is_dir():
            raise DataError(f"{self.path}: {'is no folder' if self.path.exists() else 'there is no such folder'}")
        self.files = self._side_by_side() if params.layout == "side-by-side" else self._two_folders()

    @property
    def pairing(self) -> Pairing:
        return "unpaired" if self.params.layout == "unpaired" else "paired"

    def summary(self) -> dict[str, int]:
        return {name: len(items) for name, items in self._directed().items()}

    def fingerprint(self, cache_dir: Path | None = None) -> str:
        """Over the layout, names and bytes of all files, not over where they lie."""
        paths = list(dict.fromkeys(item.path for items in self.files.values() for item in items))
        file_digests = digests(paths, cache_dir)
        content = {
            name: [(item.path.name, item.half, file_digests[item.path]) for item in items]
            for name, items in self.files.items()
        }
        return hashlib.sha256(json.dumps([self.params.layout, content]).encode()).hexdigest()

    def decode(self, allocate: Allocate = in_memory, progress: Progress | None = None) -> Images:
        files = self._directed()
        sizes = {name: self.params.train_size if name.startswith("train") else self.params.size for name in files}
        arrays = {name: allocate(name, (len(items), sizes[name], sizes[name], 3)) for name, items in files.items()}
        wanted: dict[Path, list[tuple[str, int, str | None]]] = {}  # each file is read once, also for two halves
        for name, items in files.items():
            for i, item in enumerate(items):
                wanted.setdefault(item.path, []).append((name, i, item.half))

        def work(path: Path) -> None:
            image = pixels.read(path)
            for name, i, half in wanted[path]:
                arrays[name][i] = pixels.fitted(_half(image, half, path), sizes[name], self.params.fit)

        with ThreadPoolExecutor(cores()) as pool:
            try:
                for done, _ in enumerate(pool.map(work, wanted), start=1):
                    if progress:
                        progress(done, len(wanted))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        names = tuple(item.path.stem for item in files["test_a"])
        return Images(**arrays, test_names=names, paired=self.pairing == "paired", fingerprint=self.fingerprint())

    def _directed(self) -> dict[str, list[Half]]:
        """The files by array name, A and B as `direction` says."""
        if self.params.direction == "AtoB":
            return self.files
        other = {"a": "b", "b": "a"}
        return {f"{split}_{domain}": self.files[f"{split}_{other[domain]}"] for split in SPLITS for domain in "ab"}

    def _side_by_side(self) -> dict[str, list[Half]]:
        files: dict[str, list[Half]] = {}
        for split in SPLITS:
            paths = self._images(split, "")
            for domain in "ab":
                files[f"{split}_{domain}"] = [Half(path, domain) for path in paths]
        return files

    def _two_folders(self) -> dict[str, list[Half]]:
        files: dict[str, list[Half]] = {}
        for split in SPLITS:
            a, b = (self._images(split, domain) for domain in "AB")
            if self.params.layout == "by-name":
                _check_names(a, b)
            files |= {f"{split}_a": [Half(path) for path in a], f"{split}_b": [Half(path) for path in b]}
        return files

    def _images(self, split: str, domain: str) -> list[Path]:
        """The image files of a split's folder, sorted by name without ending."""
        for folder in (self.path / f"{name}{domain}" for name in SPLITS[split]):
            if folder.is_dir():
                break
        else:
            raise DataError(f"{self.path}: {self._expected()}")
        files = [path for path in _entries(folder) if path.suffix.lower() in pixels.ENDINGS and path.name[0] != "."]
        if not files:
            raise DataError(f"{folder}: holds no images ({', '.join(ending[1:] for ending in pixels.ENDINGS)})")
        return sorted(files, key=lambda path: (path.stem, path.suffix))

    def _expected(self) -> str:
        """What this layout needs, what is there, and the layout that what is there would fit."""
        needs = {
            "side-by-side": {"train", "test"},
            "by-name": (four := {"trainA", "trainB", "testA", "testB"}),
            "unpaired": four,
        }
        layout = self.params.layout
        found = sorted(path.name for path in _entries(self.path) if path.is_dir())
        as_test = {name.replace("val", "test") for name in found}
        others = [other for other, folders in needs.items() if folders <= as_test]
        expected, there = ", ".join(sorted(needs[layout], reverse=True)), ", ".join(found[:8]) or "none"
        hint = f"; perhaps you mean layout: {' or '.join(others)}" if others else ""
        return f"layout {layout} expects the folders {expected} (val may stand for test); found: {there}{hint}"


def _expand(path: str) -> Path:
    try:
        return Path(Template(path).substitute(os.environ)).expanduser()
    except KeyError as error:
        raise DataError(f"path {path!r}: the environment variable {error.args[0]} is not set") from None
    except (ValueError, RuntimeError) as error:
        raise DataError(f"path {path!r}: {error} (write $$ for a dollar sign)") from None


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None


def _check_names(a: list[Path], b: list[Path]) -> None:
    """Raise DataError unless each name, without its ending, is there exactly once in each of the two folders."""
    folder_a, folder_b = a[0].parent, b[0].parent
    for files in (a, b):
        twice = [path.stem for path, following in itertools.pairwise(files) if path.stem == following.stem]
        if twice:
            raise DataError(f"{files[0].parent}: several files are named {_few(twice)}: pairs need one of each name")
    stems_a, stems_b = {path.stem for path in a}, {path.stem for path in b}
    if stems_a == stems_b:
        return
    sides = ((folder_a, stems_a - stems_b), (folder_b, stems_b - stems_a))
    lonely = [f"only in {folder.name}: {_few(sorted(stems))}" for folder, stems in sides if stems]
    raise DataError(
        f"{folder_a.parent}: {folder_a.name} ({len(a)} images) and {folder_b.name} ({len(b)}) do not pair by name: "
        f"{'; '.join(lonely)}; for data without pairs write layout: unpaired"
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _half(image: Image, half: str | None, path: Path) -> Image:
    if half is None:
        return image
    width, height = image.size
    if width % 2:
        raise DataError(f"{path}: is {width} pixels wide; two images side by side need an even width")
    middle = width // 2
    return image.crop((0, 0, middle, height) if half == "a" else (middle, 0, width, height))

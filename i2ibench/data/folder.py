"""folder: image files on disk, paired side by side or by name, not paired, of several domains, or single."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

from pydantic import Field

from i2ibench.data import pixels
from i2ibench.data.files import FileParams, Files, refuse_task_of_several, require_task
from i2ibench.data.items import Item, held_out
from i2ibench.data.paths import entries, existing, expand
from i2ibench.data.source import DomainParams
from i2ibench.errors import DataError, did_you_mean, few, readable

Layout = Literal["side-by-side", "by-name", "unpaired", "hidden-pairs", "domains", "images"]
TRIED = {"train": ("train",), "test": ("test", "val")}  # what the folder of each split may be called


class FolderParams(FileParams, DomainParams):
    path: str = Field(description="the folder; ~ and $VARIABLES are expanded; relative to the benchmark file")
    layout: Layout = Field(
        description="side-by-side: train/ and test/ with A|B in one file; by-name: trainA/, trainB/, testA/ and testB/ "
        "with equal file names; unpaired: the same four folders, any names; hidden-pairs: trained on as unpaired, "
        "while testA/ and testB/ pair by name and are scored so; domains: train/ and test/ with a folder for each; "
        "images: train/ and test/, for a task"
    )
    domains: tuple[str, ...] | None = Field(None, description="which domains, with layout domains; default: all")
    test_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="for a folder without train/ and test/ (layout images): the share of images to hold out, by name",
    )


class Folder(Files):
    """Image files in a folder per split (and domain). `val` stands in for `test` where there is no `test`."""

    name = "folder"
    description = "image files on disk: paired side by side, paired by name, unpaired, or single"
    Params = FolderParams
    params: FolderParams

    def __init__(self, params: FolderParams, base: Path | None = None) -> None:
        super().__init__(params, base)
        self.path = existing(self.base / expand(params.path))
        if params.layout == "domains":
            self.params = params = self._with_domains(params)
            refuse_task_of_several(params)
        elif params.domains is not None:
            raise DataError(f"{self.path}: `domains` belongs to layout domains")
        if params.layout == "images":
            require_task(self.path, params)
        if params.test_share is not None and params.layout != "images":
            raise DataError(
                f"{self.path}: test_share belongs to layout images; the others have folders for their splits"
            )
        self.files = {
            "side-by-side": self._side_by_side,
            "by-name": self._two_folders,
            "unpaired": self._two_folders,
            "hidden-pairs": self._two_folders,
            "domains": self._domains,
            "images": self._single,
        }[params.layout]()

    @property
    def kind_paired(self) -> bool:
        return self.params.layout in ("side-by-side", "by-name")

    @property
    def kind_hidden(self) -> bool:
        return self.params.layout == "hidden-pairs"

    def _side_by_side(self) -> dict[str, list[Item]]:
        return {
            f"{split}_{domain}": [item._replace(half=domain) for item in items]
            for split in TRIED
            for items in [self._images(split, "")]
            for domain in "ab"
        }

    def _single(self) -> dict[str, list[Item]]:
        share = self.params.test_share
        if share is None:
            splits = {split: self._images(split, "") for split in TRIED}
        else:
            splits = split_images(self._items(self.path), share, self.path)
        return {f"{split}_{domain}": splits[split] for split in TRIED for domain in "ab"}

    def _with_domains(self, params: FolderParams) -> FolderParams:
        """The parameters with the domains that they leave open: the folders in train/."""
        found = sorted(
            path.name for path in entries(self._folder("train", "")) if path.is_dir() and path.name[0] != "."
        )
        for domain in params.domains or ():
            if domain not in found:
                raise DataError(f"{self.path}: train has no folder '{domain}'; {did_you_mean(domain, found)}")
        if len(found) < 2:
            raise DataError(
                f"{self.path}: layout domains expects a folder in train for each domain; found {few(found)}"
            )
        return params if params.domains else params.model_copy(update={"domains": tuple(found)})

    def by_domain(self) -> dict[str, list[Item]]:
        """The images of each split and domain, of layout domains: train_cat, test_dog, ..."""
        return {
            f"{split}_{domain}": self._items(existing(self._folder(split, "") / domain))
            for split in TRIED
            for domain in self.params.domains or ()
        }

    def _domains(self) -> dict[str, list[Item]]:
        names, items = self.params.domains or (), self.by_domain()
        return {
            f"{split}_{domain}": items[f"{split}_{names[end]}"]
            for split in TRIED
            for domain, end in zip("ab", self.params.ends, strict=True)
        }

    def _two_folders(self) -> dict[str, list[Item]]:
        files: dict[str, list[Item]] = {}
        for split in TRIED:
            a, b = (self._images(split, domain) for domain in "AB")
            if self.params.layout == "by-name" or (self.params.layout == "hidden-pairs" and split == "test"):
                check_names(a, b)
            files |= {f"{split}_a": a, f"{split}_b": b}
        return files

    def _images(self, split: str, domain: str) -> list[Item]:
        """The images of a split's folder, sorted by name without ending."""
        return self._items(self._folder(split, domain))

    def _folder(self, split: str, domain: str) -> Path:
        for folder in (self.path / f"{name}{domain}" for name in TRIED[split]):
            if folder.is_dir():
                return folder
        raise DataError(f"{self.path}: {self._expected()}")

    def _items(self, folder: Path) -> list[Item]:
        """The images in a folder; where folders are classes, those in its folders."""
        if self.params.labels != "folders":
            return [Item(path) for path in image_files(folder)]
        if beside := [path.name for path in entries(folder) if is_image(path)]:
            raise DataError(f"{folder}: {few(sorted(beside))} lie beside the folders of the classes (labels: folders)")
        classes = sorted(path for path in entries(folder) if path.is_dir() and path.name[0] != ".")
        if not classes:
            raise DataError(f"{folder}: holds no folders; labels: folders needs one for each class")
        return [Item(path, folder=readable(each.name)) for each in classes for path in image_files(each)]

    def _expected(self) -> str:
        """What this layout needs, what is there, and the layout that what is there would fit."""
        layout = self.params.layout
        found = sorted(path.name for path in entries(self.path) if path.is_dir())
        others = [other for other in layouts(self.path) if other != layout]
        expected, there = ", ".join(sorted(NEEDS[layout], reverse=True)), ", ".join(found[:8]) or "none"
        hint = f"; perhaps you mean layout: {' or '.join(others)}" if others else ""
        if layout == "images" and not others:
            hint = "; for images without splits say how many to hold out, such as test_share: 0.1"
        return f"layout {layout} expects the folders {expected} (val may stand for test); found: {there}{hint}"


TWO = frozenset({"train", "test"})
FOUR = frozenset({"trainA", "trainB", "testA", "testB"})
NEEDS: dict[Layout, frozenset[str]] = {
    "side-by-side": TWO,
    "by-name": FOUR,
    "unpaired": FOUR,
    "hidden-pairs": FOUR,
    "domains": TWO,
    "images": TWO,
}


def layouts(folder: Path) -> list[Layout]:
    """The layouts that the folders in `folder` would fit."""
    found = {path.name.replace("val", "test") for path in entries(folder) if path.is_dir()}
    nested = (folder / "train").is_dir() and any(path.is_dir() for path in entries(folder / "train"))
    return [layout for layout, folders in NEEDS.items() if folders <= found and (nested or layout != "domains")]


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder (hidden ones left out), sorted by name without ending; at least one."""
    files = [path for path in entries(folder) if is_image(path)]
    if not files:
        raise DataError(f"{folder}: holds no images ({', '.join(ending[1:] for ending in pixels.ENDINGS)})")
    return sorted(files, key=lambda path: (path.stem, path.suffix))


def is_image(path: Path) -> bool:
    """Whether this is an image by its ending, and not hidden."""
    return path.suffix.lower() in pixels.ENDINGS and path.name[0] != "."


def split_images(files: list[Item], share: float, where: Path) -> dict[str, list[Item]]:
    """Train and test images, by the hash of each name."""
    splits = {
        "train": [item for item in files if not held_out(item.name, share)],
        "test": [item for item in files if held_out(item.name, share)],
    }
    for split, items in splits.items():
        if not items:
            raise DataError(f"{where}: test_share {share} of {len(files)} images leaves none for {split}; change it")
    return splits


def check_names(a: list[Item], b: list[Item]) -> None:
    """Raise DataError unless each name, without its ending, is there exactly once in each of the two folders."""
    folder_a, folder_b = (items[0].path.parents[1 if items[0].folder else 0] for items in (a, b))
    for folder, items in ((folder_a, a), (folder_b, b)):
        twice = [item.name for item, following in itertools.pairwise(items) if item.name == following.name]
        if twice:
            raise DataError(f"{folder}: several files are named {few(twice)}: pairs need one of each name")
    stems_a, stems_b = {item.name for item in a}, {item.name for item in b}
    if stems_a == stems_b:
        return
    sides = ((folder_a, stems_a - stems_b), (folder_b, stems_b - stems_a))
    lonely = [f"only in {folder.name}: {few(sorted(stems))}" for folder, stems in sides if stems]
    raise DataError(
        f"{folder_a.parent}: {folder_a.name} ({len(a)} images) and {folder_b.name} ({len(b)}) do not pair by name: "
        f"{'; '.join(lonely)}; for data without pairs write layout: unpaired"
    )

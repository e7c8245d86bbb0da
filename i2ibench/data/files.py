"""What all sets of image files share: lists of files become a fingerprint, decoded arrays, and tasks made from them."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from i2ibench.data import pixels
from i2ibench.data.cache import digests
from i2ibench.data.images import Allocate, Images, Progress, in_memory
from i2ibench.data.items import Item, extent, read
from i2ibench.data.labels import LABELLED, ClassLabels, Palette, colours, digest, read_csv
from i2ibench.data.paths import expand
from i2ibench.data.ragged import Ragged
from i2ibench.data.source import DomainParams, Pairing, Source, SourceParams
from i2ibench.data.tasks import AnyTask, SuperResolve
from i2ibench.errors import DataError, few
from i2ibench.lazy import np
from i2ibench.machine import cores

if TYPE_CHECKING:
    from PIL.Image import Image

_READ: dict[str, str] = {}  # digests known to this process: of several domains, each is a part of many pairs
OTHER = {"a": "b", "b": "a"}


class FileParams(SourceParams):
    """Keys of every set of image files."""

    task: AnyTask | None = Field(
        None, description="make pairs from single images, as a task says: its name, or {name: ..., its keys}"
    )
    task_on: Literal["A", "B"] = Field("A", description="which domain's images a task is made from")
    palette: dict[str, tuple[int, int, int]] | None = Field(
        None,
        description='if one domain is label maps: the colour of each class, [r, g, b] or "#rrggbb"; '
        "label maps are resized by nearest pixel",
    )
    palette_domain: Literal["A", "B"] = Field("B", description="which domain that is, before direction")
    test_size: Literal["own"] | None = Field(
        None,
        description="own: test images keep their width and height, cut to a multiple of the scale of super-resolve, as "
        "published tables of that task have them; default: `size`",
    )
    labels: str | None = Field(
        None,
        description="class of each image: a CSV file of name,class (relative to the benchmark file); or, of a folder, "
        "folders (trainA/CLASS/...)",
    )

    _colours = field_validator("palette", mode="before")(colours)

    @property
    def scale(self) -> int:
        return self.task.scale if isinstance(self.task, SuperResolve) and self.direction == "AtoB" else 1

    @property
    def own_sizes(self) -> bool:
        return self.test_size == "own"


class Files(Source):
    """A set of image files. A subclass fills `files` (four lists, before `direction`) and says `kind_paired`."""

    Params: ClassVar[type[SourceParams]] = FileParams
    params: FileParams
    files: dict[str, list[Item]]

    def __init__(self, params: FileParams, base: Path | None = None) -> None:
        super().__init__(params, base)
        for size in (params.size, params.train_size):
            if params.task and (hindrance := params.task.hindrance(size)):
                raise DataError(f"task {params.task.name}: {hindrance}")
        if params.palette and params.jitter:
            raise DataError("jitter would change the colours of label maps (palette), which are their classes")
        refuse_task_of_several(params)
        if params.task and params.palette:
            raise DataError(f"task {params.task.name} makes images of its own, which a palette of the files is not of")

    @property
    @abstractmethod
    def kind_paired(self) -> bool:
        """Whether the files themselves come in pairs (a task makes pairs of any)."""

    @property
    def pairing(self) -> Pairing:
        return "paired" if self.params.task or self.kind_paired else "unpaired"

    @property
    def kind_hidden(self) -> bool:
        """Whether the files are paired in the test split alone."""
        return False

    @property
    def hidden_pairs(self) -> bool:
        return self.kind_hidden and self.params.task is None

    @property
    def palette(self) -> Palette | None:
        p = self.params
        if p.palette is None:
            found, in_b = p.task and p.task.palette, True
        else:
            found, in_b = Palette(tuple(p.palette), tuple(p.palette.values())), p.palette_domain == "B"
        return replace(found, domain="b" if in_b == (p.direction == "AtoB") else "a") if found else None

    def class_labels(self) -> ClassLabels | None:
        if self.params.labels is None:
            return None
        lists = self.arrays()
        if self.params.labels == "folders":
            names = {array: [item.folder for item in lists[array]] for array in LABELLED}
            if not all(names["train_a"]):
                raise DataError("labels: folders is for the images of a folder; name a CSV file of name,class")
            return ClassLabels.of(names, "labels: folders")
        file = self.base / expand(self.params.labels)
        known = read_csv(file)
        return ClassLabels.of({array: _looked_up(known, lists[array], file) for array in LABELLED}, str(file))

    def declared(self) -> str:
        return digest(self.palette if self.params.palette else None, self.class_labels())

    def summary(self) -> dict[str, int]:
        return {name: len(items) for name, items in self.arrays().items()}

    def arrays(self) -> dict[str, list[Item]]:
        """The items of each array, A and B as `task` and `direction` say."""
        task_on = self.params.task_on.lower()
        chosen = {
            name: self.files[f"{name[:-1]}{task_on}"] if self.params.task else items
            for name, items in self.files.items()
        }
        if self.params.direction == "AtoB":
            return chosen
        return {name: chosen[f"{name[:-1]}{OTHER[name[-1]]}"] for name in chosen}

    def fingerprint(self, cache_dir: Path | None = None) -> str:
        """Over pairing, names and bytes of all files, which are label maps, own sizes and the task; not over where they
        lie."""
        told = ["own sizes"] if self.params.own_sizes else []
        return self._hashed(self.arrays() if self.params.task else self.files, told, cache_dir)

    def _hashed(self, lists: Mapping[str, list[Item]], besides: list[str], cache_dir: Path | None) -> str:
        paths = list(dict.fromkeys(item.path for items in lists.values() for item in items))
        several = isinstance(self.params, DomainParams) and bool(self.params.group)
        found = digests(paths, cache_dir, read=_READ if several else None)
        content = {
            name: [(item.path.name, item.half, item.member or item.folder, found[item.path]) for item in items]
            for name, items in sorted(lists.items())
        }
        task = self.params.task and self.params.task.fingerprint()
        maps = self.params.palette_domain if self.params.palette else None  # those are resized in their own way
        told = [self.pairing, self.hidden_pairs, task, maps, content, *besides]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def decode(self, allocate: Allocate = in_memory, progress: Progress | None = None) -> Images:
        lists, task = self.arrays(), self.params.task
        arrays = {name: self._room(name, items, allocate) for name, items in lists.items()}
        if self.pairing == "paired" or self.hidden_pairs:
            _require_equal_sizes(lists, arrays)
        found = digests(list(dict.fromkeys(item.path for items in lists.values() for item in items))) if task else {}
        maps = self.palette.domain if self.palette and not task else ""
        wanted: dict[Item, list[tuple[str, int, Item]]] = {}  # each file is read once, also for two halves
        for name, items in lists.items():
            for i, item in enumerate(items):
                wanted.setdefault(item._replace(half=None), []).append((name, i, item))

        def work(whole: Item) -> None:
            image = read(whole)
            views: dict[tuple[Item, int | None, bool], np.ndarray | tuple[np.ndarray, np.ndarray]] = {}
            for name, i, item in wanted[whole]:
                size, label_map = self._size(name), name[-1] == maps
                view = item, size, label_map
                if view not in views:
                    part = pixels.half(image, item.half, item.place)
                    seen = self._fitted(part, size, item.place, label_map=label_map)
                    views[view] = task.pair(seen, item.seed(found[item.path])) if task else seen
                made = views[view]
                arrays[name][i][...] = made if isinstance(made, np.ndarray) else made[self._side(name)]

        with ThreadPoolExecutor(cores()) as pool:
            try:
                for done, _ in enumerate(pool.map(work, wanted), start=1):
                    if progress:
                        progress(done, len(wanted))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        names = tuple(item.name for item in lists["test_a"])
        return Images(
            **arrays,  # type: ignore[arg-type]  # only test images may have sizes of their own
            test_names=names,
            paired=self.pairing == "paired",
            fingerprint=self.fingerprint(),
            hidden_pairs=self.hidden_pairs,
        )

    def _size(self, name: str) -> int | None:
        """Width and height of the images of an array; None: their own."""
        if name.startswith("train"):
            return self.params.train_size
        return None if self.params.own_sizes else self.params.size

    def _fitted(self, image: Image, size: int | None, place: str, *, label_map: bool) -> np.ndarray:
        if size is None:
            height, width = self._whole((image.height, image.width), place)
            return np.asarray(image)[:height, :width]
        try:
            return pixels.fitted(image, size, self.params.fit, label_map=label_map)
        except DataError as error:
            raise DataError(f"{place}: {error}") from None

    def _room(self, name: str, items: list[Item], allocate: Allocate) -> np.ndarray | Ragged:
        """An array for these images."""
        size = self._size(name)
        if size is not None:
            return allocate(name, (len(items), size, size, 3))
        shapes = np.array([self._whole(extent(item), item.place) for item in items])
        return Ragged(allocate(name, (int(3 * shapes.prod(axis=1).sum()),)), shapes)

    def _whole(self, shape: tuple[int, int], place: str) -> tuple[int, int]:
        """Height and width of an image of its own size: cut to a multiple of the task's, as MATLAB's scripts do."""
        multiple = self.params.task.multiple if self.params.task else 1
        height, width = (edge - edge % multiple for edge in shape)
        if not height or not width:
            raise DataError(f"{place}: its {shape[1]} x {shape[0]} pixels are too few for scale {multiple}")
        return height, width

    def _side(self, name: str) -> int:
        """Which side of a task's pair an array holds: 0 its A, 1 its B."""
        return int((name[-1] == "b") == (self.params.direction == "AtoB"))


def _require_equal_sizes(lists: dict[str, list[Item]], arrays: dict[str, np.ndarray | Ragged]) -> None:
    """Raise DataError if the two test images of a pair, at their own sizes, differ in theirs."""
    a, b = arrays["test_a"], arrays["test_b"]
    if not isinstance(a, Ragged) or not isinstance(b, Ragged):
        return
    for i, (one, other) in enumerate(zip(a.shapes.tolist(), b.shapes.tolist(), strict=True)):
        if one != other:
            raise DataError(
                f"{lists['test_a'][i].place} has {one[1]} x {one[0]} pixels and {lists['test_b'][i].place} "
                f"{other[1]} x {other[0]}: pairs at their own sizes (test_size: own) need images of one size"
            )


def require_task(path: Path, params: FileParams) -> None:
    """Raise DataError if single images are to be used as they are."""
    if params.task is None:
        raise DataError(f"{path}: single images make pairs through a task; add one, such as task: colorize")


def refuse_task_of_several(params: FileParams) -> None:
    """Raise DataError for a task on more than two domains."""
    if params.task and isinstance(params, DomainParams) and params.group:
        raise DataError(f"task {params.task.name} makes pairs from the images of one domain: name two `domains`")


def _looked_up(known: dict[str, str], items: list[Item], file: Path) -> list[str]:
    """The class of each image by its name, or by its folder and name ("trainA/1") where names are not enough."""
    found = [known.get(f"{item.path.parent.name}/{item.name}", known.get(item.name)) for item in items]
    lonely = [item.name for item, name in zip(items, found, strict=True) if name is None]
    if lonely:
        raise DataError(f"{file}: has no class for {few(lonely)} of {items[0].path.parent}; add a line for each")
    return [name for name in found if name is not None]

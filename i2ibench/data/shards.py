"""webdataset: images in tar files ("shards"), read where they lie; nothing is unpacked to disk."""

from __future__ import annotations

import tarfile
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from i2ibench.data import pixels
from i2ibench.data.files import FileParams, Files, require_task
from i2ibench.data.items import Item
from i2ibench.data.paths import entries, existing, expand
from i2ibench.errors import DataError, few, one_line


class ShardParams(FileParams):
    path: str = Field(description="the folder of the shards: `train*.tar` and `test*.tar` (or `val*.tar`)")
    layout: Literal["pairs", "side-by-side", "unpaired", "images"] = Field(
        description="pairs: each sample has KEY.a.png and KEY.b.png; side-by-side: KEY.png holds A|B; unpaired: "
        "`trainA*.tar`, `trainB*.tar`, `testA*.tar` and `testB*.tar`; images: KEY.png, for a task"
    )
    columns: tuple[str, str] = Field(
        ("a", "b"),
        description="what A and B are called in the names of a pair's files: [a, b] for KEY.a.png and KEY.b.png",
    )


class Member(NamedTuple):
    """A regular file in a shard: its bytes lie uncompressed at `offset`."""

    name: str
    offset: int
    length: int


class WebDataset(Files):
    """Tar files of samples: the files whose names agree up to the first dot (github.com/webdataset/webdataset)."""

    name = "webdataset"
    description = "images in tar shards: pairs, side by side, unpaired, or single"
    Params = ShardParams
    params: ShardParams

    def __init__(self, params: ShardParams, base: Path | None = None) -> None:
        super().__init__(params, base)
        self.path = existing(self.base / expand(params.path))
        if params.layout == "images":
            require_task(self.path, params)
        self.files = {}
        for split in ("train", "test"):
            if params.layout == "unpaired":
                found = {domain: self._singles(split, domain.upper()) for domain in "ab"}
            elif params.layout == "pairs":
                found = self._pairs(split)
            else:
                singles = self._singles(split, "")
                side_by_side = params.layout == "side-by-side"
                found = {d: [item._replace(half=d if side_by_side else None) for item in singles] for d in "ab"}
            self.files |= {f"{split}_{domain}": items for domain, items in found.items()}

    @property
    def kind_paired(self) -> bool:
        return self.params.layout in ("pairs", "side-by-side")

    def _singles(self, split: str, domain: str) -> list[Item]:
        return [item for _, _, item in self._samples(split, domain)]

    def _pairs(self, split: str) -> dict[str, list[Item]]:
        """A and B of each sample, in the order of the shards."""
        sides: dict[str, dict[str, Item]] = {name: {} for name in self.params.columns}
        for key, part, item in self._samples(split, ""):
            if part in sides:
                if key in sides[part]:
                    raise DataError(f"{item.path}: two samples have the key {key}")
                sides[part][key] = item
        a, b = (sides[name] for name in self.params.columns)
        if lonely := sorted(a.keys() ^ b.keys()):
            raise DataError(f"{self.path}: {split} samples that have no pair .{' and .'.join(sides)}: {few(lonely)}")
        if not a:
            raise DataError(f"{self.path}: no {split} sample has files named KEY.{self.params.columns[0]}.png or such")
        return {"a": list(a.values()), "b": [b[key] for key in a]}

    def _samples(self, split: str, domain: str) -> list[tuple[str, str, Item]]:
        """(key, part, item) of every image: of `0001.a.png` the key is 0001 and the part a; of `0001.png` it is ""."""
        found = []
        for shard in self._shards(split, domain):
            for member in _members(shard, shard.stat().st_mtime_ns, shard.stat().st_size):
                name = Path(member.name)
                if name.suffix.lower() in pixels.ENDINGS and name.name[0] != ".":
                    first, _, rest = name.name.partition(".")
                    key = str(name.parent / first)
                    part = rest.rpartition(".")[0]
                    item_name = first if len(name.parts) == 1 else key
                    found.append((key, part, Item(shard, None, item_name, member.offset, member.length)))
        if not found:
            raise DataError(f"{self.path}: the {split}{domain} shards hold no images")
        return found

    def _shards(self, split: str, domain: str) -> list[Path]:
        names = (split,) if split == "train" else ("test", "val")
        tars = sorted(path for path in entries(self.path) if path.suffix == ".tar" and path.is_file())
        for name in names:
            found = [path for path in tars if path.name.startswith(f"{name}{domain}")]
            if found:
                return found
        there = few([path.name for path in tars]) or "no .tar files"
        raise DataError(f"{self.path}: there are no shards {split}{domain}*.tar; found: {there}")


@lru_cache(maxsize=4096)
def _members(shard: Path, mtime_ns: int, size: int) -> tuple[Member, ...]:
    """The regular files of a shard, in its order. Links and other things are passed over: they are never followed."""
    try:
        with tarfile.open(shard, "r:") as tar:
            found = tuple(Member(m.name, m.offset_data, m.size) for m in tar if m.isreg() and not m.issparse())
            end = tar.offset
        with shard.open("rb") as file:
            file.seek(end)
            whole = file.read(tarfile.BLOCKSIZE) == tarfile.NUL * tarfile.BLOCKSIZE  # what every tar file ends with
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{shard}: is no uncompressed tar file ({one_line(error)})") from None
    if not whole:
        raise DataError(f"{shard}: is cut off after {size} bytes; get it again")
    return found

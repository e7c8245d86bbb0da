"""Where one image lies: a file, half of one, or a part of a tar shard; and how it is read."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from i2ibench.data import pixels
from i2ibench.errors import DataError, readable

if TYPE_CHECKING:
    from PIL.Image import Image


class Item(NamedTuple):
    """Where one image is: a file, half of one ("a" left, "b" right), or `length` bytes of a shard from `offset` on.

    `folder` is its class, where folders are classes.
    """

    path: Path
    half: str | None = None
    member: str | None = None
    offset: int = 0
    length: int = -1
    folder: str = ""

    @property
    def name(self) -> str:
        """What the report calls it."""
        if self.member is not None:
            return readable(self.member)
        return readable(f"{self.folder}/{self.path.stem}" if self.folder else self.path.stem)

    @property
    def place(self) -> str:
        """The file or shard member, for messages."""
        return readable(str(self.path) if self.member is None else f"{self.path}: {self.member}")

    def seed(self, digest: str) -> int:
        """For what a task leaves to chance: the same on any machine, as it hangs on the bytes of the file alone."""
        told = f"{digest}|{self.half}|{self.member}"
        return int.from_bytes(hashlib.sha256(told.encode(errors="surrogateescape")).digest()[:8], "big")


def read(item: Item) -> Image:
    """The whole image of an item, as RGB."""
    return pixels.read(item.path) if item.member is None else pixels.decode(_content(item), item.place)


def extent(item: Item) -> tuple[int, int]:
    """Height and width of the image of an item, from its header."""
    file = item.path if item.member is None else io.BytesIO(_content(item))
    height, width = pixels.extent(file, item.place)
    return height, width // 2 if item.half else width


def _content(item: Item) -> bytes:
    """The bytes of a member of a shard."""
    try:
        with item.path.open("rb") as shard:
            shard.seek(item.offset)
            return shard.read(item.length)
    except OSError as error:
        raise DataError(f"{item.path}: cannot be read ({error.strerror})") from None


def held_out(name: str, share: float) -> bool:
    """Whether an image is a test image, by the hash of its name: the same whatever other images there are."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64 < share

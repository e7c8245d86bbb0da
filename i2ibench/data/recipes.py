"""The data sets known by name: `sets.yaml` as typed, frozen models."""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from i2ibench import yamlfile
from i2ibench.settings import Settings

FILE = Path(__file__).with_name("sets.yaml")


class Archive(Settings):
    """One file to download. `size` in bytes and `sha256` are None where nobody publishes them."""

    url: str
    size: int | None = None
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    about: str = ""  # how large it is, where that is known only roughly

    @property
    def file(self) -> str:
        return PurePosixPath(urlsplit(self.url).path).name

    @property
    def how_large(self) -> str:
        return f"{self.size / 1e6:,.0f} MB" if self.size else self.about or "size unknown"


class Recipe(Settings):
    """A data set: what it holds, where it comes from, and where its parts lie once it is unpacked."""

    about: str
    domains: tuple[str, ...]
    layout: Literal["side-by-side", "unpaired", "images"]
    train: tuple[int, ...] | None  # images of each domain
    test: tuple[int, ...] | None
    pixels: str
    licence: str
    home: str
    archives: tuple[Archive, ...]
    folders: dict[str, str]

    @property
    def how_large(self) -> str:
        return " + ".join(archive.how_large for archive in self.archives) or "your own copy"

    @property
    def test_only(self) -> bool:
        return "train" not in self.folders and self.layout == "images"


@cache
def recipes() -> dict[str, Recipe]:
    """Every data set known by name."""
    content = yamlfile.read(FILE)[1].content
    return {name: Recipe.model_validate(values) for name, values in content.items()}

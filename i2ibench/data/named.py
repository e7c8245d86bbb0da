"""Data sets by name: `source: facades`. What is known of each stands in `sets.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from i2ibench.data import fetch
from i2ibench.data.files import FileParams, Files
from i2ibench.data.folder import image_files
from i2ibench.data.items import Item
from i2ibench.data.paths import expand
from i2ibench.data.recipes import Recipe, recipes
from i2ibench.data.source import DomainParams
from i2ibench.errors import DataError, absent, did_you_mean


class NamedParams(FileParams, DomainParams):
    archive: str | None = Field(
        None, description="a local copy in place of the download: the archive, or a folder with what it unpacks to"
    )
    domains: tuple[str, ...] | None = Field(
        None, description="of a set that has more than two: which two are A and B, or which several"
    )
    test_on: str | None = Field(
        None, description="test on the images of another set of single images, such as set5 (with task: super-resolve)"
    )


class Named(Files):
    """A set of `sets.yaml`; a subclass of each is made by `sources()`."""

    Params = NamedParams
    params: NamedParams
    recipe: ClassVar[Recipe]

    def __init__(self, params: NamedParams, base: Path | None = None) -> None:
        super().__init__(params, base)
        recipe = self.recipe
        if recipe.layout == "images" and params.task is None:
            raise DataError(f"{self.name} has single images; add a task, such as task: super-resolve")
        if recipe.test_only:
            raise DataError(
                f"{self.name} has test images only; train on another, such as div2k with test_on: {self.name}"
            )
        self._require_known_domains()
        root = self.base / expand(params.archive) if params.archive else None
        root = root if root is not None and root.is_dir() else _present(self.name)
        self.files = self._parts(root, recipe, ("train", "test"))
        if params.test_on is not None:
            other = _single_images(params.test_on)
            self.files |= self._parts(_present(params.test_on), other, ("test",))

    @property
    def kind_paired(self) -> bool:
        return self.recipe.layout == "side-by-side"

    def taught(self, cache_dir: Path | None = None) -> str:
        """With `test_on` of the training images alone, so that a training serves all the sets that it is tested on."""
        if self.params.test_on is None:
            return self.fingerprint(cache_dir)
        return self._hashed({k: v for k, v in self.arrays().items() if k.startswith("train")}, [], cache_dir)

    @property
    def domains(self) -> tuple[str, ...]:
        """What A and B are, before `direction`; from the keys alone, as a report's record knows no files."""
        wanted = self.params.domains
        return self.recipe.domains[:2] if wanted is None else tuple(wanted[end] for end in self.params.ends)

    def _require_known_domains(self) -> None:
        known, wanted = self.recipe.domains, self.params.domains
        if wanted is not None and len(known) < 3:
            raise DataError(f"{self.name} has the domains {' and '.join(known)}; `domains` is for sets that have more")
        for domain in wanted or ():
            if domain not in known:
                raise DataError(f"{self.name} has no domain '{domain}'; {did_you_mean(domain, known)}")

    def _parts(self, root: Path, recipe: Recipe, splits: tuple[str, ...]) -> dict[str, list[Item]]:
        files = {}
        for split in splits:
            for i, domain in enumerate("ab"):
                place = recipe.folders.get(f"{split}{domain.upper()}") or recipe.folders[split]
                folder = root / place.replace("{domain}", self.domains[min(i, len(self.domains) - 1)])
                if not folder.is_dir():
                    raise DataError(f"{absent(folder, 'folder')}; {self.name} should have {place}")
                half = domain if recipe.layout == "side-by-side" else None
                files[f"{split}_{domain}"] = [Item(path, half) for path in image_files(folder)]
        return files


def sources() -> dict[str, type[Files]]:
    """A kind of data set for each of `sets.yaml`."""
    return {name: _source(name, recipe) for name, recipe in recipes().items()}


def needed(name: str, own: dict[str, Any], base: Path) -> list[tuple[str, Path | None]]:
    """The sets (and local archives) that an entry of the benchmark file needs and that are not on this machine yet."""
    if name not in recipes():
        return []
    archive, other = own.get("archive"), own.get("test_on")
    local = base / expand(archive) if isinstance(archive, str) else None
    wanted = [(name, local)] if local is None or not local.is_dir() else []
    wanted += [(other, None)] if isinstance(other, str) and other in recipes() else []
    return [(each, place) for each, place in wanted if recipes()[each].archives and not fetch.there(each)]


def _source(name: str, recipe: Recipe) -> type[Files]:
    description = f"{recipe.about}: {', '.join(recipe.domains)}"
    return type(name, (Named,), {"name": name, "description": description, "recipe": recipe, "__doc__": recipe.about})


def _present(name: str) -> Path:
    if not fetch.there(name):
        recipe = recipes()[name]
        if not recipe.archives:
            raise DataError(f"{name} may not be passed on: get it at {recipe.home} and name its folder with `archive:`")
        raise DataError(f"{name} is not on this machine ({recipe.how_large}): run `i2ibench data fetch {name}`")
    return fetch.home(name)


def _single_images(name: str) -> Recipe:
    known = {each: recipe for each, recipe in recipes().items() if recipe.layout == "images"}
    if name not in known:
        raise DataError(f"test_on: no set of single images is called '{name}'; {did_you_mean(name, known)}")
    return known[name]

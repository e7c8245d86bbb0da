"""Translates image files to image files: names kept, originals untouched, and what is there already is left alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from i2ibench.data import pixels
from i2ibench.disk import atomic_write, read_json, write_json
from i2ibench.errors import ConfigError, DataError, StoreError, absent
from i2ibench.machine import cores
from i2ibench.use.ask import Ask

if TYPE_CHECKING:
    from i2ibench.use.model import Model

MARK = ".i2ibench-translated.json"  # in the folder of outputs: what made them
AT_ONCE = 32  # files decoded ahead of the network, and
PIXELS_AT_ONCE = 32 << 20  # no more pixels than this
QUALITY: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}  # of outputs


class Item(NamedTuple):
    """An image file, and the files that its translations go to."""

    source: Path
    outputs: tuple[Path, ...]

    @property
    def done(self) -> bool:
        return all(path.exists() for path in self.outputs)


@dataclass
class Summary:
    """How it went: images translated, images whose outputs were there, and a line for each that could not be read."""

    made: int = 0
    there: int = 0
    broken: list[str] = field(default_factory=list)


def plan(source: Path | Iterable[str], out: Path, count: int = 1) -> list[Item]:
    """Which file becomes which.

    Args:
        source: an image; a folder, entered with the folders in it; or the paths of images, one a line.
        out: a folder, which gets the names of the images with the ending .png (and _1, _2, ... with several
            translations of each); or, for one image, a file with an image's ending.

    Raises:
        DataError: there is nothing to translate.
        ConfigError: an output would lie over an original, or over another output.
    """
    if isinstance(source, Path) and not source.is_dir() and out.suffix.lower() in pixels.ENDINGS and not out.is_dir():
        items = [Item(_existing(source), _numbered(out, count))]
    else:
        files, base = _listed(source, out)
        items = [Item(file, _numbered((out / file.relative_to(base)).with_suffix(".png"), count)) for file in files]
    originals = {item.source.resolve() for item in items}
    for path, times in Counter(output for item in items for output in item.outputs).items():
        if times > 1:
            same = [str(item.source) for item in items if path in item.outputs]
            raise ConfigError(f"{' and '.join(same[:2])} would both become {path}; translate them apart")
        if path.resolve() in originals:
            raise ConfigError(f"{path}: is an original, and would become an output; choose another place for outputs")
    return items


def translate(
    model: Model,
    items: Sequence[Item],
    ask: Ask,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Translate what is not there yet. Each file appears whole or not at all, so an interrupted run can go on.

    Args:
        advance: is told how many of how many are done.

    Raises:
        ConfigError: the method cannot do what is asked for.
        StoreError: an output cannot be written.
        TrialError: the method gave no image, or there is not enough memory.
    """
    model.require(ask)
    missing = [item for item in items if not item.done]
    summary = Summary(there=len(items) - len(missing))
    translated = 0

    def tell(count: int) -> None:
        nonlocal translated
        translated += count
        advance(summary.there + len(summary.broken) + translated, len(items))

    for chunk in _decoded(missing):
        ready = [(item, image) for item, image in chunk if isinstance(image, np.ndarray)]
        summary.broken += [str(error) for _, error in chunk if isinstance(error, DataError)]
        outputs = model.outputs([image for _, image in ready], ask, tell)
        for (item, _), made in zip(ready, outputs, strict=True):
            for path, output in zip(item.outputs, made, strict=True):
                if not path.exists():
                    save(output, path)
            summary.made += 1
    return summary


def unmark(out: Path) -> None:
    """Leave nothing in a folder, or of it, that no image came into."""
    (out / MARK).unlink(missing_ok=True)
    with suppress(OSError):  # others' files are in it
        out.rmdir()


def mark(out: Path, made_by: dict[str, object]) -> None:
    """Write down what makes the outputs of a folder.

    Raises:
        ConfigError: those that are in it were made in another way.
    """
    file = out / MARK
    known = read_json(file)
    if known is not None and known != made_by:
        differ = ", ".join(f"{key}: {known.get(key)}" for key in made_by if known.get(key) != made_by[key])
        raise ConfigError(
            f"{out}: holds images that were made otherwise ({differ}); choose another folder, or remove it"
        )
    if known is None:
        _writing(file, lambda: write_json(file, made_by))


def save(image: np.ndarray, path: Path) -> None:
    """Write uint8 (H, W, 3) in the format of the path's ending, atomically; without loss, except as JPEG."""
    from PIL import Image

    picture, kind = Image.fromarray(image), Image.registered_extensions()[path.suffix.lower()]

    def write() -> None:
        with atomic_write(path, "wb") as file:
            picture.save(file, kind, **QUALITY.get(kind, {}))

    _writing(path, write)


def _writing(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror or error})") from None


def _listed(source: Path | Iterable[str], out: Path) -> tuple[list[Path], Path]:
    """The image files, and the folder that their names start from."""
    if not isinstance(source, Path):
        files = [_existing(Path(line.strip())) for line in source if line.strip()]
        if not files:
            raise DataError("no paths came in on standard input: one a line, please")
        files = list(dict.fromkeys(file.absolute() for file in files))
        return files, Path(os.path.commonpath([file.parent for file in files]))
    if not source.is_dir():
        return [_existing(source)], source.parent
    if out.resolve() == source.resolve():
        raise ConfigError(f"{out}: holds the originals; choose another folder for the outputs")
    inside = out.resolve()
    files = sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in pixels.ENDINGS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(source).parts)
        and inside not in path.resolve().parents
    )
    if not files:
        raise DataError(f"{source}: holds no images ({', '.join(pixels.ENDINGS)})")
    return files, source


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(absent(path))
    return path


def _numbered(path: Path, count: int) -> tuple[Path, ...]:
    """The path itself, or so many with _1, _2, ... before the ending."""
    if count == 1:
        return (path,)
    return tuple(path.with_stem(f"{path.stem}_{i:0{len(str(count))}}") for i in range(1, count + 1))


def _decoded(items: Sequence[Item]) -> Iterator[list[tuple[Item, np.ndarray | DataError]]]:
    """The images in chunks that fit into memory, each decoded, or with the error that it gave."""

    def decode(item: Item) -> np.ndarray | DataError:
        try:
            return np.asarray(pixels.read(item.source))
        except DataError as error:
            return error

    chunk: list[tuple[Item, np.ndarray | DataError]] = []
    held = 0
    with ThreadPoolExecutor(min(4, cores())) as pool:
        for start in range(0, len(items), AT_ONCE):
            some = items[start : start + AT_ONCE]
            for item, found in zip(some, pool.map(decode, some), strict=True):
                chunk.append((item, found))
                held += found.size // 3 if isinstance(found, np.ndarray) else 0
                if len(chunk) == AT_ONCE or held >= PIXELS_AT_ONCE:
                    yield chunk
                    chunk, held = [], 0
    if chunk:
        yield chunk

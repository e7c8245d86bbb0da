"""Scores any two folders of images under a protocol: what `i2ibench score` does, and scripts can too.

The images are scored as they are decoded, at their own sizes: whatever a protocol resizes, it resizes by its own rule.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from i2ibench import assets, config, yamlfile
from i2ibench.data import pixels
from i2ibench.data.folder import image_files
from i2ibench.data.images import ImageSet, sizes, spelled
from i2ibench.data.paths import entries, existing
from i2ibench.errors import ConfigError, DataError, did_you_mean, few
from i2ibench.machine import cores
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.protocol import Protocol, resolve

if TYPE_CHECKING:
    from i2ibench.metrics.evaluate import Scores

Advance = Callable[[str, int, int], None]  # what is being done, images done, images in all
ORIGIN = {"reference_split": "a folder", "checkpoint": "not known: a folder of images"}
LOSSY = ("JPEG", "MPO", "WEBP")  # formats that Pillow reads and that change the pixels they are given, or may


@dataclass(frozen=True)
class Pictures:
    """The decoded images of a folder, in the order of their names without ending.

    kinds: how they were stored, {"PNG RGB": 40, "JPEG L": 2}.
    """

    folder: Path
    files: tuple[Path, ...]
    images: ImageSet
    kinds: dict[str, int]


def protocol_of(given: str) -> Protocol:
    """A protocol by its name, or by the path of a YAML file that spells one out.

    Raises:
        ConfigError: there is none of this name, or the file (its line) is wrong.
    """
    if not given.endswith((".yaml", ".yml")):
        try:
            return resolve(given)
        except ConfigError as error:
            raise ConfigError(f"{error}, or a path ending in .yaml") from None
    _, document = yamlfile.read(Path(given))
    if not isinstance(document.content, dict):
        raise ConfigError(f"{document.where(())}: a protocol is a mapping of keys such as `extractor:`")
    return config.protocol(document.content, document, ())


def score(
    generated: Path,
    real: Path,
    protocol: Protocol,
    metrics: Sequence[str] | None = None,
    *,
    paired: bool = False,
    device: str | None = None,
    fetch: Callable[[str], Any] = assets.ensure,
    advance: Advance = lambda what, done, total: None,
) -> Scores:
    """Score the images of one folder against those of another.

    Args:
        metrics: default: the catalogue's default ones, those of pairs only if `paired`.
        paired: images of equal names, endings aside, belong together.
        device: default: the GPU, if there is one.
        fetch: gets a missing asset.
        advance: is told how far the reading is.

    Raises:
        ConfigError: an unknown metric, or one that two folders do not have what it needs for.
        DataError: a folder or a file that cannot be read, names or sizes that do not pair, too few images.
        AssetError: pretrained weights that cannot be had.
    """
    wanted = choose(metrics, paired)
    files = [_files(generated), _files(real)]
    if paired:
        _check_names(*files)
    for name in protocol.assets(wanted):
        fetch(name)
    sets = [read(found, f"reading {found[0].parent}", advance) for found in files]
    if any(METRICS[name].needs_pairs for name in wanted):
        _check_sizes(*sets)
    wanted, left_out = _large_enough(wanted, sets, protocol, explicit=metrics is not None)

    import torch

    from i2ibench.metrics.evaluate import evaluate

    advance("scoring", 0, 0)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    scores = evaluate(sets[0].images, sets[1].images, wanted, protocol, paired=paired, device=device, origin=ORIGIN)
    scores.stamp["warnings"] += _warnings(*sets) + left_out
    scores.stamp["files"] = {"generated": sets[0].kinds, "reference": sets[1].kinds}
    return scores


def choose(metrics: Sequence[str] | None, paired: bool) -> list[str]:
    """The metrics to compute, in the catalogue's order: those named, else the default ones that two folders allow."""
    has = {"pairs"} if paired else set()
    if metrics is None:
        return [name for name, metric in METRICS.items() if metric.default and metric.needs <= has]
    for name in metrics:
        if name not in METRICS:
            raise ConfigError(f"unknown metric '{name}'; {did_you_mean(name, METRICS)}")
        if METRICS[name].needs - {"pairs"}:
            needed = " and ".join(sorted(METRICS[name].needs - {"pairs"}))
            raise ConfigError(f"metric '{name}' needs more than two folders of images ({needed}): leave it out")
        if METRICS[name].needs_pairs and not paired:
            raise ConfigError(f"metric '{name}' compares pairs: add --paired if equal file names belong together")
    if not metrics:
        raise ConfigError(f"name at least one metric; available: {', '.join(METRICS)}")
    return [name for name in METRICS if name in metrics]


def read(files: Sequence[Path], what: str = "reading", advance: Advance = lambda what, done, total: None) -> Pictures:
    """Decode image files of one folder, by the rules of `data.pixels`.

    Raises:
        DataError: names each file that does not decode, the first with the reason.
    """
    broken: list[tuple[Path, DataError]] = []
    kinds: dict[str, int] = {}

    def work(path: Path) -> tuple[np.ndarray, str] | DataError:
        try:
            return np.asarray(pixels.read(path)), _kind(path)
        except DataError as error:
            return error

    images: np.ndarray | list[np.ndarray] | None = None
    with ThreadPoolExecutor(cores()) as pool:
        try:
            for i, (path, found) in enumerate(zip(files, pool.map(work, files), strict=True)):
                if isinstance(found, DataError):
                    broken.append((path, found))
                elif not broken:
                    image, kind = found
                    images = _with(images, i, image, len(files))
                    kinds[kind] = kinds.get(kind, 0) + 1
                advance(what, i + 1, len(files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if broken:
        more = f"; so do not {few([path.name for path, _ in broken[1:]])}" if broken[1:] else ""
        raise DataError(f"{broken[0][1]}{more}")
    assert images is not None
    return Pictures(files[0].parent, tuple(files), images, dict(sorted(kinds.items())))


def _with(
    images: np.ndarray | list[np.ndarray] | None, i: int, image: np.ndarray, count: int
) -> np.ndarray | list[np.ndarray]:
    """`images` with one more: an array for all `count` while they have one size, a list from the first other on."""
    if images is None:
        images = np.empty((count, *image.shape), np.uint8)
    if isinstance(images, np.ndarray) and image.shape != images.shape[1:]:
        images = list(images[:i])
    if isinstance(images, list):
        images.append(image)
    else:
        images[i] = image
    return images


def _kind(path: Path) -> str:
    """How an image is stored: "PNG RGB", "JPEG L"."""
    from PIL import Image

    with Image.open(path) as file:
        return f"{file.format} {file.mode}"


def _files(folder: Path) -> list[Path]:
    """The image files that lie in a folder itself, by name without ending."""
    inner = sorted(path.name for path in entries(existing(folder)) if path.is_dir() and path.name[0] != ".")
    try:
        files = image_files(folder)
    except DataError as error:
        raise DataError(
            f"{error}; folders in it are not entered: name one ({few(inner)})" if inner else error
        ) from None
    if len(files) < 2:
        raise DataError(f"{folder}: holds one image, {files[0].name}; scores need at least 2")
    return files


def _check_names(generated: Sequence[Path], real: Sequence[Path]) -> None:
    """Raise DataError unless each name, without its ending, is there exactly once in each of the two folders."""
    stems = []
    for files in (generated, real):
        twice = [path.stem for path, following in itertools.pairwise(files) if path.stem == following.stem]
        if twice:
            raise DataError(f"{files[0].parent}: several files are named {few(twice)}: pairs need one of each name")
        stems.append({path.stem for path in files})
    sides = ((generated[0].parent, stems[0] - stems[1]), (real[0].parent, stems[1] - stems[0]))
    if lonely := [f"only in {folder}: {few(sorted(names))}" for folder, names in sides if names]:
        raise DataError(
            f"the folders do not pair by name ({len(generated)} and {len(real)} images): {'; '.join(lonely)}; "
            "leave --paired out if images do not belong together"
        )


def _check_sizes(generated: Pictures, real: Pictures) -> None:
    for image, target, file in zip(generated.images, real.images, generated.files, strict=True):
        if image.shape != target.shape:
            raise DataError(
                f"{file}: is {spelled([image])} and its real image {spelled([target])}; metrics of pairs need "
                "equal sizes: resize one side yourself, or leave --paired out"
            )


def _large_enough(
    metrics: Sequence[str], sets: Iterable[Pictures], protocol: Protocol, *, explicit: bool
) -> tuple[list[str], list[str]]:
    """Metrics that images of these sizes can be scored by, and a line for each default one that they cannot."""
    edge = min(min(size) for pictures in sets for size in sizes(pictures.images))
    small = [name for name in metrics if edge < protocol.smallest(name)]
    lines = [
        f"{METRICS[name].title} needs images of {protocol.smallest(name)} pixels or more, and the smallest is {edge}"
        for name in small
    ]
    if small and explicit:
        raise ConfigError(f"{lines[0]}: leave '{small[0]}' out")
    return [name for name in metrics if name not in small], [f"left out: {line}" for line in lines]


def _warnings(generated: Pictures, real: Pictures) -> list[str]:
    """What a reader of the scores should know about the files."""
    found = []
    if lossy := sum(count for kind, count in generated.kinds.items() if kind.startswith(LOSSY)):
        formats = " and ".join(sorted({kind.split()[0] for kind in generated.kinds if kind.startswith(LOSSY)}))
        found.append(
            f"{lossy} of {len(generated.files)} generated images are stored as {formats}, which loses detail: the "
            "scores are those of the files as decoded, not of what the model made; store PNG"
        )
    for pictures in (generated, real):
        others = [path for path in set(entries(pictures.folder)) - set(pictures.files) if path.name[0] != "."]
        folders, files = (sorted(p.name for p in others if p.is_dir() == is_dir) for is_dir in (True, False))
        if files:
            found.append(f"{pictures.folder}: not scored, since they are no images: {few(files)}")
        if folders:
            found.append(f"{pictures.folder}: folders in it were not entered: {few(folders)}")
    return found

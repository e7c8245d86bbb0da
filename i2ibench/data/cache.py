"""Decode a data set once per machine: memory-mapped arrays on disk that all trials share through the page cache."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import stat
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2ibench.data.images import ARRAYS, Images, Progress
from i2ibench.data.ragged import Ragged
from i2ibench.disk import sha256_of, write_json
from i2ibench.errors import DataError, absent
from i2ibench.lazy import filelock, np
from i2ibench.machine import cores

if TYPE_CHECKING:
    from i2ibench.data.source import Source

VERSION = 2  # raise it when decoding changes, so that older entries are no longer found


def load(source: Source, cache_dir: Path, progress: Progress | None = None) -> Images:
    """The images of `source`, memory-mapped read-only from `cache_dir`, decoded into it first where they are not there.

    An entry is a folder that appears by one rename, so it is whole or absent; a second builder waits for the first.
    An entry whose files were changed or cut since is built anew. Raises DataError if the images or the cache fail.
    """
    fingerprint = source.fingerprint(cache_dir)
    p = source.params
    entry = cache_dir / f"{fingerprint[:24]}-{p.size}-{p.train_size}-{p.fit}-{p.direction}-v{VERSION}"
    images = _open(entry, fingerprint)
    if images is not None:
        return images
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(entry.with_name(entry.name + ".lock")):
            images = _open(entry, fingerprint)  # perhaps someone else built it while we waited
            if images is None:
                _build(source, entry, progress)
                images = _open(entry, fingerprint)
    except OSError as error:
        raise DataError(
            f"the image cache {cache_dir} cannot be written ({error.strerror or error}): "
            "make room or give the right to write, or choose another place with `store:`"
        ) from None
    if images is None:
        raise DataError(f"the image cache entry {entry} changed while it was built: run again")
    return images


def digests(
    paths: Sequence[Path], cache_dir: Path | None = None, *, read: dict[str, str] | None = None
) -> dict[Path, str]:
    """sha256 (hex) of each file. Files that `cache_dir` remembers with the same time and size are not read again.

    Nor are those that `read` remembers likewise; what is read is added to it. Raises DataError where there is no file.
    """
    keys = {path: _key(path) for path in paths}
    first = f"{paths[0].absolute()}|{len(paths)}"
    group = hashlib.sha256(first.encode(errors="surrogateescape")).hexdigest()[:16]
    memory = cache_dir / f"digests-{group}.json" if cache_dir else None
    try:
        known = json.loads(memory.read_text(encoding="utf-8")) if memory else {}
    except (OSError, ValueError):
        known = {}
    known |= read or {}
    unread = [path for path in paths if keys[path] not in known]
    if not unread:
        return {path: known[key] for path, key in keys.items()}
    with ThreadPoolExecutor(cores()) as pool:
        known |= {keys[path]: digest for path, digest in zip(unread, pool.map(_sha256, unread), strict=True)}
    found = {path: known[key] for path, key in keys.items()}
    if read is not None:
        read |= {keys[path]: digest for path, digest in found.items()}
    if memory:
        with suppress(OSError):  # a cache that can't be written costs time here, and is an error where images go in
            write_json(memory, {keys[path]: digest for path, digest in found.items()})
    return found


def _key(path: Path) -> str:
    """What a file is remembered by. A pipe or a device is no file: who reads it may wait for ever."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            return f"{path.absolute()}|{status.st_mtime_ns}|{status.st_size}"
    except PermissionError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except OSError:  # it went, or is a link to nowhere or in circles
        pass
    raise DataError(absent(path))


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _build(source: Source, entry: Path, progress: Progress | None) -> None:
    """Decode into `entry`.partial, then rename it to `entry`. The caller holds the lock."""
    partial = entry.with_name(entry.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a builder that died left behind
    partial.mkdir()

    def allocate(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if math.prod(shape) > shutil.disk_usage(partial).free:  # before the disk is filled for everybody
            raise OSError(errno.ENOSPC, f"{math.prod(shape) / 1e6:.0f} MB are needed and the disk has fewer left")
        array = np.lib.format.open_memmap(partial / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)
        if hasattr(os, "posix_fallocate"):  # a full disk is an error here; later it would kill the process (SIGBUS)
            with (partial / f"{name}.npy").open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        return array

    try:
        images = source.decode(allocate, progress)
        arrays = {name: getattr(images, name) for name in ARRAYS}
        shapes = {name: array.shapes.tolist() for name, array in arrays.items() if isinstance(array, Ragged)}
        for name in ARRAYS:
            (arrays[name].pixels if name in shapes else arrays[name]).flush()
        index = {
            "fingerprint": images.fingerprint,
            "paired": images.paired,
            "hidden_pairs": images.hidden_pairs,
            "test_names": images.test_names,
            "shapes": shapes,
            "files": {name: {"stat": _stat(partial, name), "crc32": _crc32(partial, name)} for name in ARRAYS},
        }
        (partial / "index.json").write_text(json.dumps(index), encoding="utf-8")
        shutil.rmtree(entry, ignore_errors=True)  # a damaged one; whoever mapped it keeps what they mapped
        partial.replace(entry)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _open(entry: Path, fingerprint: str) -> Images | None:
    """The images of `entry`, or None where it is absent, of other content, or damaged."""
    try:
        index: dict[str, Any] = json.loads((entry / "index.json").read_text(encoding="utf-8"))
        if index["fingerprint"] != fingerprint or not all(_sound(entry, n, index["files"][n]) for n in ARRAYS):
            return None
        arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        arrays |= {name: Ragged(arrays[name], shapes) for name, shapes in index["shapes"].items()}
        return Images(
            **arrays,
            test_names=tuple(index["test_names"]),
            paired=index["paired"],
            fingerprint=fingerprint,
            hidden_pairs=index["hidden_pairs"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sound(entry: Path, name: str, recorded: dict[str, Any]) -> bool:
    """Whether a file is as it was written. Reads it only if its size or time changed (a copied cache, or damage)."""
    return _stat(entry, name) == recorded["stat"] or _crc32(entry, name) == recorded["crc32"]


def _stat(folder: Path, name: str) -> list[int]:
    status = (folder / f"{name}.npy").stat()
    return [status.st_size, status.st_mtime_ns]


def _crc32(folder: Path, name: str) -> int:
    value = 0
    with (folder / f"{name}.npy").open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value

"""Brings a data set known by name onto this machine: from its publisher, a mirror or a local archive.

Sets lie in `home()`: `data/NAME` of `$I2IBENCH_CACHE`, or else of ~/.cache/i2ibench. The checksum of an archive whose
publisher gives none is recorded at first use, in `data/checksums.json`, and every later copy is held to it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from i2ibench import assets
from i2ibench.data.recipes import Archive, recipes
from i2ibench.data.unpack import unpack
from i2ibench.disk import read_json, sha256_of, write_json
from i2ibench.errors import DataError, absent, did_you_mean
from i2ibench.lazy import downloads, filelock

MIRROR = "I2IBENCH_MIRROR"
DONE = ".complete"  # in the folder of a set that is whole

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


def home(name: str) -> Path:
    """The folder of a set."""
    return assets.cache_dir() / "data" / name


def there(name: str) -> bool:
    """Whether a set is on this machine, whole."""
    return (home(name) / DONE).is_file()


def ensure(
    name: str, local: Path | None = None, say: Say = print, progress: Progress = lambda done, total: None
) -> Path:
    """The folder of a set, fetched first where it is missing; two processes that both need it fetch it once.

    Args:
        local: its archive (or, for one of several archives, the folder that holds them), in place of the network.
        say: is told what is done.
        progress: is told bytes done and in all, several times a second.

    Raises:
        DataError: it cannot be had, or what came is not what it should be. The message says what to do.
    """
    if name not in recipes():
        raise DataError(f"unknown data set '{name}'; {did_you_mean(name, recipes())}")
    if there(name):
        return home(name)
    archives = recipes()[name].archives
    if not archives:
        raise DataError(
            f"{name} may not be passed on: get it at {recipes()[name].home} and name its folder with `archive:`"
        )
    try:
        home(name).parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(home(name).with_name(f"{name}.lock")):
            if not there(name):
                _fetch(name, archives, local, say, progress)
    except OSError as error:
        raise DataError(
            f"{home(name)} cannot be written ({error.strerror or error}): make room, or set I2IBENCH_CACHE to "
            "another place"
        ) from None
    return home(name)


def _fetch(name: str, archives: tuple[Archive, ...], local: Path | None, say: Say, progress: Progress) -> None:
    """The caller holds the lock."""
    partial = home(name).with_name(f"{name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that died
    shutil.rmtree(home(name), ignore_errors=True)  # not whole, or it would not be fetched
    partial.mkdir()
    try:
        for archive in archives:
            file, ours = _get(archive, local, say, progress)
            _verify(archive, file, ours)
            say(f"unpacking {file.name}")
            if unpack(file, partial, progress) == 0:
                raise DataError(f"{file}: holds no images")
            if ours:
                downloads.discard(file)
        (partial / DONE).write_text(json.dumps([archive.url for archive in archives]), encoding="utf-8")
        partial.replace(home(name))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _get(archive: Archive, local: Path | None, say: Say, progress: Progress) -> tuple[Path, bool]:
    """The archive's file, and whether it is a download of ours (to be removed) or the user's own."""
    mirror = os.environ.get(MIRROR, "")
    own = local or (Path(mirror).expanduser() if mirror and "://" not in mirror else None)
    if own is not None:
        file = own / archive.file if own.is_dir() else own
        if not file.is_file():
            raise DataError(f"{absent(file)}; {archive.file} was to be taken from there")
        return file, False
    url = f"{mirror.rstrip('/')}/{archive.file}" if mirror else archive.url
    part = assets.cache_dir() / "data" / f"{archive.file}.part"
    try:
        size = archive.size or downloads.size_of(url)
        free = shutil.disk_usage(part.parent).free
        if size > free:
            raise DataError(
                f"{archive.file} has {size / 1e6:,.0f} MB and the disk of {part.parent} {free / 1e6:,.0f}: make room"
            )
        say(f"fetching {archive.file} ({size / 1e6:,.1f} MB) from {url}")
        return downloads.from_url(url, part, size, progress), True
    except downloads.DownloadError as error:
        raise DataError(
            f"cannot fetch {archive.file} from {url} ({error}); get it where there is a network, and name it with "
            f"`archive:` or `i2ibench data fetch --from FILE`, or set {MIRROR} to a place that has it"
        ) from None


def _verify(archive: Archive, file: Path, ours: bool) -> None:
    """Hold the file to the published checksum, or to that of its first use, which is recorded now if there is none."""
    found = sha256_of(file)
    memory = assets.cache_dir() / "data" / "checksums.json"
    with filelock.FileLock(memory.with_suffix(".lock")):
        known = read_json(memory, "delete it, and the checksums are recorded anew") or {}
        expected = archive.sha256 or known.get(archive.url)
        if expected == found:
            return
        if expected is None:
            write_json(memory, known | {archive.url: found})
            return
    if ours:
        downloads.discard(file)
    origin = "published" if archive.sha256 else f"recorded at first use in {memory}"
    removed = "; the download was removed" if ours else ""
    raise DataError(
        f"{file} has the checksum {found[:12]}…, not {expected[:12]}… ({origin}): it is damaged or another file"
        f"{removed}"
    )

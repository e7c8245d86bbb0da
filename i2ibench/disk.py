"""Files that appear whole or not at all, and one line that names the file where one cannot be read or written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from i2ibench.errors import StoreError, one_line

OF_A_TRIAL = "delete the trial's directory to have it made again"


@contextmanager
def atomic_write(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that appears under `path` only when the block ends well: written aside, synced, renamed.

    An OSError of writing (a full disk) leaves nothing behind and names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)  # mkstemp's 0600 would hide results from the rest of the group
        Path(aside).replace(path)
    except BaseException as error:
        Path(aside).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def sha256_of(file: Path) -> str:
    """The sha256 of a file, hex."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        json.dump(content, file, indent=1, sort_keys=True, allow_nan=False)


def read_json(path: Path, advice: str = OF_A_TRIAL) -> dict[str, Any] | None:
    """The content of a JSON file, or None if there is no such file.

    Raises:
        StoreError: it cannot be read, or is damaged; with what to do then.
    """
    with reading(path, advice):
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None


@contextmanager
def reading(path: Path, advice: str = OF_A_TRIAL) -> Iterator[None]:
    """Turn what can go wrong while a file of the store is read into one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path}: damaged ({one_line(error)}); {advice}") from None


def require_writable(folder: Path, what: str, needed_bytes: int = 0) -> None:
    """Raise StoreError if files cannot be made in `folder`, or its disk has fewer than `needed_bytes` left.

    A folder that is not there yet is tried at the nearest one above, so that nothing is left behind by bad input.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    key = what if what.startswith("-") else f"{what}:"  # an option of the command line, or a key of the file
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
        free = shutil.disk_usage(there).free
    except OSError as error:
        raise StoreError(
            f"{what} {folder}: cannot be written ({error.strerror}); choose another with `{key}`"
        ) from None
    if free < needed_bytes:
        raise StoreError(
            f"{what} {folder}: this benchmark needs about {needed_bytes / 1e6:.0f} MB "
            f"and the disk has {free / 1e6:.0f} MB left; free some space or choose another place with `{key}`"
        )

"""Paths of a benchmark file's data: expanded, and folders that must be there."""

from __future__ import annotations

import os
from pathlib import Path
from string import Template

from i2ibench.errors import DataError, absent


def existing(folder: Path) -> Path:
    """The folder itself. Raises DataError if it is not there, or is no folder."""
    if not folder.is_dir():
        raise DataError(absent(folder, "folder"))
    return folder


def expand(path: str) -> Path:
    """A path with ~ and $VARIABLES filled in."""
    try:
        return Path(Template(path).substitute(os.environ)).expanduser()
    except KeyError as error:
        raise DataError(f"path {path!r}: the environment variable {error.args[0]} is not set") from None
    except (ValueError, RuntimeError) as error:
        raise DataError(f"path {path!r}: {error} (write $$ for a dollar sign)") from None


def entries(folder: Path) -> list[Path]:
    """What a folder holds."""
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None

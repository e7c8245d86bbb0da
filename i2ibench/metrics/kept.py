"""Keeps what was computed from real images on disk, by what it was computed from, for the next trial to read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from i2ibench.disk import atomic_write


def kept(
    cache: Path | None, name: str, about: Any, arrays: Iterable[np.ndarray], compute: Callable[[], np.ndarray]
) -> np.ndarray:
    """The array that `compute()` gives, read from the folder `cache` if it was computed before.

    Args:
        cache: None: nothing is kept.
        name: begins the file's name.
        about: settings that decide the result; its `repr` counts.
        arrays: what it is computed from; their shapes, types and bytes count.
    """
    if cache is None:
        return compute()
    digest = hashlib.sha256(repr(about).encode())
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    file = cache / f"{name}-{digest.hexdigest()[:24]}.npy"
    values = _read(file)
    if values is None:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):  # trials that are scored at once do not each compute it
            values = _read(file)
            if values is None:
                values = compute()
                with atomic_write(file, "wb") as stream:
                    np.save(stream, values, allow_pickle=False)
    return values


def _read(file: Path) -> np.ndarray | None:
    """None: it is not there, or damaged by something outside."""
    try:
        return np.load(file, allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None

"""Modules that are imported when they are first used: a plan and the help need none of them, and take less time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import filelock
    import numpy as np

    from i2ibench import downloads
else:

    class _Module:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            value = getattr(import_module(self._name), name)
            setattr(self, name, value)
            return value

    np, filelock, downloads = _Module("numpy"), _Module("filelock"), _Module("i2ibench.downloads")

__all__ = ["downloads", "filelock", "np"]

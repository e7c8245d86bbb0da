"""Makes the figures of a report, on all cores where that is safe: they take most of its time."""

from __future__ import annotations

import gc
import multiprocessing
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from i2ibench.machine import cores
from i2ibench.report.drawing import Drawing, Saved

Make = Callable[[], Drawing | None]

_makes: Sequence[Make] = ()  # of the call at work: what a forked process finds, since figures' makers do not travel


def save(makes: Sequence[Make], folder: Path) -> list[Saved | None]:
    """Make each figure and save its files into `folder`; None where there is nothing to draw."""
    global _makes
    _makes = makes
    gc.freeze()  # results by the ten thousand, which each collection of garbage would go through again
    try:
        processes = min(_processes(), len(makes))
        if processes < 2:
            return [_save(i, folder) for i in range(len(makes))]
        with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
            order = range(len(makes) - 1, -1, -1)  # curves and steps, which have many panels, first: they take longest
            return list(pool.map(_save, order, [folder] * len(makes)))[::-1]
    finally:
        gc.unfreeze()
        _makes = ()


def _save(i: int, folder: Path) -> Saved | None:
    drawing = _makes[i]()
    return None if drawing is None else drawing.save(folder)


def _processes() -> int:
    """How many processes may draw. More than this one only by a fork of a process that nothing else runs in.

    Threads do not come along in a fork, and what they hold stays locked; torch and ray start some that Python does not
    know of, and a daemon (the drawer of `i2ibench serve`) may have no children.
    """
    alone = threading.active_count() == 1 and not {"torch", "ray"} & sys.modules.keys()
    if sys.platform != "linux" or not alone or multiprocessing.current_process().daemon:
        return 1
    return cores()

"""What a data set is once it is decoded: four uint8 arrays, and the names of the test images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Progress: TypeAlias = Callable[[int, int], None]  # called as progress(done, total)
Allocate: TypeAlias = Callable[[str, tuple[int, ...]], np.ndarray]  # allocate("train_a", shape): an array to fill

ARRAYS = ("train_a", "train_b", "test_a", "test_b")


def in_memory(_name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.empty(shape, np.uint8)


@dataclass(frozen=True)
class Images:
    """Decoded images, uint8 RGB (N, H, W, 3): the train arrays at load size, the test arrays at `size`.

    Where `paired`, `a[i]` and `b[i]` belong together in both splits; elsewhere A and B may differ in number.
    `test_names` names the images of `test_a`; `fingerprint` is that of the source, whatever the size.
    """

    train_a: np.ndarray
    train_b: np.ndarray
    test_a: np.ndarray
    test_b: np.ndarray
    test_names: tuple[str, ...]
    paired: bool
    fingerprint: str

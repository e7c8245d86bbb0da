"""What a data set is once it is decoded: four uint8 arrays, and the names of the test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from i2ibench.data.ragged import Ragged
from i2ibench.lazy import np

Progress: TypeAlias = Callable[[int, int], None]  # called as progress(done, total)
ImageSet: TypeAlias = "np.ndarray | Sequence[np.ndarray]"  # uint8 (N, H, W, 3); or (H, W, 3) each, of any sizes
Allocate: TypeAlias = "Callable[[str, tuple[int, ...]], np.ndarray]"  # allocate("train_a", shape): an array to fill

ARRAYS = ("train_a", "train_b", "test_a", "test_b")


def sizes(images: ImageSet) -> list[tuple[int, int]]:
    """The (height, width) that occur in a set, those of fewest pixels first."""
    found = {image.shape[:2] for image in (images[:1] if isinstance(images, np.ndarray) else images)}
    return sorted(found, key=lambda size: (size[0] * size[1], size))


def spelled(images: ImageSet) -> str:
    """Their size in words: "64 x 64", or that of the smallest and of the largest."""
    smallest, *more = (f"{height} x {width}" for height, width in sizes(images))
    return f"{smallest} to {more[-1]}" if more else smallest


def same_shapes(some: ImageSet, others: ImageSet) -> bool:
    """Whether two sets hold as many images, and those of one place have the same size."""
    if isinstance(some, np.ndarray) and isinstance(others, np.ndarray):
        return some.shape == others.shape
    return [image.shape for image in some] == [image.shape for image in others]


def evenly_spaced(count: int, wanted: int) -> np.ndarray:
    """Which of `count` images to take, `wanted` at most, the first and the last among them: by no one's looks."""
    return np.linspace(0, count - 1, min(wanted, count)).round().astype(np.int64)


def centre(images: np.ndarray, size: int) -> np.ndarray:
    """The centre of each of some square images (N, H, H, C): training images may be kept larger, to be cropped."""
    edge = (images.shape[1] - size) // 2
    return images[:, edge : edge + size, edge : edge + size]


def in_memory(_name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.empty(shape, np.uint8)


@dataclass(frozen=True)
class Images:
    """Decoded images, uint8 RGB (N, H, W, 3): the train arrays at load size, the test arrays at `size` or at their own.

    Where `paired`, `a[i]` and `b[i]` belong together in both splits; elsewhere A and B may differ in number.
    Where `hidden_pairs`, the test images do and the training images do not.
    `test_names` names the images of `test_a`; `fingerprint` is that of the source, whatever the size.
    """

    train_a: np.ndarray
    train_b: np.ndarray
    test_a: np.ndarray | Ragged
    test_b: np.ndarray | Ragged
    test_names: tuple[str, ...]
    paired: bool
    fingerprint: str
    hidden_pairs: bool = False

    @property
    def scores_pairs(self) -> bool:
        """Whether test_a[i] and test_b[i] belong together, so that an output can be held against its own target."""
        return self.paired or self.hidden_pairs

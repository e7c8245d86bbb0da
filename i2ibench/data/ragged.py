"""Images of several sizes in one array: end to end, with the height and width of each beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from i2ibench.data import pixels
from i2ibench.lazy import np


class Ragged(Sequence["np.ndarray"]):
    """N images of any sizes, uint8 (H, W, 3) each: views of one array, which may be memory-mapped.

    Attributes:
        pixels: uint8 (sum of all H * W * 3,).
        shapes: int64 (N, 2): height and width of each image.
    """

    def __init__(self, pixels: np.ndarray, shapes: np.ndarray) -> None:
        """Raises ValueError if there are not as many pixels as the shapes say."""
        self.pixels, self.shapes = pixels, np.asarray(shapes, np.int64).reshape(-1, 2)
        self._begins = np.concatenate([[0], np.cumsum(3 * self.shapes.prod(axis=1))])
        if pixels.shape != (self._begins[-1],):
            raise ValueError(f"{pixels.size} bytes of pixels for images of {self._begins[-1]}")

    @classmethod
    def of(cls, images: Sequence[np.ndarray]) -> Ragged:
        """A copy of these images, uint8 (H, W, 3) each."""
        return cls(np.concatenate([image.ravel() for image in images]), np.array([i.shape[:2] for i in images]))

    def squashed(self, size: int) -> np.ndarray:
        """All of them at one size, uint8 (N, size, size, 3): to be compared roughly."""
        from PIL import Image

        return np.stack([pixels.fitted(Image.fromarray(np.asarray(image)), size, "squash") for image in self])

    @property
    def nbytes(self) -> int:
        return self.pixels.nbytes

    def __len__(self) -> int:
        return len(self.shapes)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, at: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, at: slice) -> Ragged: ...

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            start, stop, _ = at.indices(len(self))
            return Ragged(self.pixels[self._begins[start] : self._begins[max(start, stop)]], self.shapes[at])
        begin, end = self._begins[:-1][at], self._begins[1:][at]
        return self.pixels[begin:end].reshape(*self.shapes[at], 3)

"""Cuts a batch's images out of memory maps and turns them into tensors, at about the speed of the memory itself."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 64  # bytes: of the widest vector instructions
CACHED = 1 << 18  # numbers that are worked on at a time: as float32, what the caches of a core hold
ARRAYS = 8  # that are kept for batches: enough for a step's, and for those of the step before


@dataclass(frozen=True)
class Crops:
    """Where each image of a batch is cut: all three (N,). Rows and columns count from the corner at the top left."""

    top: np.ndarray
    left: np.ndarray
    mirrored: np.ndarray

    def __getitem__(self, part: slice | np.ndarray) -> Crops:
        return Crops(self.top[part], self.left[part], self.mirrored[part])

    def indices(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows and the columns of each image (N, size), columns reversed where it is mirrored."""
        steps = np.arange(size)
        columns = np.where(self.mirrored[:, None], steps[::-1], steps)
        return self.top[:, None] + steps, self.left[:, None] + columns


class Room:
    """Memory for batches, lent out as tensors and used again once nobody holds those or a view of them.

    Fresh memory costs ten times as much as what is written into it, because the system clears it page by page.
    """

    def __init__(self) -> None:
        self._arrays: list[tuple[np.ndarray, weakref.ref[np.ndarray]]] = []  # and to whom each is lent

    def lend(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor of this shape and type, of whatever content."""
        free = [array for array, lent in self._arrays if lent() is None]
        like = torch.empty(0, dtype=dtype).numpy().dtype
        fitting = [array for array in free if array.shape == shape and array.dtype == like]
        array = fitting[0] if fitting else _aligned(shape, like)
        lent = array.view()  # lives for as long as the tensor's memory is in use
        others = [(old, user) for old, user in self._arrays if old is not array]
        self._arrays = [*others, (array, weakref.ref(lent))][-ARRAYS:]
        return torch.from_numpy(lent)


@dataclass(frozen=True)
class Cuts:
    """The images of a batch, not copied yet: `size` pixels square, out of images that are `width` pixels wide.

    Each is a span: the memory, uint8, from its first pixel to its last, with what lies between its rows.
    """

    spans: Sequence[np.ndarray]
    mirrored: Sequence[bool]
    size: int
    width: int

    @classmethod
    def of(cls, images: Sequence[np.ndarray], size: int, crops: Crops | None) -> Cuts:
        """Cut out of images of one size, uint8 (width, width, 3); without crops they are kept whole."""
        width = len(images[0]) if images else size
        if crops is None:
            return cls([image.reshape(-1) for image in images], [False] * len(images), size, width)
        starts = (3 * (crops.top * width + crops.left)).tolist()
        length = 3 * ((size - 1) * width + size)
        spans = [image.reshape(-1)[start : start + length] for image, start in zip(images, starts, strict=True)]
        return cls(spans, crops.mirrored.tolist(), size, width)

    def bytes(self, room: Room, device: torch.device | str = "cpu") -> Tensor:
        """uint8 (N, 3, size, size) on the device, where rows are cut to length and images mirrored."""
        device, shape = torch.device(device), (len(self.spans), 3 * self.size * self.width)
        if device.type == "cpu":
            spans = room.lend(shape, torch.uint8)
        else:  # not from the room, which is lent again, perhaps before the copy ends; torch waits until then
            spans = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
        for place, span in zip(spans.numpy(), self.spans, strict=True):
            place[: len(span)] = span  # whole: row by row it takes half as long again
        spans = spans.to(device, non_blocking=True)
        batch = spans.view(-1, self.size, self.width, 3)[:, :, : self.size]
        mirrored = [i for i, mirrored in enumerate(self.mirrored) if mirrored]
        if batch.device.type == "cpu":
            for i in mirrored:  # one at a time: an index of several is ten times as slow there
                batch[i] = batch[i].flip(1)
        elif mirrored:
            there = sent(np.array(mirrored), device)
            batch[there] = batch[there].flip(2)
        return batch.permute(0, 3, 1, 2)

    def floats(self, room: Room, *, channels_last: bool = False) -> Tensor:
        """float32 (N, 3, size, size) in [-1, 1]: x / 127.5 - 1.

        As many threads as torch's make them, each a few images at a time: the next until none is left. A thread that
        comes too late for any is not waited for, so other work on the machine costs no more than without them.
        """
        n, size = len(self.spans), self.size
        batch = room.lend((n, size, size, 3) if channels_last else (n, 3, size, size), torch.float32)
        several = max(1, CACHED // (3 * size * size))
        parts = [slice(start, start + several) for start in range(0, n, several)]
        left = iter(parts)
        make = partial(self._make, batch.numpy(), channels_last, several, left)
        helpers = [_pool().submit(make) for _ in parts[1 : torch.get_num_threads()]]
        make()
        for helper in helpers:
            if not helper.cancel():
                helper.result()
        return batch.permute(0, 3, 1, 2) if channels_last else batch

    def _make(self, places: np.ndarray, channels_last: bool, several: int, parts: Iterator[slice]) -> None:
        """Write the images of these parts of the batch, `several` each. Numpy does it, which lets other threads run."""
        rows, pixels = np.empty((self.size, self.size, 3), np.uint8), np.empty((several, *places.shape[1:]), np.uint8)
        images = pixels if channels_last else pixels.transpose(0, 2, 3, 1)
        for part in parts:
            for image, span, mirrored in zip(images, self.spans[part], self.mirrored[part], strict=False):
                cut = np.ndarray(rows.shape, np.uint8, span, strides=(3 * self.width, 3, 1))
                if mirrored:
                    rows[...] = cut  # first: backwards, uncached memory is read at half the speed
                    for channel in range(3):  # one at a time: together they take five times as long
                        image[..., channel] = rows[:, ::-1, channel]
                else:
                    image[...] = cut
            place = places[part]
            np.divide(pixels[: len(place)], 127.5, out=place, dtype=np.float32)
            np.subtract(place, 1, out=place)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="batches")


def sent(numbers: np.ndarray, device: torch.device) -> Tensor:
    """Numbers on a device, on their way when this returns: a copy from pageable memory would wait for all work there.

    Torch keeps what it has page-locked, and lends it again when the copy has ended.
    """
    tensor = torch.from_numpy(numbers)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Fresh memory of numpy, which asks the system for large pages, that begins where torch's would."""
    raw = np.empty(math.prod(shape) * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + raw.size - ALIGNMENT].view(dtype).reshape(shape)

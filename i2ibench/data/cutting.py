"""Cuts a batch's images out of memory maps and turns them into tensors, at about the speed of the memory itself."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 64  # bytes: of the widest vector instructions
CACHED = 1 << 18  # numbers that are worked on at a time: as float32, half of a processor's second cache
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


class Cut(NamedTuple):
    """One image to be, uint8 (size, size, 3), not copied yet, and whether it shall be mirrored."""

    pixels: np.ndarray
    mirrored: bool = False


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


def as_bytes(cuts: Sequence[Cut], size: int, room: Room, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, 3, size, size) on the device, in channels-last memory. Images are mirrored where they arrive."""
    device, shape = torch.device(device), (len(cuts), size, size, 3)
    if device.type == "cpu":
        batch = room.lend(shape, torch.uint8)
    else:  # not from the room, which is lent again, perhaps before the copy ends; torch waits until then
        batch = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
    for place, cut in zip(batch.numpy(), cuts, strict=True):
        place[...] = cut.pixels  # row by row: a copy from numpy's mirrored view takes thirty times as long
    batch = batch.to(device, non_blocking=True)
    mirrored = [i for i, cut in enumerate(cuts) if cut.mirrored]
    if batch.device.type == "cpu":
        for i in mirrored:  # one at a time: an index of several is ten times as slow there
            batch[i] = batch[i].flip(1)
    elif mirrored:
        there = sent(np.array(mirrored), device)
        batch[there] = batch[there].flip(2)
    return batch.permute(0, 3, 1, 2)


def as_floats(cuts: Sequence[Cut], size: int, room: Room, *, channels_last: bool = False) -> Tensor:
    """float32 (N, 3, size, size) in [-1, 1]: x / 127.5 - 1. A few images at a time, which stay in the cache."""
    if channels_last:
        pixels = as_bytes(cuts, size, room).permute(0, 2, 3, 1).numpy()
        batch = room.lend(pixels.shape, torch.float32)
    else:
        batch = room.lend((len(cuts), 3, size, size), torch.float32)
    places, several = batch.numpy(), max(1, CACHED // (3 * size * size))
    planes = np.empty((several, 3, size, size), np.uint8)
    for start in range(0, len(cuts), several):
        place = places[start : start + several]
        if channels_last:
            part = pixels[start : start + several]
        else:
            part = planes[: len(place)]
            for plane, cut in zip(part, cuts[start : start + several], strict=True):
                plane[...] = (cut.pixels[:, ::-1] if cut.mirrored else cut.pixels).transpose(2, 0, 1)
        np.divide(part, 127.5, out=place, dtype=np.float32)
        np.subtract(place, 1, out=place)
    return batch.permute(0, 3, 1, 2) if channels_last else batch


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

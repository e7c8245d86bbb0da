"""Training batches as a pure function of (seed, step): any step can be asked for at any time, so a resume is exact."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from i2ibench.data.images import Images
from i2ibench.data.jitter import factors, jittered
from i2ibench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from i2ibench.data.source import SourceParams
    from i2ibench.method import Pairing

Crops: TypeAlias = tuple[np.ndarray, np.ndarray]  # of each image (N, size): the rows and the columns to keep
RESIDENT_BYTES = 2 << 30  # training images up to this size live on the GPU; larger sets are copied batch by batch


class Epochs(ABC):
    """Training images of some domains, each in shuffled epochs: what batches are drawn from."""

    @abstractmethod
    def at(self, step: int, part: slice = slice(None)) -> tuple[Tensor, ...]:
        """The batch of a step, or a part of it: what a `Batch` holds, in its order but for progress and step."""

    def __init__(
        self,
        arrays: Sequence[np.ndarray],
        pools: Sequence[np.ndarray],
        batch_size: int,
        seed: int,
        params: SourceParams,
        device: torch.device | str,
    ) -> None:
        """`pools` holds the rows of each of `arrays`, uint8 (N, H, W, 3), that may be drawn; none may be empty."""
        self.batch_size, self.seed, self.params = batch_size, seed, params
        self.device = torch.device(device)
        self._pools = pools
        self._arrays = [self._resident(array) for array in arrays]
        self._epochs: dict[int, tuple[int, np.ndarray]] = {}  # domain -> the epoch last used and its order

    def _drawn(self, domain: int, position: np.ndarray) -> np.ndarray:
        """The rows of a domain at these places of the endless row of its shuffled epochs."""
        epoch, place = np.divmod(position, len(self._pools[domain]))
        rows = np.empty_like(position)
        for e in np.unique(epoch):
            rows[epoch == e] = self._epoch(domain, int(e))[place[epoch == e]]
        return rows

    def _epoch(self, domain: int, epoch: int) -> np.ndarray:
        if self._epochs.get(domain, (None,))[0] != epoch:  # remembered for speed only
            rng = np.random.default_rng([self.seed, domain, epoch, 0])
            self._epochs[domain] = epoch, rng.permutation(self._pools[domain])
        return self._epochs[domain][1]

    def _finished(self, pixels: Tensor, step: int, stream: int, part: slice) -> Tensor:
        """Bytes of a part of a step's batch as float in [-1, 1], with their colours changed if that is asked for."""
        images = normalise(pixels)
        if self.params.jitter is None:
            return images
        kept = factors(self.seed, step, stream, self.batch_size, self.params.jitter)[part]
        return jittered(images, torch.from_numpy(kept).to(self.device))

    def _crops(self, step: int, domain: int, part: slice) -> Crops | None:
        """Rows and columns (N, size) of each image to keep, columns reversed where it is mirrored; None keeps all.

        Those of a part of the batch, the same as in the whole; `domain` tells two streams of chance apart.
        """
        size, load_size, n = self.params.size, self.params.train_size, self.batch_size
        if load_size == size and not self.params.flip:
            return None
        rng = np.random.default_rng([self.seed, domain, step, 1])
        grid = self.params.scale  # where an image was enlarged, a crop begins where a pixel of the small one does
        top, left = grid * rng.integers(0, (load_size - size) // grid + 1, (2, n, 1))
        rows, columns = top + np.arange(size), left + np.arange(size)
        if self.params.flip:
            columns = np.where(rng.random((n, 1)) < 0.5, columns[:, ::-1], columns)
        return rows[part], columns[part]

    def _take(self, domain: int, index: np.ndarray, crop: Crops | None) -> Tensor:
        """Rows `index` of a domain, each cut as `crop` says, uint8 (n, 3, size, size)."""
        array = self._arrays[domain]
        if isinstance(array, Tensor):
            keys = [index]
            if crop is not None:
                keys = [index[:, None, None], crop[0][:, :, None], crop[1][:, None, :]]
            return array[tuple(torch.from_numpy(key).to(self.device) for key in keys)].permute(0, 3, 1, 2)
        # One image at a time, as slices: ten times as fast as an index for each pixel.
        batch = np.empty((len(index), 3, self.params.size, self.params.size), np.uint8)
        for i, row in enumerate(index):
            image = array[row]
            if crop is not None:
                rows, columns = crop[0][i], crop[1][i]
                left = min(columns[0], columns[-1])
                image = image[rows[0] : rows[-1] + 1, left : left + len(columns)]
                image = image if columns[0] <= columns[-1] else image[:, ::-1]
            batch[i] = image.transpose(2, 0, 1)
        return torch.from_numpy(batch).to(self.device, non_blocking=True)

    def _resident(self, array: np.ndarray) -> np.ndarray | Tensor:
        """On an accelerator, the images themselves if they are not too many; else the memory map as it is."""
        if self.device.type == "cpu" or array.nbytes > RESIDENT_BYTES:
            return array
        return torch.from_numpy(np.array(array)).to(self.device)


class Batches(Epochs):
    """Random batches of the training images.

    Each epoch visits each image once, in an order of its own; a batch may end one epoch and begin the next, so all
    have `batch_size` images. A paired method gets pairs, cropped, flipped and coloured alike. For an unpaired method
    A and B are drawn independently; on paired data A comes from one half of the pairs and B from the other, so that no
    image has its partner in the training set. The halves depend on the data alone, not on the seed: all trials see the
    same.
    """

    def __init__(
        self,
        images: Images,
        pairing: Pairing,
        batch_size: int,
        seed: int,
        params: SourceParams,
        device: torch.device | str = "cpu",
    ) -> None:
        """Raises DataError if a paired method meets unpaired data, or if there is nothing to draw from."""
        if pairing == "paired" and not images.paired:
            raise DataError("a method that needs pairs can't train on unpaired data: choose another method or data set")
        self.paired = pairing == "paired"
        rows = pools(images, pairing)
        if not all(len(pool) for pool in rows):
            raise DataError("unpaired training on paired data splits the pairs into two halves: it needs two at least")
        super().__init__((images.train_a, images.train_b), rows, batch_size, seed, params, device)

    def at(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """The batch of a step: two float tensors (batch_size, 3, size, size) in [-1, 1] on the device, or a part."""
        a, b = self.pixels(step, part)
        return self._finished(a, step, 0, part), self._finished(b, step, 0 if self.paired else 1, part)

    def pixels(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """The same as bytes: two uint8 tensors (batch_size, 3, size, size) on the device."""
        a, b = self.indices(step)
        crop_a = self._crops(step, 0, part)
        crop_b = crop_a if self.paired else self._crops(step, 1, part)
        return self._take(0, a[part], crop_a), self._take(1, b[part], crop_b)

    def indices(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Which training images the batch of a step holds: rows of train_a and of train_b."""
        a = self._order(step, domain=0)
        return a, (a if self.paired else self._order(step, domain=1))

    def _order(self, step: int, domain: int) -> np.ndarray:
        return self._drawn(domain, np.arange(step * self.batch_size, (step + 1) * self.batch_size))


def pools(images: Images, pairing: Pairing) -> tuple[np.ndarray, np.ndarray]:
    """Rows of train_a and train_b that a method of this pairing may learn from."""
    a, b = np.arange(len(images.train_a)), np.arange(len(images.train_b))
    if pairing == "paired" or not images.paired:
        return a, b
    first, second = shares(len(a), 2, images.fingerprint)
    return first, second


def shares(count: int, parts: int, fingerprint: str) -> list[np.ndarray]:
    """Rows 0 .. count - 1 in parts of nearly equal size, by chance but the same for one fingerprint; each sorted."""
    shuffled = np.random.default_rng(int(fingerprint[:16], 16)).permutation(count)
    cuts = [count * part // parts for part in range(parts + 1)]
    return [np.sort(shuffled[start:end]) for start, end in pairwise(cuts)]


def to_float(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in [-1, 1] on the device: x / 127.5 - 1."""
    # A copy, because torch can't take a read-only memory map; the bytes cross to the device, not the floats.
    return normalise(torch.from_numpy(np.array(images)).to(device, non_blocking=True).permute(0, 3, 1, 2))


def to_uint8(images: Tensor) -> np.ndarray:
    """Float (N, C, H, W) in [-1, 1] -> uint8 (N, H, W, C): (x + 1) * 127.5, rounded and clamped. Undoes `to_float`."""
    pixels = images.detach().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def normalise(pixels: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) -> float32 in [-1, 1]; in place: a new tensor each time takes thrice as long."""
    return pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1)

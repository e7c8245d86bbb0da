"""Training batches as a pure function of (seed, step): any step can be asked for at any time, so a resume is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from i2ibench.data.images import Images
from i2ibench.errors import DataError

if TYPE_CHECKING:
    from i2ibench.data.source import Pairing, SourceParams

RESIDENT_BYTES = 2 << 30  # training images up to this size live on the GPU; larger sets are copied batch by batch


class Batches:
    """Random batches of the training images.

    Each epoch visits each image once, in an order of its own; a batch may end one epoch and begin the next, so all
    have `batch_size` images. A paired method gets pairs, cropped and flipped alike. For an unpaired method A and B
    are drawn independently; on paired data A comes from one half of the pairs and B from the other, so that no image
    has its partner in the training set. The halves depend on the data alone, not on the seed: all trials see the same.
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
        self.batch_size, self.seed, self.params = batch_size, seed, params
        self.device = torch.device(device)
        self._pools = pools(images, pairing)
        if not all(len(pool) for pool in self._pools):
            raise DataError("unpaired training on paired data splits the pairs into two halves: it needs two at least")
        self._arrays = self._resident(images.train_a), self._resident(images.train_b)
        self._epochs: dict[int, tuple[int, np.ndarray]] = {}  # domain -> the epoch last used and its order

    def at(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """The batch of a step: two float tensors (batch_size, 3, size, size) in [-1, 1] on the device, or a part."""
        a, b = self.pixels(step, part)
        return _normalise(a), _normalise(b)

    def pixels(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """The same as bytes: two uint8 tensors (batch_size, 3, size, size) on the device."""
        a, b = self.indices(step)
        crop_a = self._crops(step, domain=0)
        crop_b = crop_a if self.paired else self._crops(step, domain=1)
        return self._take(0, a[part], crop_a, part), self._take(1, b[part], crop_b, part)

    def indices(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Which training images the batch of a step holds: rows of train_a and of train_b."""
        a = self._order(step, domain=0)
        return a, (a if self.paired else self._order(step, domain=1))

    def _order(self, step: int, domain: int) -> np.ndarray:
        """`batch_size` rows from the endless row of shuffled epochs, from position step * batch_size on."""
        pool = self._pools[domain]
        position = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epoch, place = np.divmod(position, len(pool))
        rows = np.empty_like(position)
        for e in np.unique(epoch):
            rows[epoch == e] = self._epoch(domain, int(e))[place[epoch == e]]
        return rows

    def _epoch(self, domain: int, epoch: int) -> np.ndarray:
        if self._epochs.get(domain, (None,))[0] != epoch:  # remembered for speed only
            rng = np.random.default_rng([self.seed, domain, epoch, 0])
            self._epochs[domain] = epoch, rng.permutation(self._pools[domain])
        return self._epochs[domain][1]

    def _crops(self, step: int, domain: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows and columns (N, size) of each image to keep, columns reversed where it is mirrored; None keeps all."""
        size, load_size, n = self.params.size, self.params.train_size, self.batch_size
        if load_size == size and not self.params.flip:
            return None
        rng = np.random.default_rng([self.seed, domain, step, 1])
        top, left = rng.integers(0, load_size - size + 1, (2, n, 1))
        rows, columns = top + np.arange(size), left + np.arange(size)
        if self.params.flip:
            columns = np.where(rng.random((n, 1)) < 0.5, columns[:, ::-1], columns)
        return rows, columns

    def _take(self, domain: int, index: np.ndarray, crop: tuple[np.ndarray, np.ndarray] | None, part: slice) -> Tensor:
        """Images `index` of a domain, uint8 (n, 3, size, size)."""
        array = self._arrays[domain]
        if isinstance(array, Tensor):
            keys = [index]
            if crop is not None:
                keys = [index[:, None, None], crop[0][part, :, None], crop[1][part, None, :]]
            return array[tuple(torch.from_numpy(key).to(self.device) for key in keys)].permute(0, 3, 1, 2)
        # One image at a time, as slices: ten times as fast as an index for each pixel.
        batch = np.empty((len(index), 3, self.params.size, self.params.size), np.uint8)
        for i, row in enumerate(index):
            image = array[row]
            if crop is not None:
                rows, columns = crop[0][part][i], crop[1][part][i]
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


def pools(images: Images, pairing: Pairing) -> tuple[np.ndarray, np.ndarray]:
    """Rows of train_a and train_b that a method of this pairing may learn from."""
    a, b = np.arange(len(images.train_a)), np.arange(len(images.train_b))
    if pairing == "paired" or not images.paired:
        return a, b
    shuffled = np.random.default_rng(int(images.fingerprint[:16], 16)).permutation(len(a))
    return np.sort(shuffled[: len(a) // 2]), np.sort(shuffled[len(a) // 2 :])


def to_float(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in [-1, 1] on the device: x / 127.5 - 1."""
    # A copy, because torch can't take a read-only memory map; the bytes cross to the device, not the floats.
    return _normalise(torch.from_numpy(np.array(images)).to(device, non_blocking=True).permute(0, 3, 1, 2))


def to_uint8(images: Tensor) -> np.ndarray:
    """Float (N, C, H, W) in [-1, 1] -> uint8 (N, H, W, C): (x + 1) * 127.5, rounded and clamped. Undoes `to_float`."""
    pixels = images.detach().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _normalise(pixels: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) -> float32 in [-1, 1]; in place: a new tensor each time takes thrice as long."""
    return pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1)

"""Training batches as a pure function of (seed, step): any step can be asked for at any time, so a resume is exact."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from i2ibench.data.cutting import Crops, Cuts, Room, sent
from i2ibench.data.images import Images
from i2ibench.data.jitter import factors, jittered
from i2ibench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from i2ibench.data.source import SourceParams
    from i2ibench.method import Pairing

RESIDENT_BYTES = 2 << 30  # training images up to this size live on the GPU; larger sets are copied batch by batch


@dataclass(frozen=True)
class Chosen:
    """Which images make up a batch, or a part of one: the domain and the row in it of each, and where it is cut."""

    domains: np.ndarray
    rows: np.ndarray
    crops: Crops | None


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
        self.channels_last = False  # the layout of images in memory; set it before the first batch
        self._room = Room()
        self._pools = pools
        self._arrays = [self._resident(array) for array in arrays]
        self._epochs: dict[int, tuple[int, np.ndarray]] = {}  # domain -> the epoch last used and its order

    def _drawn(self, domain: int, position: np.ndarray) -> np.ndarray:
        """The rows of a domain at these places of the endless row of its shuffled epochs."""
        epoch, place = np.divmod(position, len(self._pools[domain]))
        rows = np.empty_like(position)
        for e in sorted(set(epoch.tolist())):
            rows[epoch == e] = self._epoch(domain, e)[place[epoch == e]]
        return rows

    def _epoch(self, domain: int, epoch: int) -> np.ndarray:
        if self._epochs.get(domain, (None,))[0] != epoch:  # remembered for speed only
            rng = np.random.default_rng([self.seed, domain, epoch, 0])
            self._epochs[domain] = epoch, rng.permutation(self._pools[domain])
        return self._epochs[domain][1]

    def _images(self, chosen: Chosen, step: int, stream: int, part: slice) -> Tensor:
        """A part of a step's batch as float (n, 3, size, size) in [-1, 1], its colours changed if that is asked for."""
        if self.device.type == "cpu" and (cuts := self._cuts(chosen)) is not None:
            images = cuts.floats(self._room, channels_last=self.channels_last)
        else:
            images = normalise(self._bytes(chosen), channels_last=self.channels_last)
        if self.params.jitter is None:
            return images
        kept = factors(self.seed, step, stream, self.batch_size, self.params.jitter)[part]
        return jittered(images, sent(kept, self.device))

    def _bytes(self, chosen: Chosen) -> Tensor:
        """The same as uint8, before any change of colours."""
        if (cuts := self._cuts(chosen)) is not None:
            return cuts.bytes(self._room, self.device)
        size = self.params.size
        batch = torch.empty((len(chosen.rows), size, size, 3), dtype=torch.uint8, device=self.device)
        for domain in np.unique(chosen.domains):
            there = np.flatnonzero(chosen.domains == domain)
            batch[sent(there, self.device)] = self._taken(int(domain), chosen, there)
        return batch.permute(0, 3, 1, 2)

    def _cuts(self, chosen: Chosen) -> Cuts | None:
        """The chosen images, not copied yet; None if some are held as tensors."""
        domains = chosen.domains.tolist()
        if any(isinstance(self._arrays[domain], Tensor) for domain in set(domains)):
            return None
        images = [self._arrays[domain][row] for domain, row in zip(domains, chosen.rows.tolist(), strict=True)]
        return Cuts.of(images, self.params.size, chosen.crops)

    def _taken(self, domain: int, chosen: Chosen, there: np.ndarray) -> Tensor:
        """The chosen images at these places of the batch, of one domain: uint8 (n, size, size, 3) on the device."""
        array, keys = self._arrays[domain], [chosen.rows[there]]
        if not isinstance(array, Tensor):
            only = replace(
                chosen, domains=chosen.domains[there], rows=keys[0], crops=chosen.crops and chosen.crops[there]
            )
            return self._bytes(only).permute(0, 2, 3, 1)
        if chosen.crops is not None:
            rows, columns = chosen.crops[there].indices(self.params.size)
            keys = [keys[0][:, None, None], rows[:, :, None], columns[:, None, :]]
        return array[tuple(sent(key, self.device) for key in keys)]

    def _crops(self, step: int, stream: int, part: slice) -> Crops | None:
        """Where to cut each image of a part of a step's batch, the same as in the whole; None keeps all of it.

        `stream` tells two streams of chance apart.
        """
        size, load_size, n = self.params.size, self.params.train_size, self.batch_size
        if load_size == size and not self.params.flip:
            return None
        rng = np.random.default_rng([self.seed, stream, step, 1])
        grid = self.params.scale  # where an image was enlarged, a crop begins where a pixel of the small one does
        top, left = grid * rng.integers(0, (load_size - size) // grid + 1, (2, n))
        mirrored = rng.random(n) < 0.5 if self.params.flip else np.zeros(n, bool)
        return Crops(top, left, mirrored)[part]

    def _resident(self, array: np.ndarray) -> np.ndarray | Tensor:
        """On an accelerator, the images themselves if they are not too many; else the memory map as it is."""
        if self.device.type == "cpu" or array.nbytes > RESIDENT_BYTES:
            return np.asarray(array)  # not a memmap, each index of which would make another
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
        a, b = self._chosen(step, part)
        return self._images(a, step, 0, part), self._images(b, step, 0 if self.paired else 1, part)

    def pixels(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """The same as bytes: two uint8 tensors (batch_size, 3, size, size) on the device."""
        a, b = self._chosen(step, part)
        return self._bytes(a), self._bytes(b)

    def indices(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Which training images the batch of a step holds: rows of train_a and of train_b."""
        a = self._order(step, domain=0)
        return a, (a if self.paired else self._order(step, domain=1))

    def _chosen(self, step: int, part: slice) -> tuple[Chosen, Chosen]:
        a, b = (rows[part] for rows in self.indices(step))
        crops_a = self._crops(step, 0, part)
        crops_b = crops_a if self.paired else self._crops(step, 1, part)
        return Chosen(np.zeros_like(a), a, crops_a), Chosen(np.ones_like(b), b, crops_b)

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


def normalise(pixels: Tensor, *, channels_last: bool = False) -> Tensor:
    """uint8 (N, 3, H, W) -> float32 in [-1, 1]; in place: a new tensor each time takes thrice as long."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return pixels.to(torch.float32, memory_format=layout).div_(127.5).sub_(1)

"""Training batches of more than two domains: each image beside one of another domain, all domains equally often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from i2ibench.data.batches import Chosen, Epochs, shares
from i2ibench.data.cutting import sent
from i2ibench.data.images import Images
from i2ibench.errors import DataError

if TYPE_CHECKING:
    import torch

    from i2ibench.data.source import SourceParams


class DomainBatches(Epochs):
    """Random batches for a multi-domain method, as a pure function of (seed, step) like `Batches`.

    The places of a batch go through rounds, each of which has every domain once in A and once in B, next to each other
    in an order of its own: so every ordered pair of domains is equally likely, however many images a domain has. Each
    domain's images are visited in shuffled epochs, by A and B in turn. Where the domains show the same things (glyphs),
    each learns from a part of its own of them, so that no image has its partner in the training set.
    """

    def __init__(
        self,
        pairs: Sequence[Images],
        batch_size: int,
        seed: int,
        params: SourceParams,
        device: torch.device | str = "cpu",
    ) -> None:
        """`pairs` holds the first domain with each of the others (`sets.pairs_of`). Raises DataError for too few."""
        arrays = [pairs[0].train_a, *(pair.train_b for pair in pairs)]
        rows = [np.arange(len(array)) for array in arrays]
        if pairs[0].paired:
            rows = shares(len(arrays[0]), len(arrays), pairs[0].fingerprint)
        if not all(len(part) for part in rows):
            raise DataError(
                f"unpaired training on {len(rows)} paired domains needs {len(rows)} training images at least"
            )
        super().__init__(arrays, rows, batch_size, seed, params, device)

    def at(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The batch of a step, or a part of it: images a and b, and the domains of each, on the device.

        Images are float (batch_size, 3, size, size) in [-1, 1]; domains are int64 (batch_size,).
        """
        a, b = self._chosen(step, part)
        return self._images(a, step, 0, part), self._images(b, step, 1, part), self._labels(a), self._labels(b)

    def pixels(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The same with images as bytes, uint8."""
        a, b = self._chosen(step, part)
        return self._bytes(a), self._bytes(b), self._labels(a), self._labels(b)

    def indices(self, step: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """For a and for b: the domain of each place of a step's batch, and the row in that domain's training images."""
        k = len(self._pools)
        rounds, places = np.divmod(np.arange(step * self.batch_size, (step + 1) * self.batch_size), k)
        orders = {r: np.random.default_rng([self.seed, int(r), 2]).permutation(k) for r in np.unique(rounds)}
        order = np.stack([orders[r] for r in rounds])
        each = np.arange(len(order))
        streams = []
        for stream in range(2):
            domains = order[each, (places + stream) % k]
            rows = np.empty_like(domains)
            for domain in range(k):
                there = domains == domain
                rows[there] = self._drawn(domain, 2 * rounds[there] + stream)
            streams.append((domains, rows))
        return streams[0], streams[1]

    def _chosen(self, step: int, part: slice) -> tuple[Chosen, Chosen]:
        a, b = (
            Chosen(domains[part], rows[part], self._crops(step, stream, part))
            for stream, (domains, rows) in enumerate(self.indices(step))
        )
        return a, b

    def _labels(self, chosen: Chosen) -> Tensor:
        return sent(chosen.domains, self.device)

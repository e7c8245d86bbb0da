"""oracle: real training images of B as if they were translations, the ceiling of FID and KID on every leaderboard.

Its images are as realistic as can be and have nothing to do with the input: its score is what is left of a
distance between two sets of real images. Metrics that compare an output with its own target leave it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2ibench.method import Method

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Oracle(Method):
    """Real images of B (no paper)."""

    any_size = False
    scores_pairs = False

    def fit(self, a: Tensor, b: Tensor) -> None:
        """Keep the images of B, in an order drawn from the trial's seed."""
        self.images = b[b.new_empty(len(b)).float().uniform_().argsort()]
        self.given = 0

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        """The next images in the shuffled order; none comes twice before all have come once."""
        places = [(self.given + i) % len(self.images) for i in range(len(a))]
        self.given += len(a)
        return self.images[places].to(a.device, a.dtype) / 127.5 - 1

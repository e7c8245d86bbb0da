"""What a translation is asked for, besides its images. Needs no torch, so that a wrong path is found before that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from i2ibench.anysize import Fit

if TYPE_CHECKING:
    import numpy as np

Direction: TypeAlias = Literal["AtoB", "BtoA"]


@dataclass(frozen=True)
class Ask:
    """How to translate: what the command line and Python can say.

    n: how many translations of each image; None: one, without an axis for it in Python.
    style_from: images whose style to take, uint8 (H, W, 3) each, of any sizes.
    direction: None: the one that the trial was trained for.
    fit: see `Model.translate`.
    """

    n: int | None = None
    style_from: tuple[np.ndarray, ...] = ()
    direction: Direction | None = None
    fit: Fit = "auto"
    seed: int = 0

    @property
    def several(self) -> bool:
        """Whether each image gives a list of translations."""
        return self.n is not None or len(self.style_from) > 1

    @property
    def count(self) -> int:
        """Translations of each image."""
        return len(self.style_from) or self.n or 1

"""What a trial brings to its scoring besides its outputs: styles, inputs, cycles, palette, labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from i2ibench.data.labels import Palette


@dataclass(frozen=True)
class Labelled:
    """What the domain-adaptation score trains on. Images are uint8 (N, H, W, 3), labels int64 (N,) below `classes`.

    translated: the training images of A (`source`) after translation; `source_labels` are those of both.
    target: training images of B. test_labels: of the real test images of B.
    """

    classes: int
    source: np.ndarray
    translated: np.ndarray
    source_labels: np.ndarray
    target: np.ndarray
    target_labels: np.ndarray
    test_labels: np.ndarray


@dataclass(frozen=True)
class RealPairs:
    """Training pairs for the FCN-score's network, uint8 (N, H, W, 3) each: label maps, and what belongs to them."""

    maps: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Material:
    """Images are uint8 (..., H, W, 3). What a metric needs and is None here cannot be scored.

    styles: n translations of each of M inputs, (M, n, H, W, 3). truths: all K true answers to these, (K, M, H, W, 3).
    inputs: what each output was made from. cycled: each output translated back.
    scale: how many times smaller the inputs were before the task super-resolve enlarged them; 1 without that task.
    """

    styles: np.ndarray | None = None
    inputs: np.ndarray | None = None
    cycled: np.ndarray | None = None
    palette: Palette | None = None
    labelled: Labelled | None = None
    truths: np.ndarray | None = None
    pairs: RealPairs | None = None
    scale: int = 1

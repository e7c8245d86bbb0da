"""Diversity: how far translations of one input lie from each other, by the protocol of BicycleGAN and MUNIT.

The mean LPIPS distance of random pairs of translations of one input, over 100 inputs and 19 pairs each (Zhu et al.,
NeurIPS 2017, section 5; Huang et al., ECCV 2018, section 5.2). Each translation stands in one pair: 38 are paired
consecutively (github.com/NVlabs/MUNIT/issues/25). Noise is diverse too: the number means something only beside one of
quality, such as KID. The published ones are of LPIPS before its version 0.1, whose are about twice as large
(github.com/junyanz/BicycleGAN/issues/83): do not compare with them.
"""

from __future__ import annotations

import numpy as np

from i2ibench.metrics.images import lpips_values


def diversity_values(styles: np.ndarray, net: str, device: str) -> np.ndarray:
    """Mean LPIPS of the pairs (0, 1), (2, 3), ... of translations of each input, float64 (M,).

    Args:
        styles: uint8 (M, 2 * pairs, H, W, 3).
    """
    shape = styles.shape[2:]
    distances = lpips_values(styles[:, 0::2].reshape(-1, *shape), styles[:, 1::2].reshape(-1, *shape), net, device)
    return distances.reshape(len(styles), -1).mean(axis=1)

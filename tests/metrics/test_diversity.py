"""Diversity is the mean LPIPS of consecutive pairs of translations of one input."""

from __future__ import annotations

import numpy as np
import pytest

from i2ibench.metrics.diversity import diversity_values
from i2ibench.metrics.images import lpips_network, lpips_values


@pytest.mark.usefixtures("weights")
def test_it_is_the_mean_over_the_pairs_of_each_input(generated: np.ndarray) -> None:
    import torch

    styles = generated[:12].reshape(3, 4, 32, 32, 3)
    network = lpips_network("alex", "cpu")

    def lpips(a: np.ndarray, b: np.ndarray) -> float:
        x, y = (torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1 for image in (a, b))
        with torch.no_grad():
            return float(network(x, y))

    expected = [(lpips(each[0], each[1]) + lpips(each[2], each[3])) / 2 for each in styles]
    assert diversity_values(styles, "alex", "cpu") == pytest.approx(expected, abs=1e-6)
    assert min(expected) > 0.01
    exchanged = styles[:, [2, 3, 0, 1]]
    assert diversity_values(exchanged, "alex", "cpu") == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("weights")
def test_one_answer_is_no_diversity_and_two_are(generated: np.ndarray) -> None:
    one = np.repeat(generated[:2, None], 6, axis=1)
    assert diversity_values(one, "alex", "cpu") == pytest.approx([0, 0], abs=1e-7)
    two = one.copy()
    two[:, 1::2] = generated[2:4, None]
    expected = lpips_values(generated[:2], generated[2:4], "alex", "cpu")
    assert diversity_values(two, "alex", "cpu") == pytest.approx(expected, abs=1e-6)

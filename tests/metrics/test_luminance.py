"""PSNR and SSIM on luminance equal other libraries on the cropped Y, and know how much border to cut."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pytorch_msssim import ssim
from skimage.metrics import peak_signal_noise_ratio

from i2ibench.errors import TrialError
from i2ibench.metrics.evaluate import evaluate
from i2ibench.metrics.luminance import luminance, psnr_y_values, ssim_y_values
from i2ibench.metrics.material import Material
from i2ibench.metrics.protocol import PROTOCOLS

OFFLINE = PROTOCOLS["offline"]


def by_hand(image: np.ndarray) -> np.ndarray:
    """MATLAB's rgb2ycbcr of doubles, from its documentation, times 255."""
    return image @ np.array([65.481, 128.553, 24.966]) / 255 + 16


@pytest.mark.parametrize("border", [0, 2, 4])
def test_they_are_those_of_other_libraries_on_the_cropped_luminance(
    generated: np.ndarray, reference: np.ndarray, border: int
) -> None:
    a, b = generated, reference[: len(generated)]
    cut = slice(border, 32 - border)
    y_a, y_b = by_hand(a)[:, cut, cut], by_hand(b)[:, cut, cut]
    expected = [peak_signal_noise_ratio(q, p, data_range=255) for p, q in zip(y_a, y_b, strict=True)]
    assert psnr_y_values(a, b, border) == pytest.approx(expected, rel=1e-9)
    tensors = (torch.from_numpy(y)[:, None] for y in (y_a, y_b))
    expected = ssim(*tensors, data_range=255, win_size=11, win_sigma=1.5, size_average=False).numpy()
    assert ssim_y_values(a, b, border) == pytest.approx(expected, abs=2e-5)  # its window is float32


def test_black_and_white_and_no_difference() -> None:
    ends = np.stack([np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)])
    assert luminance(ends[0], 0) == pytest.approx(16)
    assert luminance(ends[1], 3) == pytest.approx(235)
    assert luminance(ends[1], 3).shape == (10, 10)
    assert psnr_y_values(ends, ends, 0) == pytest.approx([100, 100])


@pytest.mark.parametrize(("scale", "border", "cut"), [(1, None, 0), (4, None, 4), (2, None, 2), (4, 0, 0), (1, 3, 3)])
def test_the_border_is_the_tasks_scale_unless_the_protocol_says_otherwise(
    generated: np.ndarray, reference: np.ndarray, scale: int, border: int | None, cut: int
) -> None:
    a, b = generated[:3], reference[:3]
    protocol = OFFLINE.model_copy(update={"border": border})
    scores = evaluate(a, b, ["psnr_y", "ssim_y"], protocol, paired=True, material=Material(scale=scale))
    assert scores.per_image["psnr_y"] == pytest.approx(psnr_y_values(a, b, cut))
    assert scores.per_image["ssim_y"] == pytest.approx(ssim_y_values(a, b, cut))
    assert scores.stamp["metrics"]["psnr_y"]["border"] == cut
    assert (protocol.key() == OFFLINE.key()) == (border is None)


def test_what_the_border_leaves_must_have_room_for_the_window(blobs: Callable[..., np.ndarray]) -> None:
    small = blobs(2, 18, seed=0)
    with pytest.raises(TrialError, match="SSIM-Y needs images of 19 pixels or more"):
        evaluate(small, small, ["ssim_y"], OFFLINE, paired=True, material=Material(scale=4))

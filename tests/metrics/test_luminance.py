"""PSNR and SSIM on luminance equal other libraries on the cropped Y, and know how much border to cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_msssim import ssim as torch_ssim
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

from i2ibench.errors import TrialError
from i2ibench.metrics.evaluate import evaluate
from i2ibench.metrics.luminance import bicubic, luminance, psnr, psnr_y_values, rounded, ssim, ssim_y_values
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
    expected = torch_ssim(*tensors, data_range=255, win_size=11, win_sigma=1.5, size_average=False).numpy()
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


@pytest.mark.parametrize("scale", [2, 4])
def test_enlarging_alone_is_what_pillow_gives_within_the_border(scale: int) -> None:
    """Pillow has the same cubic kernel and does not round floats, but cuts the kernel off at the border."""
    photo = np.asarray(data.astronaut())[:193, :258]
    plane = rounded(photo)
    assert np.array_equal(plane, np.floor(by_hand(photo) + 0.5))
    whole = Image.fromarray(plane[: 193 // scale * scale, : 258 // scale * scale].astype(np.float32))
    small = whole.resize((whole.width // scale, whole.height // scale), Image.Resampling.BICUBIC)
    enlarged = np.floor(np.asarray(small.resize(whole.size, Image.Resampling.BICUBIC)).clip(0, 255) + 0.5)
    border = 12 * scale  # more than both kernels reach
    inside = (slice(border, -border),) * 2
    found = bicubic(plane, scale, border)
    assert found[0] == pytest.approx(psnr(enlarged[inside], np.asarray(whole)[inside]), abs=1e-3)
    assert found[1] == pytest.approx(ssim(enlarged[inside], np.asarray(whole)[inside]), abs=1e-5)
    assert found[0] > 20


def test_it_stands_beside_scores_on_luminance_of_the_task(blobs: Callable[..., np.ndarray], tmp_path: Path) -> None:
    real = blobs(3, 32, seed=0)
    metrics = ["psnr", "ssim_y"]
    scores = evaluate(real, real, metrics, OFFLINE, paired=True, material=Material(scale=4), cache=tmp_path)
    expected = np.mean([bicubic(rounded(image), 4, 4)[1] for image in real])
    assert scores.bounds == {"ssim_y": {"bicubic of tables": pytest.approx(expected)}}
    assert len(list(tmp_path.glob("bicubic-*.npy"))) == 1
    again = evaluate(real, real, metrics, OFFLINE, paired=True, material=Material(scale=4), cache=tmp_path)
    assert again.bounds == scores.bounds
    assert not evaluate(real, real, metrics, OFFLINE, paired=True).bounds

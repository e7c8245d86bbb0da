"""The clean protocol resizes as the clean-fid package does, to the last digit, and FID sees the difference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cleanfid.resize import build_resizer, make_resizer

from i2ibench.metrics import resize
from i2ibench.metrics.evaluate import evaluate
from i2ibench.metrics.protocol import Protocol


@pytest.mark.parametrize("shape", [(32, 32), (299, 299), (400, 320), (17, 600)])
def test_resize_equals_clean_fid(shape: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    expected = np.stack([build_resizer("clean")(image) for image in images])
    ours = resize.clean(images, 299)
    assert ours.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(ours, expected)


def test_resize_to_another_size_and_its_range() -> None:
    images = np.zeros((1, 64, 64, 3), np.uint8)
    images[:, ::8] = 255  # bicubic overshoots at edges
    ours = resize.clean(images, 48)
    np.testing.assert_array_equal(ours[0], make_resizer("PIL", False, "bicubic", (48, 48))(images[0]))
    assert (ours.min(), ours.max() <= 255) == (0, True)
    assert (ours % 1 != 0).any()  # not rounded to grey levels


@pytest.mark.usefixtures("weights")
def test_evaluate_follows_the_resize_rule(blobs: Callable[..., np.ndarray]) -> None:
    """Images of the network's own size are not touched, by whichever rule; others are, and the stamp says how."""
    native = Protocol(extractor="vgg16-relu5_3", input_size=32)
    clean = native.model_copy(update={"resize": "clean"})
    for size, same in ((32, True), (40, False)):
        a, b = blobs(12, size, seed=1, smooth=0.5), blobs(12, size, seed=2, smooth=1.0)
        kids = [evaluate(a, b, ["kid"], protocol, paired=False) for protocol in (native, clean)]
        assert (kids[0].values["kid"] == pytest.approx(kids[1].values["kid"], rel=1e-5)) is same
        entry = kids[1].stamp["metrics"]["kid"]
        assert entry["resize"] == "bicubic, antialiased, each channel as float32 (PIL, as clean-fid)"
        assert "pillow version" in entry

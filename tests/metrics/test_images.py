"""LPIPS, SSIM, MS-SSIM, PSNR and L1 equal their reference libraries, published numbers and formulas."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.metrics import structural_similarity

from i2ibench import assets
from i2ibench.metrics import images as pairs
from i2ibench.metrics.catalog import LPIPS_SMALLEST, MS_SSIM_SMALLEST


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(("net", "published"), [("alex", (0.7219, 0.1376)), ("vgg", (0.5686, 0.4217))])
def test_lpips_gives_its_published_numbers(net: str, published: tuple[float, float], shared_data: Path) -> None:
    from PIL import Image

    folder = shared_data / "lpips-golden"
    reference, first, second = (
        np.asarray(Image.open(folder / f"ex_{name}.png").convert("RGB")) for name in ("ref", "p0", "p1")
    )
    values = pairs.lpips_values(np.stack([first, second]), np.stack([reference, reference]), net, "cpu")
    assert values == pytest.approx(published, abs=6e-5)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_equals_the_lpips_package(net: str, generated: np.ndarray, reference: np.ndarray) -> None:
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)  # built in the package's own way
    trunk = load_file(assets.path({"alex": "alexnet-features", "vgg": "vgg16-features"}[net]))
    trunk = {name.removeprefix("features."): value for name, value in trunk.items()}
    for part in network.net.children():
        names = part.state_dict()
        part.load_state_dict({name: trunk[name] for name in names})
    a, b = (torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255 for x in (generated, reference[: len(generated)]))
    with torch.no_grad():
        expected = network(a, b, normalize=True).flatten().numpy()
    values = pairs.lpips_values(generated, reference[: len(generated)], net, "cpu")
    assert np.abs(values - expected).max() <= 1e-6
    assert expected.min() > 0.01


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(("net", "smallest"), LPIPS_SMALLEST.items())
def test_lpips_works_from_its_smallest_image(net: str, smallest: int, generated: np.ndarray) -> None:
    small = generated[:2, :smallest, :smallest]
    assert pairs.lpips_values(small, small, net, "cpu") == pytest.approx([0, 0], abs=1e-7)
    with pytest.raises(RuntimeError):
        pairs.lpips_values(small[:, 1:, 1:], small[:, 1:, 1:], net, "cpu")


def test_building_lpips_leaves_the_random_numbers_alone(weights: None) -> None:
    before = torch.get_rng_state()
    pairs.lpips_network.cache_clear()
    pairs.lpips_network("alex", "cpu")
    assert torch.equal(before, torch.get_rng_state())


def wang(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SSIM, and its part without the luminance, of float images (H, W): the means over the 11 x 11 Gaussian windows
    that lie within the image (Wang et al. 2004)."""
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2

    def mean(x: np.ndarray) -> np.ndarray:
        return np.einsum("ijkl,kl->ij", np.lib.stride_tricks.sliding_window_view(x, (11, 11)), window)

    mu_a, mu_b = mean(a), mean(b)
    var_a, var_b, cov = mean(a * a) - mu_a**2, mean(b * b) - mu_b**2, mean(a * b) - mu_a * mu_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    structure = (2 * cov + c2) / (var_a + var_b + c2)
    return ((2 * mu_a * mu_b + c1) / (mu_a**2 + mu_b**2 + c1) * structure).mean(), structure.mean()


def test_ssim_is_wangs(generated: np.ndarray, reference: np.ndarray) -> None:
    a, b = generated[0].astype(float), reference[0].astype(float)
    expected = np.mean([wang(a[..., i], b[..., i])[0] for i in range(3)])
    assert pairs.ssim_values(generated[:1], reference[:1]) == pytest.approx([expected], abs=1e-6)


def test_ms_ssim_is_wangs(blobs: Callable[..., np.ndarray]) -> None:
    """Wang et al. (2003): contrast and structure at five scales, each half the last, and the luminance at the fifth."""
    b = blobs(2, 176, seed=1, smooth=4.0)
    a = (b * 0.8 + blobs(2, 176, seed=2, smooth=1.0) * 0.2).astype(np.uint8)
    expected = []
    for one, other in zip(a.astype(float), b.astype(float), strict=True):
        product = np.ones(3)
        for scale, weight in enumerate([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]):
            parts = [wang(one[..., i], other[..., i])[0 if scale == 4 else 1] for i in range(3)]
            product *= np.array(parts) ** weight
            one, other = (
                x.reshape(len(x) // 2, 2, len(x) // 2, 2, 3).mean(axis=(1, 3)) if scale < 4 else x for x in (one, other)
            )
        expected.append(product.mean())
    assert min(expected) > 0.1
    assert max(expected) < 0.99
    assert pairs.ms_ssim_values(a, b, "cpu") == pytest.approx(expected, abs=1e-6)


def test_ms_ssim_from_its_smallest_image_and_at_its_ends(blobs: Callable[..., np.ndarray]) -> None:
    images = blobs(2, MS_SSIM_SMALLEST, seed=1)
    assert pairs.ms_ssim_values(images, images, "cpu") == pytest.approx([1, 1])
    assert pairs.ms_ssim_values(images, 255 - images, "cpu") == pytest.approx([0, 0])
    with pytest.raises(AssertionError):
        pairs.ms_ssim_values(images[:, 1:, 1:], images[:, 1:, 1:], "cpu")


def test_ssim_equals_scikit_image(generated: np.ndarray, reference: np.ndarray) -> None:
    values = pairs.ssim_values(generated[:5], reference[:5])
    for value, a, b in zip(values, generated, reference, strict=False):
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        expected = structural_similarity(a, b, data_range=255, channel_axis=-1, **settings)
        assert value == pytest.approx(expected, abs=1e-12)
    assert pairs.ssim_values(generated[:3], generated[:3]) == pytest.approx([1, 1, 1])


def test_psnr_and_its_cap() -> None:
    black = np.zeros((3, 16, 16, 3), np.uint8)
    other = black.copy()
    other[1] = 255  # the largest error there is
    other[2] = 16
    assert pairs.psnr_values(other, black) == pytest.approx([100.0, 0.0, 20 * np.log10(255 / 16)])


def test_l1_is_in_grey_levels() -> None:
    black = np.zeros((3, 4, 4, 3), np.uint8)
    other = black.copy()
    other[1] = 255
    other[2, :2, :, 0] = 6  # half the places of a third of the channels
    assert pairs.l1_values(other, black) == pytest.approx([0, 255, 1])
    assert (pairs.l1_values(black, other) == pairs.l1_values(other, black)).all()

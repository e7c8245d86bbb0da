"""LPIPS, SSIM and PSNR equal their reference libraries and published numbers."""

from __future__ import annotations

import warnings
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.metrics import structural_similarity

from i2ibench import assets
from i2ibench.metrics import images as pairs
from i2ibench.metrics.catalog import LPIPS_SMALLEST


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


def test_ssim_is_wangs(generated: np.ndarray, reference: np.ndarray) -> None:
    """Against the formula written out with its 11 x 11 Gaussian window, over the windows that lie within the image."""
    a, b = generated[0].astype(float), reference[0].astype(float)
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2

    def mean(x: np.ndarray) -> np.ndarray:
        return np.einsum("ijckl,kl->ijc", np.lib.stride_tricks.sliding_window_view(x, (11, 11), axis=(0, 1)), window)

    mu_a, mu_b = mean(a), mean(b)
    var_a, var_b, cov = mean(a * a) - mu_a**2, mean(b * b) - mu_b**2, mean(a * b) - mu_a * mu_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ssim = (2 * mu_a * mu_b + c1) * (2 * cov + c2) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))
    assert pairs.ssim_values(generated[:1], reference[:1]) == pytest.approx([ssim.mean()], abs=1e-6)


def test_ssim_equals_scikit_image(generated: np.ndarray, reference: np.ndarray) -> None:
    values = pairs.ssim_values(generated[:5], reference[:5])
    for value, a, b in zip(values, generated, reference, strict=False):
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        expected = structural_similarity(a, b, data_range=255, channel_axis=-1, **settings)
        assert value == pytest.approx(expected, abs=1e-6)
    assert pairs.ssim_values(generated[:3], generated[:3]) == pytest.approx([1, 1, 1])


def test_psnr_and_its_cap() -> None:
    black = np.zeros((3, 16, 16, 3), np.uint8)
    other = black.copy()
    other[1] = 255  # the largest error there is
    other[2] = 16
    assert pairs.psnr_values(other, black) == pytest.approx([100.0, 0.0, 20 * np.log10(255 / 16)])

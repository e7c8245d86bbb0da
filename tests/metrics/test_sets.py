"""FID, KID, precision and recall equal torch-fidelity's, on the same PNG files, subsets, extractor and weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_kid import kid_features_to_metric

from i2ibench import assets
from i2ibench.metrics import features, sets
from i2ibench.metrics.evaluate import Scores, evaluate
from i2ibench.metrics.protocol import Protocol

OFFLINE = Protocol(extractor="vgg16-relu5_3", input_size=32)
SETS = ["fid", "kid", "precision", "recall"]


def save(images: np.ndarray, folder: Path) -> str:
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03}.png")
    return str(folder)


def library(
    generated: np.ndarray, reference: np.ndarray, protocol: Protocol, folder: Path, **more: object
) -> dict[str, float]:
    return torch_fidelity.calculate_metrics(
        input1=save(generated, folder / "generated"),
        input2=save(reference, folder / "reference"),
        fid=True,
        kid=True,
        prc=True,
        kid_subset_size=protocol.kid_size(len(generated), len(reference)),
        feature_extractor=protocol.extractor,
        feature_extractor_weights_path=str(assets.path(protocol.assets(["fid"])[0])),
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
        **more,
    )


def weights_file() -> str:
    return str(assets.path("inception-v3-compat"))


def agree(ours: Scores, theirs: dict[str, float]) -> None:
    assert ours.values["fid"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-5)
    rounding = 2e-7  # of theirs in float32, where kernels of about 1 cancel
    assert ours.values["kid"] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=2e-4, abs=rounding)
    assert ours.intervals["kid"]["std"] == pytest.approx(theirs["kernel_inception_distance_std"], rel=2e-3)
    assert ours.values["precision"] == pytest.approx(theirs["precision"], rel=1e-6)
    assert ours.values["recall"] == pytest.approx(theirs["recall"], rel=1e-6)


@pytest.fixture
def random_inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file as the real one, pinned in its place; weights scaled so that features are neither zero nor huge."""
    file = tmp_path / "inception.pth"
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.save({}, file)
        network = FeatureExtractorInceptionV3("random", ["2048"], feature_extractor_weights_path=str(file))
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    torch.save(network.state_dict(), file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    pinned = replace(assets.ASSETS["inception-v3-compat"], file=file.name, sha256=sha256, size=file.stat().st_size)
    monkeypatch.setitem(assets.ASSETS, "inception-v3-compat", pinned)
    monkeypatch.setenv("I2IBENCH_CACHE", str(tmp_path))
    yield
    features.extractor.cache_clear()


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("size", [32, 48])
def test_vgg_equals_torch_fidelity(generated: np.ndarray, reference: np.ndarray, size: int, tmp_path: Path) -> None:
    protocol = OFFLINE.model_copy(update={"input_size": size})
    ours = evaluate(generated, reference, SETS, protocol, paired=False)
    theirs = library(generated, reference, protocol, tmp_path, input_size=size)
    agree(ours, theirs)
    assert 0 < ours.values["precision"] < 1
    assert 0 < ours.values["recall"] < 1


@pytest.mark.usefixtures("random_inception")
def test_inception_equals_torch_fidelity(
    generated: np.ndarray, reference: np.ndarray, tmp_path: Path, blobs: Callable[..., np.ndarray]
) -> None:
    """With random weights in a file of the real checkpoint's layout, so that the way of the real one is walked."""
    standard = Protocol(extractor="inception-v3-compat")
    ours = evaluate(generated[:6], reference[:5], SETS, standard, paired=False)
    theirs = library(generated[:6], reference[:5], standard, tmp_path)
    agree(ours, theirs)
    assert ours.values["fid"] > 0.1
    assert ours.stamp["metrics"]["fid"]["input_size"] == 299
    assert "rank-deficient" in ours.stamp["warnings"][0]
    expected = FeatureExtractorInceptionV3("whole", ["2048"], feature_extractor_weights_path=weights_file())
    whole = torch.from_numpy(blobs(2, 299, seed=3)).permute(0, 3, 1, 2)  # of the network's size: nothing to resize
    network, small = (
        features.extractor("inception-v3-compat", 299, "cpu"),
        torch.from_numpy(blobs(2, 40, seed=4)[:, :, :33].copy()),
    )
    for images in (whole, small.permute(0, 3, 1, 2)):
        torch.testing.assert_close(network(images)[0], expected(images)[0], rtol=2e-5, atol=1e-6)
    assert torch.equal(network(whole.float())[0], network(whole)[0])


def test_vgg_feature_is_torchvisions_relu5_3(weights: None, reference: np.ndarray) -> None:
    from safetensors.torch import load_file
    from torchvision.models import VGG16_Weights, vgg16

    with torch.random.fork_rng():
        network = vgg16(weights=None).features.eval()
    state = {name.removeprefix("features."): value for name, value in load_file(assets.path("vgg16-features")).items()}
    network.load_state_dict(state)
    images = torch.from_numpy(reference[:4]).permute(0, 3, 1, 2)
    normalise = VGG16_Weights.IMAGENET1K_V1.transforms(crop_size=32, resize_size=32)
    with torch.no_grad():
        expected = network[:30](normalise(images)).mean(dim=(2, 3))
    actual = features.extract(reference[:4], OFFLINE, "cpu")
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 5), (40, 64), (1500, 1100)])
def test_kid_equals_the_formula_in_float64(n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    x, y = (
        torch.from_numpy(rng.gamma(2.0, shift, (count, 16)).astype(np.float32)) for count, shift in ((n, 1.0), (m, 1.1))
    )
    expected = kid_features_to_metric(
        x.double(), y.double(), kid_subsets=100, kid_subset_size=OFFLINE.kid_size(n, m), rng_seed=2020, verbose=False
    )
    subsets = sets.kid(x, y, OFFLINE)
    assert subsets.mean() == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9)
    assert subsets.std() == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-9, abs=1e-9)

"""The domain-invariant perceptual distance: blind to brightness and contrast, not to content, and open to gradients."""

from collections.abc import Callable

import pytest
import torch
from torchvision.models import vgg16

from i2ibench import assets, nn
from i2ibench.errors import AssetError


@pytest.fixture(scope="module")
def loss() -> Callable[..., torch.Tensor]:
    assets.ensure("vgg16-features")
    return nn.PerceptualLoss()


def blobs(seed: int) -> torch.Tensor:
    coarse = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (64, 64), mode="bilinear")


def test_an_image_has_no_distance_to_itself_and_some_to_another(loss: Callable[..., torch.Tensor]) -> None:
    assert loss(blobs(0), blobs(0)) == 0
    assert loss(blobs(0), blobs(1)) > 0.1


def test_a_domain_shift_counts_less_than_another_content(loss: Callable[..., torch.Tensor]) -> None:
    assert loss(blobs(0), 0.6 * blobs(0) + 0.2) < 0.5 * loss(blobs(0), blobs(1))


def test_the_network_is_torchvisions(loss: Callable[..., torch.Tensor]) -> None:
    theirs = vgg16(weights=None).features[:30].eval()
    ours = nn.vgg16_features()
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(theirs(blobs(0)), ours(blobs(0)))


def test_it_looks_without_the_last_pooling_as_the_authors_code_does(loss: Callable[..., torch.Tensor]) -> None:
    theirs, (x, y) = nn.vgg16_features(), map(blobs, (0, 1))
    before = [theirs[:23](nn.perceptual.normalised(image)) for image in (x, y)]
    after = [theirs[24:](h) for h in before]
    assert [tuple(h.shape[2:]) for h in after] == [(8, 8)] * 2, "an eighth of 64"
    plain = [torch.nn.functional.instance_norm(h) for h in after]
    torch.testing.assert_close(loss(x, y), (plain[0] - plain[1]).square().mean())


def test_gradients_reach_the_images_and_not_the_network(loss: Callable[..., torch.Tensor]) -> None:
    image = blobs(0).requires_grad_()
    loss(image, blobs(1)).backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None for p in loss._features.parameters())  # type: ignore[attr-defined]


def test_missing_weights_say_how_to_get_them(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("I2IBENCH_CACHE", str(tmp_path))
    with pytest.raises(AssetError, match="assets fetch vgg16-features"):
        nn.PerceptualLoss()

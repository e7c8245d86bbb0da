"""SRCNN, EDSR, SRResNet and SRGAN: the published systems, the small image that they see, and their losses by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss, softplus

from i2ibench import nn, registry
from i2ibench.data.batches import to_float, to_uint8
from i2ibench.data.resize import imresize
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task
from i2ibench.nn.superres import enlargement
from i2ibench.turns import Turns

ADAM = {"beta1": 0.9, "beta2": 0.999, "weight_decay": 0, "lr": 1e-4}


def published(name: str, size: int = 96, **params: Any) -> Any:
    """The method at its preset `paper`, without memory for its weights."""
    method: Any = registry.method(name)
    values = dict(method.presets["paper"])
    values.pop("training")
    with torch.device("meta"):
        return method(method.Params(**values | params), Task(3, 3, size, 4))


def small(name: str, size: int = 16, **params: Any) -> Any:
    torch.manual_seed(0)
    method: Any = registry.method(name)
    values = dict(method.presets["tiny"])
    values.pop("training")
    return method(method.Params(**values | params), Task(3, 3, size, 4))


def images(seed: int, n: int = 2, size: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(("kernels", "weights"), [((9, 1, 5), 8_032), ((9, 3, 5), 24_416), ((9, 5, 5), 57_184)])
def test_srcnn_has_the_papers_weights_on_one_channel(kernels: tuple[int, int, int], weights: int) -> None:
    """Table 2 and section 4.3.2 of the TPAMI paper, which count no biases."""
    network = nn.SRCNN(channels=1, kernels=kernels)
    assert sum(p.numel() for p in network.parameters() if p.ndim > 1) == weights
    assert published("srcnn").parameter_counts() == {"generator": 20_000 + 64 + 32 + 3}  # on RGB


@pytest.mark.parametrize(
    ("scale", "full", "count"),
    [(2, False, 1_369_859), (4, False, 1_517_571), (2, True, 40_729_603), (4, True, 43_089_923)],
)
def test_edsr_has_the_authors_networks(scale: int, full: bool, count: int) -> None:
    """1.37 M, 1.52 M, 40.7 M and 43.1 M: the released models', less the fixed shifts by DIV2K's mean."""
    baseline: dict[str, Any] = {} if full else {"width": 64, "blocks": 16, "residual_scale": 1.0}
    method = published("edsr", scale=scale, **baseline)
    assert method.parameter_counts() == {"generator": count}
    names = set(method.generator.state_dict())
    assert {"head.0.weight", "body.0.body.0.weight", "body.0.body.2.bias", "tail.0.0.weight", "tail.1.bias"} <= names
    if full:
        assert method.params.residual_scale == 0.1
        assert (method.params.decay, method.params.decay_every) == ("halve", 200_000)
    assert {key: getattr(method.params, key) for key in ADAM} == ADAM


def test_srresnet_and_srgan_have_the_papers_networks() -> None:
    """1.5 M by EDSR's table 1; the authors published no code, so the count is that of the paper's figure 4."""
    conv = 64 * 64 * 9 + 64
    block = 2 * (conv + 2 * 64) + 1
    head, tail, up = 3 * 64 * 81 + 64 + 1, 64 * 3 * 81 + 3, 4 * conv + 1
    expected = head + 16 * block + conv + 2 * 64 + 2 * up + tail
    assert expected == 1_549_462
    method = published("srresnet")
    assert method.parameter_counts() == {"generator": expected}
    assert {key: getattr(method.params, key) for key in ADAM} == ADAM
    gan = published("srgan", content="mse")
    widths = (3, 64, 64, 128, 128, 256, 256, 512, 512)
    convs = sum(9 * a * b + b for a, b in pairwise(widths)) + 2 * sum(widths[2:])
    dense = 512 * 6 * 6 * 1024 + 1024 + 1024 + 1
    assert gan.parameter_counts() == {"generator": expected, "discriminator": convs + dense}
    assert gan.params.lambda_gan == 1e-3


def test_a_residual_block_scales_what_it_adds() -> None:
    torch.manual_seed(0)
    x, plain = images(1), small("edsr").generator
    method = small("edsr", residual_scale=0.1).generator
    for block, other in zip(method.body[:-1], plain.body[:-1], strict=True):
        y = torch.randn(1, 16, 4, 4)
        torch.testing.assert_close(block(y) - y, 0.1 * (other(y) - y))
    assert method(x).shape == (2, 3, 64, 64)


# -- the small image ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "scale"), [(8, 2), (16, 4), (5, 8)])
def test_the_enlargement_that_is_undone_is_the_tasks(size: int, scale: int) -> None:
    image = np.random.default_rng(0).integers(60, 200, (size, size, 3), np.uint8)
    matrix = enlargement(size, scale).numpy()
    expected = np.einsum("yh,hwc,xw->yxc", matrix, image.astype(float), matrix)
    assert np.abs(imresize(image, size * scale) - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(("scale", "wrong"), [(2, 0.03), (4, 0), (8, 0)])
def test_shrinking_undoes_it_where_nothing_was_clipped(scale: int, wrong: float) -> None:
    """Exactly from x4 on; at x2 rounding leaves too little to average over, and a few are off by one level."""
    small_image = np.random.default_rng(1).integers(60, 190, (8, 8, 3), np.uint8)
    enlarged = imresize(small_image, 8 * scale)
    assert enlarged.min() > 0
    assert enlarged.max() < 255
    found = nn.Shrink(8 * scale, scale)(to_float(enlarged[None]))
    difference = np.abs(to_uint8(found)[0].astype(int) - small_image)
    assert (difference > 0).mean() <= wrong
    assert difference.max() <= 1


def test_shrinking_a_photograph_is_nearly_exact() -> None:
    from skimage.data import astronaut

    image = astronaut()[:256, :256]
    low = imresize(image, 64)
    found = to_uint8(nn.Shrink(256, 4)(to_float(imresize(low, 256)[None])))[0]
    assert (found == low).mean() > 0.95
    assert np.abs(found.astype(int) - low).mean() < 0.1
    blurred = imresize(imresize(low, 256), 64)
    assert np.abs(blurred.astype(int) - low).mean() > 1, "what bicubic shrinking would be off by"


def test_the_networks_enlarge_by_the_tasks_scale_unless_told() -> None:
    for given, task, expected in ((None, 1, 4), (None, 8, 8), (2, 4, 2)):
        method: Any = registry.method("edsr")
        made = method(method.Params(width=4, blocks=1, scale=given), Task(3, 3, 32, task))
        assert made.shrink(images(1, size=32)).shape == (2, 3, 32 // expected, 32 // expected)
        assert made.translate(images(1, size=32), rng=torch.Generator()).shape == (2, 3, 32, 32)


# -- losses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "term"), [("srcnn", "mse"), ("edsr", "l1"), ("srresnet", "mse")])
def test_the_loss_is_that_of_the_paper(name: str, term: str) -> None:
    method, a, b = small(name), images(1), images(2)
    turns = Turns(method)
    method.step(Batch(a, b), turns)
    found, method = turns.means(), small(name)  # again as it was before its step
    difference = method.generator(a if name == "srcnn" else method.shrink(a)) - b
    expected = difference.abs().mean() if term == "l1" else difference.square().mean()
    assert found == {f"generator.{term}": pytest.approx(expected.item(), rel=1e-4)}


def test_srgans_losses_are_those_of_the_paper() -> None:
    method, a, b = small("srgan"), images(1), images(2)
    turns = Turns(method)
    method.step(Batch(a, b), turns)
    found, method = turns.means(), small("srgan")
    fake = method.generator(method.shrink(a))
    scores = method.discriminator(fake)
    assert found["generator.content"] == pytest.approx(mse_loss(fake, b).item(), rel=1e-4)
    assert found["generator.gan"] == pytest.approx(1e-3 * -torch.sigmoid(scores).log().mean().item(), rel=1e-3)
    assert set(found) == {"generator.content", "generator.gan", "discriminator.real", "discriminator.fake"}
    real = softplus(-method.discriminator(b)).mean()
    assert found["discriminator.real"] == pytest.approx(real.item(), rel=1e-3)


def test_the_content_loss_compares_the_features_that_torchvision_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """With weights drawn at random in the asset's place: what counts here is which layer, and how it is scaled."""
    from torchvision.models import vgg16

    torch.manual_seed(0)
    whole = vgg16(weights=None).features.requires_grad_(False)
    monkeypatch.setattr("i2ibench.nn.content.vgg16_features", lambda: whole[:30])
    x, y = images(1, size=32).requires_grad_(), images(2, size=32)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    layers: Any = (("vgg22", 9), ("vgg54", 30))
    for layer, end in layers:
        assert isinstance(whole[end - 1], torch.nn.ReLU)
        assert isinstance(whole[end], torch.nn.MaxPool2d), "the last one before the pooling"
        distance = nn.ContentLoss(layer)(x, y)
        features = [whole[:end](((image + 1) / 2 - mean) / std) / 12.75 for image in (x, y)]
        torch.testing.assert_close(distance, mse_loss(*features))
        (gradient,) = torch.autograd.grad(distance, x)
        assert gradient.abs().sum() > 0


def test_what_cannot_work_is_refused() -> None:
    def check(name: str, size: int, scale: int = 4, **params: Any) -> None:
        method: Any = registry.method(name)
        method.check(method.Params(**params), Task(3, 3, size, scale))

    with pytest.raises(ConfigError, match=r"kernels \[9, 2, 5\] must be odd"):
        check("srcnn", 32, kernels=(9, 2, 5))
    with pytest.raises(ConfigError, match=r"size 36 must be divisible by 8 and at least 16 pixels \(scale 8\)"):
        check("edsr", 36, scale=8)
    with pytest.raises(ConfigError, match="size 24 must be divisible by 16"):
        check("srgan", 24)


@pytest.mark.parametrize("scale", [2, 4])
def test_other_sizes_are_shrunk_as_if_made_for_them(scale: int) -> None:
    image = images(3, size=16)[:, :, :8]
    found = nn.Shrink(32, scale)(image)
    rows, columns = (torch.linalg.pinv(enlargement(edge // scale, scale)) for edge in (8, 16))
    levels = ((rows @ image.double() @ columns.T + 1) * 127.5).clamp(0, 255)
    assert ((found.double() + 1) * 127.5 - levels).abs().max() <= 0.5 + 1e-4, "rounded to 256 levels"
    torch.testing.assert_close(
        nn.Shrink(8, scale)(image[..., :8]), nn.Shrink(32, scale)(image[..., :8]), rtol=0, atol=0
    )
    with pytest.raises(ValueError, match=f"an edge of 9 pixels cannot be divided by {scale}"):
        nn.Shrink(32, scale)(images(3, size=9))

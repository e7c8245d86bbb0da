"""MUNIT's and UNIT's networks: the published sizes, what the normalisations do, what each part may not lose."""

from __future__ import annotations

import pytest
import torch
from torch import nn as tnn

from i2ibench.nn import ContentStyleGenerator, MultiScaleDiscriminator, VAEGenerator
from i2ibench.nn.munit import AdaINResBlock, ContentEncoder, LayerNorm, ResBlock, StyleEncoder


def count(module: tnn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def images(n: int = 2, size: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (lambda: ContentStyleGenerator(3, width=64, style=8, mlp=256, downs=2, blocks=4), 15_026_187),
        (lambda: VAEGenerator(3, width=64, downs=2, blocks=4), 11_140_483),
        (lambda: MultiScaleDiscriminator(3, width=64, layers=4, scales=3), 8_271_171),
    ],
    ids=["MUNIT generator", "UNIT generator", "discriminator"],
)
def test_published_number_of_parameters(network, parameters):
    assert count(network()) == parameters


def test_layer_norm_is_per_image_with_unbiased_deviation():
    norm, x = LayerNorm(5), torch.randn(3, 5, 4, 4) * 7 + 2
    assert 0 <= norm.gamma.min() < norm.gamma.max() <= 1  # the authors draw the scales from U(0, 1)
    tnn.init.ones_(norm.gamma)
    for image, out in zip(x, norm(x), strict=True):
        torch.testing.assert_close(out, (image - image.mean()) / (image.std() + 1e-5))


def test_adain_gives_each_image_its_own_means_and_deviations():
    block, x = AdaINResBlock(4), torch.randn(2, 4, 8, 8)
    affine = torch.randn(2, 2, 2, 4)
    added = block(x, affine) - x
    torch.testing.assert_close(added.mean((2, 3)), affine[:, 1, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(added.std((2, 3), correction=0), affine[:, 1, 1].abs(), rtol=1e-3, atol=1e-4)


def test_adain_with_no_shift_and_unit_scale_is_instance_norm():
    plain, styled, x = ResBlock(4), AdaINResBlock(4), torch.randn(2, 4, 8, 8)
    styled.load_state_dict(plain.state_dict())
    affine = torch.tensor([0.0, 1.0]).view(1, 1, 2, 1).expand(2, 2, 2, 4)
    torch.testing.assert_close(styled(x, affine), plain(x))


def test_content_forgets_the_contrast_and_style_keeps_it():
    content, style, x = ContentEncoder(3, 8, 2, 1), StyleEncoder(3, 8, 4), images()
    torch.testing.assert_close(content(x), content(0.5 * x + 0.2), rtol=1e-2, atol=1e-2)
    assert (style(x) - style(0.5 * x + 0.2)).abs().max() > 1e-3


def test_shapes_of_content_style_and_image():
    generator = ContentStyleGenerator(3, width=8, style=5, mlp=16, downs=2, blocks=1)
    content, style = generator.encode(images())
    assert content.shape == (2, 32, 8, 8)
    assert style.shape == (2, 5, 1, 1)
    assert generator(images()).shape == (2, 3, 32, 32)
    assert generator(images()).abs().max() <= 1


def test_the_style_changes_the_image_and_one_image_does_not_change_another():
    generator = ContentStyleGenerator(3, width=8, style=5, mlp=16, downs=1, blocks=1)
    content = generator.content_encoder(images())
    style = torch.randn(2, 5, 1, 1)
    both = generator.decode(content, style)
    assert (both - generator.decode(content, style.flip(0))).abs().max() > 1e-3
    torch.testing.assert_close(generator.decode(content[1:], style[1:]), both[1:])


def test_vae_generator_decodes_its_code():
    generator = VAEGenerator(3, width=8, downs=2, blocks=1)
    assert generator.encode(images()).shape == (2, 32, 8, 8)
    torch.testing.assert_close(generator(images()), generator.decode(generator.encode(images())))


def test_discriminator_scores_patches_at_every_scale():
    discriminator = MultiScaleDiscriminator(3, width=4, layers=4, scales=3)
    assert [tuple(s.shape) for s in discriminator(images(size=64))] == [(2, 1, 4, 4), (2, 1, 2, 2), (2, 1, 1, 1)]
    with pytest.raises(RuntimeError, match=r"[Pp]adding"):
        discriminator(images(size=32))  # one halving too many, which the methods' check() refuses


def test_group_norm_stands_between_the_layers_and_the_scales_stay_the_same():
    torch.manual_seed(0)
    plain, normed = (MultiScaleDiscriminator(3, width=8, layers=3, scales=2, norm=norm) for norm in ("none", "group"))
    for scale in normed.scales:
        assert [type(layer).__name__ for layer in scale].count("GroupNorm") == 2  # none after the first convolution
    assert [s.shape for s in plain(images())] == [s.shape for s in normed(images())]
    faint, strong = normed(0.1 * images()), normed(images())  # it can tell how strong a contrast is, and its sign
    assert (faint[0] - strong[0]).abs().max() > 1e-3
    assert (normed(-images())[0] - strong[0]).abs().max() > 1e-2

"""The published generators: parameter counts, shapes, what a change of size or options does."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from i2ibench import nn
from i2ibench.errors import ConfigError


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_importing_the_building_blocks_loads_no_torch() -> None:
    code = "import sys; from i2ibench import nn; nn.check_size(64, 'unet', 3); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_parameter_counts_are_the_authors() -> None:
    with torch.device("meta"):
        assert count(nn.UNet(3, 3, 256)) == 54_413_955
        assert count(nn.UNet(3, 3, 128)) == 41_828_995
        assert count(nn.UNet(3, 3, 256, depth=7)) == 41_828_995
        assert count(nn.ResNetGenerator(3, 3, blocks=9)) == 11_378_179
        assert count(nn.ResNetGenerator(3, 3, blocks=6)) == 7_837_699


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("size", [32, 64, 96])
@pytest.mark.parametrize("kind", ["unet", "resnet"])
def test_translates_channels_and_keeps_the_size(kind: Any, size: int, norm: Any, attention: bool) -> None:
    net = nn.generator(kind, 1, 3, size, width=4, norm=norm, dropout=0.5, blocks=2, attention=attention)
    out = net(torch.randn(2, 1, size, size))
    assert out.shape == (2, 3, size, size)
    assert 0 < out.abs().max() <= 1


def test_unet_sees_the_whole_image_and_hands_details_across() -> None:
    net = nn.UNet(1, 1, 32, width=4, norm="instance", dropout=0.0)
    x = torch.randn(1, 1, 32, 32, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x)[0, 0, 0, 0], x)
    assert gradient[0, 0, -1, -1] != 0  # through the innermost layer, one pixel wide
    assert len([m for m in net.modules() if isinstance(m, torch.nn.ConvTranspose2d)]) == 5
    ups: Any = net.up
    widths = [up[1].in_channels for up in ups]
    assert widths == [8, 16, 32, 64, 32]  # all but the innermost take the skip beside their input


def test_dropout_stands_where_the_code_has_it() -> None:
    def blocks(size: int) -> list[int]:
        net: Any = nn.UNet(3, 3, size, width=2)
        return [i for i, up in enumerate(net.up) if any(isinstance(m, torch.nn.Dropout) for m in up)]

    assert blocks(256) == [4, 5, 6]
    assert blocks(64) == [4]
    assert blocks(32) == []


def test_unet_refuses_a_size_that_it_cannot_halve() -> None:
    with pytest.raises(ValueError, match="cannot take 33 pixels"):
        nn.UNet(3, 3, 33)
    with pytest.raises(ValueError, match="cannot take 32 pixels"):
        nn.UNet(3, 3, 32, depth=6)


def test_reflection_padding_has_no_zeros_at_the_rim() -> None:
    torch.manual_seed(0)
    net = nn.ResNetGenerator(3, 3, width=4, norm="batch", blocks=1).eval()
    out = net[0](torch.ones(1, 3, 16, 16))
    assert torch.allclose(out, out[..., 8:9, 8:9].expand_as(out), atol=1e-6)  # a constant image stays constant


def test_attention_begins_as_if_absent_and_then_mixes_all_places() -> None:
    torch.manual_seed(0)
    block = nn.SelfAttention(16)
    x = torch.randn(2, 16, 5, 6, requires_grad=True)
    assert torch.equal(block(x), x)
    torch.nn.init.ones_(block.gamma)
    (gradient,) = torch.autograd.grad(block(x)[0, :, 0, 0].sum(), x)
    assert (gradient[0].abs().sum(0) > 0).all()
    assert not gradient[1].any()
    # against the formula of the paper: softmax over places of key . query, unscaled
    query, key, value = (layer(x).flatten(2) for layer in (block.query, block.key, block.value))
    weights = torch.softmax(torch.einsum("bci,bcj->bij", query, key), dim=2)
    expected = x + torch.einsum("bij,bcj->bci", weights, value).reshape(x.shape)
    assert torch.allclose(block(x), expected, atol=1e-5)


@pytest.mark.parametrize("size", [32, 64, 96, 128, 256, 512])
def test_sizes_that_are_accepted_build(size: int) -> None:
    nn.check_size(size, "unet", 3)
    nn.check_size(size, "resnet", 3)
    with torch.device("meta"):
        assert nn.UNet(3, 3, size, width=2)(torch.empty(1, 3, size, size)).shape == (1, 3, size, size)


@pytest.mark.parametrize(
    ("size", "kind", "layers", "message"),
    [
        (
            48,
            "unet",
            3,
            "size 48 does not suit generator 'unet'; use a multiple of 32, such as 32 or 64, or generator: resnet",
        ),
        (50, "unet", 3, "size 50 does not suit generator 'unet'; use a multiple of 32, such as 32 or 64"),
        (20, "unet", 3, "use a multiple of 32, such as 32, or generator"),
        (50, "resnet", 3, "use a multiple of 4, such as 48 or 52"),
        (20, "resnet", 3, "size 20 is too small for a discriminator with 3 layers; use size 24 or more"),
    ],
)
def test_other_sizes_are_refused_in_one_line(size: int, kind: Any, layers: int, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        nn.check_size(size, kind, layers)
    assert message in str(error.value)
    assert "\n" not in str(error.value)

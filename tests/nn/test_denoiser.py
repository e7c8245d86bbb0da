"""The U-Net of diffusion models: published sizes, numbers of a reference implementation, and that it hears the level."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from i2ibench import nn, registry
from i2ibench.errors import ConfigError
from i2ibench.method import Task


def count(*args: Any) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in nn.Denoiser(*args).parameters())


def test_parameter_counts_are_those_of_the_reference_code() -> None:
    """The U-Net of Janspiry/Palette-Image-to-Image-Diffusion-Models, at ADM's settings for 256 pixels and at its own."""
    adm = (256, (1, 1, 2, 2, 4, 4), 2, (8, 16, 32), 64)
    assert count(3, 6, *adm) == 552_814_086
    assert count(6, 3, *adm) == 552_814_083
    assert count(6, 3, 64, (1, 2, 4, 8), 2, (16,), 32) == 62_641_347  # Janspiry's colorization_mirflickr25k


@pytest.mark.parametrize("name", ["palette", "bbdm", "ddib"])
def test_a_network_that_cannot_be_built_or_has_no_such_maps_is_refused(name: str) -> None:
    method, task = registry.method(name), Task(3, 3, 32)
    for wrong in ({"multipliers": [0]}, {"multipliers": [-1, 2]}, {"attention": [0]}):
        with pytest.raises(ValidationError, match="greater than 0"):
            method.Params(**wrong)
    for levels, attention, said in ((2, [3], "3: 2 .* are 1, 2 times"), (3, [1, 8, 16], "8, 16: 3 .* are 1, 2, 4 ")):
        with pytest.raises(ConfigError, match=f"attention {said}"):
            method.check(method.Params(multipliers=(1,) * levels, attention=attention), task)
    method.check(method.Params(multipliers=(1, 2)), task)  # the default attention is beyond it
    for preset in method.presets.values():
        asked = {key: value for key, value in preset.items() if key != "training"}
        method.check(method.Params(**asked), task)


def test_with_equal_weights_it_gives_the_numbers_of_the_reference_code(formula: Any) -> None:
    """UNet(in_channel 6, inner_channel 32, channel_mults (1, 2, 2), res_blocks 1, attn_res 2, 16 per head)."""
    network = formula.fill(nn.Denoiser(6, 3, 32, (1, 2, 2), 1, (2,), 16), 1.0)
    said = network(formula.picture(2, 6, 16, 16), torch.tensor([0.3, 0.9]))
    theirs = [0.37419, 0.40104, 0.49705, 0.5054, 0.39748, 0.40209, 0.26653, 0.25301, -0.41863, -0.45334, -0.31828, -0.30359, 0.38244, 0.4457, 0.48831, 0.48872, 0.38836, 0.37412, 0.27712, 0.26545, -0.41135, -0.45033, -0.32759, -0.30813]  # fmt: skip
    torch.testing.assert_close(said[:, :, ::8, ::8].flatten(), torch.tensor(theirs), rtol=0, atol=1e-4)


def test_residual_branches_and_the_output_begin_at_nothing() -> None:
    torch.manual_seed(0)
    network, x = nn.Denoiser(3, 3, 8, (1, 2), 1, (1,)), torch.randn(2, 3, 8, 8)
    assert not network(x, torch.tensor([0.1, 0.9])).any()
    torch.nn.init.normal_(network.last[-1].weight)
    first = network(x, torch.tensor([0.1, 0.9]))
    assert torch.equal(first, network(x, torch.tensor([0.5, 0.5])))  # nothing hangs on the level yet
    assert first.std() > 0.01


def test_narrow_networks_and_odd_shapes_work(formula: Any) -> None:
    torch.manual_seed(0)
    network = nn.init_weights(nn.Denoiser(4, 2, 6, (1, 2, 3), 1, (2,), 5), "kaiming")
    x = formula.picture(2, 4, 12, 20)
    low, high = (network(x, torch.full((2,), level)) for level in (0.2, 0.9))
    assert low.shape == (2, 2, 12, 20)
    assert (low - high).abs().max() > 1e-3

"""CUT and FastCUT: the published systems, their losses by hand, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recording import Recorder

from i2ibench import nn, registry
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task

CUT: Any = registry.method("cut")


def make(**params: Any) -> Any:
    """Narrow, and comparing all places, so that the loss does not depend on which are drawn."""
    torch.manual_seed(0)
    narrow = {"width": 4, "blocks": 2, "discriminator_layers": 1, "projection": 8, "patches": 10_000}
    method = CUT(CUT.Params(**narrow | params), Task(3, 3, 32))
    for player in (method.generator, method.discriminator):
        nn.init_weights(player, "kaiming")
    return method


def batch() -> Batch:
    rng = torch.Generator().manual_seed(1)
    return Batch(*(torch.rand(2, 3, 32, 32, generator=rng) * 2 - 1 for _ in range(2)))


def losses(method: Any, data: Batch) -> dict[str, torch.Tensor]:
    recorder = Recorder()
    method.step(data, recorder)
    return recorder.losses


def test_the_paper_preset_is_the_published_system() -> None:
    values = dict(CUT.presets["paper"])
    assert values.pop("training") == {"steps": 400 * 1334, "batch_size": 1}
    p = CUT.Params(**values)
    assert (p.variant, p.gan, p.temperature, p.patches, p.projection) == ("cut", "lsgan", 0.07, 256, 256)
    assert (p.lr, p.beta1, p.beta2, p.weight_decay, p.decay) == (2e-4, 0.5, 0.999, 0, "linear")
    with torch.device("meta"):
        method = CUT(p, Task(3, 3, 256))
    assert method.parameter_counts() == {"generator": 11_378_179 + 560_384, "discriminator": 2_764_737}


def test_weights_start_as_xavier_times_002() -> None:
    torch.manual_seed(0)
    method = CUT(CUT.Params(width=32), Task(3, 3, 64))
    kernel = method.generator.network.down[1].weight  # 3x3 from 64 to 128 channels
    assert kernel.std().item() == pytest.approx(0.02 * (2 / (9 * (64 + 128))) ** 0.5, rel=0.05)


def test_losses_of_cut_are_those_of_the_paper() -> None:
    method, data = make(lambda_nce=3.0), batch()
    network, judge, contrast = method.generator.network, method.discriminator, method.generator.contrast
    fake, same = network(data.a), network(data.b)
    expected = {
        "generator.nce": 1.5 * contrast(network.features(fake), network.features(data.a)),
        "generator.nce_identity": 1.5 * contrast(network.features(same), network.features(data.b)),
        "generator.gan": (judge(fake) - 1).square().mean(),
        "discriminator.real": (judge(data.b) - 1).square().mean() / 2,
        "discriminator.fake": judge(fake).square().mean() / 2,
    }
    torch.testing.assert_close(losses(method, data), expected, rtol=1e-4, atol=1e-5)


def test_fastcut_weighs_ten_and_mirrors_the_features_back() -> None:
    method, data = make(variant="fastcut"), batch()
    network, contrast = method.generator.network, method.generator.contrast
    seen = set()
    for seed in range(8):
        torch.manual_seed(seed)
        mirrored = nn.coin()
        torch.manual_seed(seed)
        found = losses(method, data)
        fake = network(data.a.flip(3) if mirrored else data.a)
        features = [f.flip(3) if mirrored else f for f in network.features(fake)]
        expected = 10 * contrast(features, network.features(data.a))
        torch.testing.assert_close(found["generator.nce"], expected, rtol=1e-4, atol=1e-5)
        assert "generator.nce_identity" not in found
        seen.add(mirrored)
    assert seen == {False, True}


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="size 50 does not suit"):
        CUT.check(CUT.Params(), Task(3, 3, 50))

"""UNIT's and MUNIT's domain-invariant perceptual loss is an option: off by default, a term of the generator when on."""

import pytest
import torch

from i2ibench import assets, registry
from i2ibench.method import Batch, Task
from i2ibench.randomness import seed_everything
from i2ibench.turns import Turns


@pytest.mark.parametrize("name", ["unit", "munit"])
def test_the_option_adds_a_term_and_nothing_to_the_checkpoint(name: str) -> None:
    assets.ensure("vgg16-features")
    kind = registry.method(name)
    settings = {key: value for key, value in kind.presets["tiny"].items() if key != "training"}
    assert kind.assets(kind.Params(**settings)) == ()
    terms = {}
    for weight in (0.0, 1.0, 2.0):
        params = kind.Params(**settings, lambda_perceptual=weight)
        seed_everything(0)
        method = kind(params, Task(3, 3, 32))
        turns = Turns(method)
        a = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
        method.step(Batch(a, a.flip(3)), turns)
        terms[weight] = turns.means()
        assert "perceptual" not in method.state_dict()
    assert kind.assets(params) == ("vgg16-features",)
    assert "generator.perceptual" not in terms[0.0]
    assert terms[1.0]["generator.perceptual"] > 0
    assert terms[2.0]["generator.perceptual"] == pytest.approx(2 * terms[1.0]["generator.perceptual"], rel=1e-5)

"""StarGAN: the published system, its losses by hand, whose turn it is, and translation between any two domains."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from recording import Recorder

from i2ibench import registry
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Task

StarGAN: Any = registry.method("stargan")


def make(domains: int = 3, ends: tuple[int, int] = (0, 1), **params: Any) -> Any:
    torch.manual_seed(0)
    params = {"width": 4, "blocks": 1, "halvings": 3} | params
    return StarGAN(StarGAN.Params(**params), Task(3, 3, 32, domains=domains, ends=ends))


def images(seed: int) -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def losses(method: Any, batch: Batch) -> dict[str, torch.Tensor]:
    recorder = Recorder()
    torch.manual_seed(5)  # places of the gradient penalty
    method.step(batch, recorder)
    return recorder.losses


def test_the_paper_preset_is_the_published_system() -> None:
    values = dict(StarGAN.presets["paper"])
    training = values.pop("training")
    assert (2 * training["batch_size"], training["steps"]) == (16, 200_000)
    p = StarGAN.Params(**values)
    assert (p.lambda_class, p.lambda_cycle, p.lambda_gp, p.every) == (1, 10, 10, 5)
    assert (p.lr, p.beta1, p.beta2, p.decay) == (1e-4, 0.5, 0.999, "linear")
    with torch.device("meta"):
        method = StarGAN(p, Task(3, 3, 128, domains=5))
    assert method.parameter_counts() == {"generator": 8_430_528, "discriminator": 44_762_048}


def test_losses_are_those_of_the_code() -> None:
    method, a, b = make(every=1), images(1), images(2)
    of_a, of_b = torch.tensor([0, 2]), torch.tensor([1, 0])
    found = losses(method, Batch(a, b, of_a=of_a, of_b=of_b))
    x, source, target = torch.cat([a, b]), torch.tensor([0, 2, 1, 0]), torch.tensor([1, 0, 0, 2])
    fake = method.generator(x, target).detach()
    scores, domain = method.discriminator(x)
    fake_scores, fake_domain = method.discriminator(fake)
    torch.manual_seed(5)
    share = torch.rand(4, 1, 1, 1)
    between = (share * x + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(method.discriminator(between)[0].sum(), between)
    expected = {
        "discriminator.real": -scores.mean(),
        "discriminator.fake": fake_scores.mean(),
        "discriminator.penalty": 10 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean(),
        "discriminator.domain": F.cross_entropy(domain, source),
        "generator.gan": -fake_scores.mean(),
        "generator.domain": F.cross_entropy(fake_domain, target),
        "generator.cycle": 10 * (method.generator(fake, source) - x).abs().mean(),
    }
    torch.testing.assert_close(found, {name: value.detach() for name, value in expected.items()}, rtol=1e-4, atol=1e-6)


def test_of_two_domains_a_goes_to_b_and_b_to_a() -> None:
    method, a, b = make(2, every=1), images(1), images(2)
    labels = {"of_a": torch.tensor([0, 0]), "of_b": torch.tensor([1, 1])}
    torch.testing.assert_close(losses(method, Batch(a, b)), losses(method, Batch(a, b, **labels)), rtol=0, atol=0)


def test_the_generator_learns_in_every_fifth_step_and_the_discriminator_in_all() -> None:
    method = make(2)
    players = [{n.split(".")[0] for n in losses(method, Batch(images(1), images(2), step=i))} for i in range(10)]
    both = {"discriminator", "generator"}
    assert players == 2 * [*4 * [{"discriminator"}], both]


@pytest.mark.parametrize("ends", [(0, 1), (2, 0), (1, 2)])
def test_it_translates_between_the_domains_that_the_task_names(ends: tuple[int, int]) -> None:
    method, x, rng = make(ends=ends), images(3), torch.Generator()
    there, back = (method.generator(x, torch.tensor([end, end])) for end in ends[::-1])
    assert torch.equal(method.translate(x, rng=rng), there)
    assert torch.equal(method.translate_back(x, rng=rng), back)
    assert not torch.equal(there, back)


@pytest.mark.parametrize("size", [32, 72])
def test_a_size_that_it_cannot_take_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"size {size} must be divisible by 64"):
        StarGAN.check(StarGAN.Params(), Task(3, 3, size))

"""The options of the loop against formulas written out here; that off means untouched; and that they resume exactly."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from i2ibench import config, nn, options, plan, registry
from i2ibench.config import Training
from i2ibench.errors import ConfigError, TrialError
from i2ibench.method import Batch, Method, Task, Turn
from i2ibench.options import networks, weighted
from i2ibench.policy import Policy
from i2ibench.randomness import seed_everything
from i2ibench.store import Store
from i2ibench.training import Loop, learning_rate
from i2ibench.turns import Turns

CPU, LOG = torch.device("cpu"), logging.getLogger("test")
POLICY = ("color", "translation", "cutout")
ALL: dict[str, Any] = {
    "clip": 5.0, "warmup": 3, "ema": 0.9, "ttur": 2.0, "spectral_norm": True, "r1": 10.0, "diffaugment": POLICY,
}  # fmt: skip
GANS = ("cyclegan", "munit", "pix2pix", "unit")


class Small(Method):
    """A GAN of four layers, with buffers, dropout, and noise in both turns."""

    players = ("generator", "discriminator")
    fail_at: ClassVar[int | None] = None

    def build(self, task: Task) -> None:
        self.generator = torch.nn.Sequential(
            torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.BatchNorm2d(3), torch.nn.Dropout(0.5)
        )
        self.discriminator = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.Softplus(), torch.nn.Conv2d(4, 1, 3)
        )
        self.seen: list[dict[str, Tensor]] = []  # the generator at the beginning of each step

    def step(self, batch: Batch, turn: Turn) -> None:
        self.seen.append(copy.deepcopy(self.generator.state_dict()))
        if len(self.seen) == self.fail_at:
            raise KeyboardInterrupt
        with turn("generator") as loss:
            fake = self.generator(batch.a)
            loss.l1 = nn.l1(fake, batch.b)
            loss.gan = nn.gan_loss(self.discriminator(fake), True, "lsgan")
        with turn("discriminator") as loss:
            real_scores, fake_scores = nn.calls(self.discriminator, batch.b, fake.detach())
            loss.real = nn.gan_loss(real_scores, True, "lsgan")
            loss.fake = nn.gan_loss(fake_scores, False, "lsgan")


class Noise:
    """Batches as a pure function of the step, like the real ones."""

    def __init__(self, size: int = 8) -> None:
        self.size = size

    def at(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(step)
        a, b = (torch.rand(2, 3, self.size, self.size, generator=rng) * 2 - 1 for _ in range(2))
        return a[part], b[part]


def make(name: str = "", kind: type[Method] = Small) -> Method:
    seed_everything(0)
    if not name:
        return kind(Method.Params(), Task(3, 3, 8))
    method = registry.method(name)
    params = {key: value for key, value in method.presets["tiny"].items() if key != "training"}
    return method(method.Params(**params), Task(3, 3, 64 if name == "munit" else 32))


def loop(folder: Path, method: Method, steps: int = 8, **settings: Any) -> Loop:
    values = {"steps": steps, "batch_size": 2, "log_every": 3, "checkpoint_every": 2} | settings
    return Loop(method, Noise(method.task.size), Training(**values), Store(folder).trial("t"), CPU, LOG)


def state_of(method: Method) -> dict[str, Tensor]:
    return {f"{m}.{k}": v for m, state in method.state_dict().items() for k, v in state.items() if k != "_extra_state"}


def judges(method: Method) -> list[torch.nn.Module]:
    return [network for player in method.players[1:] for network in networks(getattr(method, player))]


# -- off ---------------------------------------------------------------------------------------------------------


class PlainTurns:
    """What a turn is without any option, written out."""

    def __init__(self, method: Method) -> None:
        self.players = {player: list(getattr(method, player).parameters()) for player in method.players}
        p = method.params
        self.adam = {
            player: torch.optim.Adam(own, p.lr, (p.beta1, p.beta2), weight_decay=p.weight_decay, fused=True)
            for player, own in self.players.items()
        }

    def __call__(self, player: str) -> Any:
        @contextmanager
        def turn() -> Iterator[SimpleNamespace]:
            for name, own in self.players.items():
                for parameter in own:
                    parameter.requires_grad_(name == player)
            losses = SimpleNamespace()
            yield losses
            self.adam[player].zero_grad()
            torch.stack(list(vars(losses).values())).sum().backward()
            self.adam[player].step()

        return turn()


@pytest.mark.parametrize("name", ["", *GANS])
def test_without_options_a_training_is_a_plain_loop_with_adam(name: str, tmp_path: Path) -> None:
    ours, plain = make(name), make(name)
    keys = list(state_of(plain))
    seed_everything(5)
    loop(tmp_path, ours, steps=3, log_every=1).run()
    seed_everything(5)
    turns, batches = PlainTurns(plain), Noise(plain.task.size)
    for step in range(3):
        for adam in turns.adam.values():
            adam.param_groups[0]["lr"] = learning_rate(plain.params, step, step / 3)
        plain.step(Batch(*batches.at(step), progress=step / 3), turns)
    assert list(state_of(ours)) == keys
    for key, value in state_of(ours).items():
        assert torch.equal(value, state_of(plain)[key]), key


# -- the generator's average, and learning rates -------------------------------------------------------------------


def test_the_average_is_that_of_the_weights_after_each_step(tmp_path: Path) -> None:
    method = make()
    loop(tmp_path, method, steps=8, ema=0.3).run()
    plain = make()
    loop(tmp_path / "plain", plain, steps=8).run()
    visited = [*plain.seen, plain.generator.state_dict()]
    for key, value in method.generator.state_dict().items():
        average = visited[0][key].double()
        for step, live in enumerate(visited[1:]):
            decay = min(0.3, (1 + step) / (10 + step))
            average = decay * average + (1 - decay) * live[key].double()
        if key == "1.num_batches_tracked":
            assert value == 8, "counts are not averaged"
        else:
            torch.testing.assert_close(value.double(), average, rtol=1e-5, atol=1e-7)
            assert not torch.equal(value, visited[-1][key])
    assert torch.equal(method.discriminator[0].weight, plain.discriminator[0].weight), "it trains as without"


def test_warm_up_and_two_time_scales(tmp_path: Path) -> None:
    rates: list[tuple[float, float]] = []

    class Watched(Small):
        def step(self, batch: Batch, turn: Turn) -> None:
            super().step(batch, turn)
            rates.append(tuple(turn.optimisers[player].param_groups[0]["lr"] for player in self.players))

    loop(tmp_path, make(kind=Watched), steps=8, warmup=4, ttur=3.0).run()
    schedule = [1.0] * 5 + [2 * (1 - step / 8) for step in (5, 6, 7)]  # flat, then linear to zero
    expected = [2e-4 * min(1, (step + 1) / 4) * schedule[step] for step in range(8)]
    assert [rate for rate, _ in rates] == pytest.approx(expected)
    assert [rate for _, rate in rates] == pytest.approx([3 * rate for rate in expected])


# -- spectral norm -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pix2pix", "munit"])
def test_every_layer_of_the_discriminators_has_spectral_norm_one(name: str) -> None:
    method = make(name)
    turns, batches = Turns(method, Training(spectral_norm=True)), Noise(method.task.size)
    generator = copy.deepcopy(method.generator.state_dict())
    layers = [layer for judge in judges(method) for layer in weighted(judge)]
    for step in range(3):
        method.step(Batch(*batches.at(step)), turns)
    assert len(layers) >= 3
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1.0, abs=0.1)
    assert generator.keys() == method.generator.state_dict().keys()

    judge, x = judges(method)[0].eval(), torch.rand(1, 6 if name == "pix2pix" else 3, *[method.task.size] * 2)
    before = judge(x)
    turns.options.finish()
    torch.testing.assert_close(judge(x), before)
    assert not any(parametrize.is_parametrized(layer) for layer in layers)
    assert state_of(method).keys() == state_of(make(name)).keys(), "its weights load into the plain method"


# -- R1 ------------------------------------------------------------------------------------------------------------


def r1_by_hand(judge: torch.nn.Module, real: Tensor, gamma: float) -> Tensor:
    """gamma / 2 |grad D(x)|^2, image by image, each map of scores on its own; the mean over the batch."""
    total = torch.zeros(())
    for image in real:
        x = image[None].clone().requires_grad_()
        maps = judge(x)
        for scores in [maps] if isinstance(maps, Tensor) else maps:
            (gradient,) = torch.autograd.grad(scores.mean(), x, create_graph=True)
            total = total + gamma / 2 * gradient.square().sum()
    return total / len(real)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", GANS)
def test_the_penalty_is_r1_of_the_real_images_alone(name: str, precision: Any) -> None:
    method = make(name)
    a, b = Noise(method.task.size).at(0)
    d = copy.deepcopy(method.discriminator)
    pairs = [(d, torch.cat([a, b], 1))] if name == "pix2pix" else [(d["a"], a), (d["b"], b)]
    expected = sum(r1_by_hand(judge, real, 7.0).item() for judge, real in pairs)
    turns = Turns(method, Training(r1=7.0), Policy(precision))
    method.step(Batch(a, b), turns)
    means = turns.means()
    assert expected > 0
    assert means["discriminator.r1_penalty"] == pytest.approx(expected, rel=1e-3), "in float32 whatever the precision"
    assert "generator.r1_penalty" not in means


def test_the_discriminator_learns_from_the_penalty() -> None:
    a, b = Noise().at(0)
    gradients = {}
    for gamma in (None, 7.0):
        method = make()
        by_hand = r1_by_hand(method.discriminator, b, 7.0)
        expected = torch.autograd.grad(by_hand, list(method.discriminator.parameters()), materialize_grads=True)
        method.step(Batch(a, b), Turns(method, Training(r1=gamma)))
        gradients[gamma] = [p.grad for p in method.discriminator.parameters()]
    for without, with_penalty, penalty in zip(*gradients.values(), expected, strict=True):
        torch.testing.assert_close(with_penalty - without, penalty, rtol=1e-4, atol=1e-6)
    assert any(penalty.abs().max() > 1e-3 for penalty in expected)


# -- DiffAugment ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GANS)
def test_all_that_the_discriminators_see_in_a_turn_is_augmented_and_nothing_else(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = make(name)
    turns = Turns(method, Training(diffaugment=POLICY))
    seen: list[int] = []

    def blank(x: Tensor, policy: tuple[str, ...]) -> Tensor:
        assert policy == POLICY
        seen.append(len(x))
        return x * 0

    monkeypatch.setattr(options, "diffaugment", blank)
    shown: list[Tensor] = []
    for judge in judges(method):
        first = weighted(judge)[0]
        first.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    method.step(Batch(*Noise(method.task.size).at(0)), turns)
    generators_turn = 2 if name == "pix2pix" else 4
    assert sum(seen) == 3 * generators_turn, "two fakes in the generator's turn, two of each in the discriminator's"
    assert not any(x.any() for x in shown)

    seen.clear()
    method.translate(torch.rand(1, 3, *[method.task.size] * 2), rng=torch.Generator())
    judges(method)[0](torch.rand(1, 6 if name == "pix2pix" else 3, *[method.task.size] * 2))
    assert seen == [], "outside of the training nothing is augmented"


# -- all together --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", range(1, 9))
def test_a_training_with_all_options_killed_at_any_step_ends_bit_identical(tmp_path: Path, stop: int) -> None:
    whole = make()
    expected = loop(tmp_path / "whole", whole, **ALL).run()
    with pytest.raises(KeyboardInterrupt):
        loop(tmp_path / "cut", make(kind=type("Cut", (Small,), {"fail_at": stop})), **ALL).run()
    resumed = make()
    outcome = loop(tmp_path / "cut", resumed, **ALL).run()
    for name, value in state_of(resumed).items():
        assert torch.equal(value, state_of(whole)[name]), name
    drop = lambda curves: [{k: v for k, v in row.items() if k != "seconds"} for row in curves]  # noqa: E731
    assert drop(outcome.curves) == drop(expected.curves)
    assert "discriminator.r1_penalty" in outcome.curves[-1]


@pytest.mark.parametrize("name", GANS)
def test_every_gan_trains_with_all_options_and_leaves_plain_weights(name: str, tmp_path: Path) -> None:
    method, fresh = make(name), make(name)
    outcome = loop(tmp_path, method, steps=2, log_every=1, **ALL).run()
    assert [point["step"] for point in outcome.curves] == [1, 2]
    fresh.load_state_dict(method.state_dict())
    x = Noise(method.task.size).at(9)[0][:1]
    outputs = []
    for one in (method, fresh):
        torch.manual_seed(1)  # dropout, where it stays on
        outputs.append(one.translate(x, rng=torch.Generator().manual_seed(0)))
    assert torch.equal(*outputs)
    assert not torch.equal(outputs[0], make(name).translate(x, rng=torch.Generator().manual_seed(0)))


class Silent(Small):
    """Its discriminator says nothing of real images, and is never called as a network."""

    def step(self, batch: Batch, turn: Turn) -> None:
        with turn("discriminator") as loss:
            loss.anything = self.discriminator[0].weight.sum()


@pytest.mark.parametrize("option", [{"r1": 1.0}, {"diffaugment": ["color"]}])
def test_an_option_that_does_nothing_says_so(option: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TrialError, match=rf"training\.{next(iter(option))} does nothing for this method"):
        loop(tmp_path, make(kind=Silent), **option).run()


@pytest.mark.parametrize(
    ("key", "value"),
    [("ttur", "2.0"), ("spectral_norm", "true"), ("r1", "10"), ("diffaugment", "[color]")],
)
@pytest.mark.parametrize("place", ["top", "data", "method"])
def test_a_plan_refuses_discriminators_options_for_a_method_without(
    benchmark_file: Callable[[str], Path], key: str, value: str, place: str
) -> None:
    mine = {at: f"{{{{{key}: {value}}}}}" if at == place else "{{steps: 5}}" for at in ("top", "data", "method")}
    text = f"""
    store: {{tmp}}/runs
    data:
      glyphs: {{{{size: 32, training: {mine["data"]}}}}}
    methods:
      copy:
      pix2pix: {{{{preset: tiny}}}}
      vae: {{{{preset: tiny, training: {mine["method"]}}}}}
    training: {mine["top"]}
    """
    line = {"top": 9, "data": 4, "method": 8}[place]
    with pytest.raises(ConfigError, match=rf"yaml:{line}: .*{key}: an option of discriminators, and 'vae' has none"):
        plan.make(config.load(benchmark_file(text)))


def test_a_plan_lets_methods_with_discriminators_have_them(benchmark_file: Callable[[str], Path]) -> None:
    text = """
    store: {tmp}/runs
    data:
      glyphs: {{size: 32}}
    methods:
      copy:
      pix2pix: {{preset: tiny}}
    training: {{r1: 10, diffaugment: [color, cutout], spectral_norm: true, ttur: 4, ema: 0.999, warmup: 10}}
    """
    _, *trained = plan.make(config.load(benchmark_file(text))).trials
    assert all(Training(**spec.training).diffaugment == ("color", "cutout") for spec in trained)
    assert trained

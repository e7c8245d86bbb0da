"""A batch in parts gives the gradients of the whole batch: against the whole batch itself, for every kind of loss."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from i2ibench import registry
from i2ibench.config import Training
from i2ibench.errors import Interrupted, TrialError
from i2ibench.method import Batch, Method, Task, Turn
from i2ibench.randomness import seed_everything
from i2ibench.store import Store
from i2ibench.training import Loop
from i2ibench.turns import Turns

CPU, LOG = torch.device("cpu"), logging.getLogger("test")

# Without dropout, batch statistics, and losses that are no means over images, a method sees no difference.
PLAIN: dict[str, dict[str, Any]] = {
    "pix2pix": {"dropout": 0.0, "norm": "instance"},
    "cyclegan": {"pool": 0},
    "unit": {"width": 4, "discriminator_width": 8},
    "munit": {"width": 4, "discriminator_width": 8},
    "vae": {"scale": 0.1, "warmup": 0.0},
    "cvae": {},
}


def images(n: int, seed: int, size: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, size // 8, size // 8, generator=rng)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear") * 2 - 1


class Smooth:
    """Batches as a pure function of the step, like the real ones."""

    def __init__(self, n: int, size: int) -> None:
        self.n, self.size = n, size

    def at(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor]:
        return images(self.n, step, self.size)[part], images(self.n, 1000 + step, self.size)[part]


def make(name: str, **params: Any) -> Method:
    method = registry.method(name)
    preset = {key: value for key, value in method.presets["tiny"].items() if key != "training"}
    seed_everything(0)
    return method(method.Params(**(preset | params)), Task(3, 3, 64 if name == "munit" else 32))


def gradients(method: Method) -> dict[str, Tensor]:
    return {
        f"{player}.{name}": p.grad
        for player in method.players
        for name, p in getattr(method, player).named_parameters()
        if p.grad is not None
    }


def one_step(method: Method, parts: int, n: int, **options: Any) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Gradients and losses of one step, taken so short that a second turn sees the first player unchanged."""
    dtype = torch.float32 if "r1" in options or isinstance(method, registry.method("vae")) else torch.float64
    turns = Turns(method.to(dtype), Training(batch_size=n, **options))
    turns.set_learning_rate(1e-12)
    a, b = Smooth(n, method.task.size).at(0)
    turns.step(method, Batch(a.to(dtype), b.to(dtype)), n, parts)
    return gradients(method), turns.means()


@pytest.mark.parametrize("options", [{}, {"r1": 5.0, "ttur": 2.0}, {"clip": 0.1}], ids=lambda o: " ".join(o) or "plain")
@pytest.mark.parametrize(("n", "parts"), [(4, 2), (5, 3)])
@pytest.mark.parametrize("name", PLAIN)
def test_gradients_and_losses_are_those_of_the_whole_batch(
    name: str, n: int, parts: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "r1" in options and len(registry.method(name).players) == 1:
        pytest.skip("no discriminator")
    # Noise is drawn in another order: without it, all that is left must agree.
    monkeypatch.setattr(torch, "randn", lambda shape, **where: torch.full(shape, 0.3, device=where.get("device")))
    whole, losses = one_step(make(name, **PLAIN[name]), 1, n, **options)
    divided, their_losses = one_step(make(name, **PLAIN[name]), parts, n, **options)
    assert whole.keys() == divided.keys()
    assert their_losses == pytest.approx(losses, rel=1e-4, abs=1e-6)
    for key, gradient in whole.items():
        scale = max(float(whole[k].abs().max()) for k in whole if k.split(".")[0] == key.split(".")[0])
        if "r1" in options and key.startswith("generator"):
            continue  # in float32, which R1 takes by all means, the sign that L1 takes of nearly nothing may be another
        tolerance = 1e-3 if gradient.dtype == torch.float32 else 1e-6
        torch.testing.assert_close(divided[key], gradient, rtol=tolerance, atol=tolerance * scale)


class Two(Method):
    """Two players without anything that depends on the rest of the batch, the second of which uses the first's work."""

    players = ("generator", "discriminator")

    def build(self, task: Task) -> None:
        self.generator = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Softplus(), torch.nn.Conv2d(4, 3, 3, padding=1)
        )
        self.discriminator = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.Softplus(), torch.nn.Conv2d(4, 1, 3)
        )
        self.seen: list[int] = []

    def step(self, batch: Batch, turn: Turn) -> None:
        self.seen.append(len(batch.a))
        with turn("generator") as loss:
            fake = self.generator(batch.a)
            loss.l1 = (fake - batch.b).abs().mean()
            loss.gan = (self.discriminator(fake) - 1).square().mean()
        with turn("discriminator") as loss:
            loss.real = (self.discriminator(batch.b) - 1).square().mean()
            loss.fake = self.discriminator(fake.detach()).square().mean()


def two(kind: type[Method] = Two) -> Method:
    seed_everything(0)
    return kind(Method.Params(lr=0.002), Task(3, 3, 8))


def loop(folder: Path, method: Method, parts: int, n: int = 5, **values: Any) -> Loop:
    settings = Training(**({"steps": 6, "batch_size": n, "log_every": 2, "checkpoint_every": 2} | values))
    return Loop(method, Smooth(n, 8), settings, Store(folder).trial("t"), CPU, LOG, micro_batches=parts)


def state_of(method: Method) -> dict[str, Tensor]:
    return {f"{m}.{k}": v for m, state in method.state_dict().items() for k, v in state.items()}


@given(st.integers(1, 7), st.integers(1, 9))
@settings(max_examples=15, deadline=None)
def test_a_whole_training_in_parts_is_the_training(
    tmp_path_factory: pytest.TempPathFactory, n: int, parts: int
) -> None:
    """The players step once a step, by all parts: six steps of Adam, with its moments, EMA, warm-up and clipping."""
    folder, options = tmp_path_factory.mktemp("runs"), {"ema": 0.8, "warmup": 2, "clip": 0.5, "ttur": 1.5}
    whole, divided = two(), two()
    expected = loop(folder / "whole", whole, 1, n, **options).run()
    outcome = loop(folder / "divided", divided, parts, n, **options).run()
    assert (outcome.micro_batches, expected.micro_batches) == (parts, 1)
    assert divided.seen == [len(part) for part in torch.arange(n).tensor_split(min(n, parts))] * 6
    for name, value in state_of(divided).items():
        torch.testing.assert_close(value, state_of(whole)[name], rtol=0, atol=1e-5)
    for ours, theirs in zip(outcome.curves, expected.curves, strict=True):
        assert {**ours, "seconds": 0} == pytest.approx({**theirs, "seconds": 0}, rel=1e-4)


def test_a_training_in_parts_resumes_in_parts(tmp_path: Path) -> None:
    """Though nobody says so again: the memory is what it was."""
    whole = two()
    loop(tmp_path / "whole", whole, 3).run()
    cut = loop(tmp_path / "cut", two(), 3)
    cut.should_stop = lambda: cut.step == 3
    with pytest.raises(Interrupted):
        cut.run()
    resumed = two()
    assert loop(tmp_path / "cut", resumed, 1).run().micro_batches == 3
    assert all(torch.equal(value, state_of(whole)[name]) for name, value in state_of(resumed).items())


@pytest.mark.parametrize("began", ["fp32", "bf16"])
def test_a_training_goes_on_in_the_precision_that_it_began_in(
    began: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`auto` is another one on the machine that it goes on on."""
    whole = two()
    loop(tmp_path / "whole", whole, 1, precision=began).run()
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: began == "bf16")
    cut = loop(tmp_path / "cut", two(), 1)
    cut.should_stop = lambda: cut.step == 3
    with pytest.raises(Interrupted):
        cut.run()
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: began != "bf16")
    resumed = two()
    with caplog.at_level(logging.INFO):
        assert loop(tmp_path / "cut", resumed, 1).run().policy.precision == began
    assert f"it began in {began}" in caplog.text
    assert all(torch.equal(value, state_of(whole)[name]) for name, value in state_of(resumed).items())


class Twice(Two):
    """A critic of two steps for one of the generator's."""

    def step(self, batch: Batch, turn: Turn) -> None:
        super().step(batch, turn)
        with turn("discriminator") as loss:
            loss.real = (self.discriminator(batch.b) - 1).square().mean()


def test_a_player_with_two_turns_in_a_step_cannot_be_divided(tmp_path: Path) -> None:
    before = state_of(two(Twice))
    method = two(Twice)
    with pytest.raises(TrialError, match=r"discriminator takes .* turn.* a smaller training\.batch_size"):
        loop(tmp_path, method, 2).run()
    assert all(torch.equal(value, before[name]) for name, value in state_of(method).items())
    loop(tmp_path, two(Twice), 1).run()


def test_all_options_work_on_parts(tmp_path: Path) -> None:
    options = {
        "clip": 5.0, "warmup": 3, "ema": 0.9, "ttur": 2.0, "spectral_norm": True, "r1": 10.0,
        "diffaugment": ("color", "translation", "cutout"),
    }  # fmt: skip
    method, fresh = make("pix2pix"), make("pix2pix")
    settings = Training(steps=2, batch_size=3, log_every=1, **options)
    outcome = Loop(method, Smooth(3, 32), settings, Store(tmp_path).trial("t"), CPU, LOG, micro_batches=2).run()
    assert [point["step"] for point in outcome.curves] == [1, 2]
    assert outcome.curves[-1]["discriminator.r1_penalty"] > 0
    fresh.load_state_dict(method.state_dict())


def test_less_memory_is_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What autograd keeps for the backward pass at any time shrinks with the parts."""
    most = {}
    for parts in (1, 4):
        kept: list[int] = []
        method = make("pix2pix")
        turns = Turns(method)
        batch = Batch(*Smooth(8, 32).at(0))
        alive = Alive(kept)
        with torch.autograd.graph.saved_tensors_hooks(alive.pack, alive.unpack):
            turns.step(method, batch, 8, parts)
        most[parts] = max(kept)
    assert most[4] < 0.4 * most[1]


class Alive:
    """Counts the bytes of activations that are kept for a backward pass."""

    def __init__(self, totals: list[int]) -> None:
        self.total, self.totals = 0, totals

    def pack(self, tensor: Tensor) -> Any:
        return Kept(self, tensor)

    def unpack(self, kept: Any) -> Tensor:
        return kept.tensor

    def add(self, size: int) -> None:
        self.total += size
        self.totals.append(self.total)


class Kept:
    def __init__(self, alive: Alive, tensor: Tensor) -> None:
        self.alive, self.tensor = alive, tensor
        alive.add(self.size())

    def size(self) -> int:
        own = self.tensor if self.tensor._base is None else self.tensor._base  # a parameter's view takes no memory
        return self.tensor.numel() * self.tensor.element_size() if own.grad_fn is not None else 0

    def __del__(self) -> None:
        self.alive.add(-self.size())

"""The fast way of computing and the plain one are the same maths, for every method; and each policy is what it says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn as tnn

from i2ibench import benchmark, frames, nn, registry, trial
from i2ibench.config import Training
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Method, Task
from i2ibench.nn.munit import AdaINResBlock, LayerNorm
from i2ibench.policy import Policy, current
from i2ibench.randomness import seed_everything
from i2ibench.turns import Turns

CPU = torch.device("cpu")
TRAINED = [name for name in sorted(registry.methods()) if registry.method(name).players]
# Where the presets leave something out that calls networks in another way.
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in TRAINED),
    ("pix2pix", {"norm": "batch", "dropout": 0.5}),
    ("cyclegan", {"lambda_identity": 0.0}),
    ("munit", {"lambda_cycle": 10.0, "discriminator_norm": "none"}),
    ("unit", {"shared_blocks": 0}),
    ("bicyclegan", {"dropout": True}),
]


def make(name: str, params: dict[str, Any], policy: Policy) -> tuple[Method, Turns]:
    """A narrow network of the method, and turns that follow the policy, as the loop makes them."""
    method_class = registry.method(name)
    preset = {key: value for key, value in method_class.presets.get("tiny", {}).items() if key != "training"}
    narrow = {"width": 8} if "width" in method_class.Params.model_fields else {}
    chosen = method_class.Params(**(preset | narrow | params))
    size = 32
    try:
        method_class.check(chosen, Task(3, 3, size))
    except ConfigError:
        size = 64
    seed_everything(0)
    method = method_class(chosen, Task(3, 3, size))
    method.fit(*(images(8, seed, size).add(1).mul(127).byte() for seed in (1, 2)))
    for module in method.modules().values():
        module.train()
    return method, Turns(method, policy=policy)


def images(n: int, seed: int, size: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, size // 8, size // 8, generator=rng)
    return tnn.functional.interpolate(coarse, (size, size), mode="bilinear") * 2 - 1


def losses(name: str, params: dict[str, Any], policy: Policy, steps: int) -> list[dict[str, float]]:
    """All loss terms of each of the first steps."""
    method, turns = make(name, params, policy)
    found = []
    seed_everything(1)
    for step in range(steps):
        a, b = (images(2, seed + step, method.task.size) for seed in (100, 200))
        turns.step(method, Batch(a, b, step / steps, step), 2)
        found.append(turns.means())
        turns.restart()
    return found


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_the_fast_policy_is_the_same_maths_as_the_plain_one(name: str, params: dict[str, Any]) -> None:
    fast = losses(name, params, Policy("fp64"), 3)
    plain = losses(name, params, Policy.reference("fp64"), 3)
    for ours, theirs in zip(fast, plain, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-13)
    (ours,), (theirs,) = (losses(name, params, policy, 1) for policy in (Policy(), Policy.reference()))
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-7)


class Noted(tnn.Module):
    """Counts its calls. Two arguments or one; a tensor and a list of them, as multi-scale discriminators give."""

    def __init__(self, *layers: tnn.Module) -> None:
        super().__init__()
        self.body, self.called = tnn.Sequential(tnn.Conv2d(3, 4, 3), *layers), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.called += 1
        return self.body(x)

    def both(self, x: torch.Tensor, scale: torch.Tensor) -> list[torch.Tensor]:
        self.called += 1
        return [self.body(x) * scale, scale]


def test_several_arguments_go_through_as_one_batch_too() -> None:
    net, x, y = Noted(), torch.randn(2, 3, 8, 8), torch.randn(1, 3, 8, 8)
    one, two = torch.randn(2, 1, 1, 1), torch.randn(1, 1, 1, 1)
    expected = net.both(x, one), net.both(y, two)
    net.called = 0
    found = nn.calls(net.both, (x, one), (y, two))
    assert net.called == 1
    torch.testing.assert_close([list(part) for part in found], list(expected))
    with pytest.raises(TypeError, match="neither a module nor a method of one"):
        nn.calls(torch.tanh, x, y)


@pytest.mark.parametrize(("layer", "passes"), [(tnn.Dropout(0.5), 2), (tnn.Dropout(0.0), 1), (tnn.BatchNorm2d(4), 2)])
def test_calls_that_would_see_each_other_stay_apart(layer: tnn.Module, passes: int) -> None:
    net = Noted(layer)
    nn.calls(net, torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8))
    assert net.called == passes


class Twice(Method):
    """The second player's turn comes first and needs what the first one's network makes of the same images."""

    players = ("generator", "discriminator")

    def build(self, task: Task) -> None:
        self.generator, self.discriminator = Noted(), tnn.Conv2d(4, 1, 1)

    def step(self, batch: Batch, turn: Any) -> None:
        with turn("discriminator") as loss:
            early = nn.shared(self.generator, batch.a)
            assert torch.equal(early, nn.shared(self.generator, batch.a))
            loss.score = self.discriminator(early).mean()
            assert not early.requires_grad, "nothing of that turn shall reach the generator"
        if batch.step == 1:  # it has changed: what was kept would be of another network
            with torch.no_grad():
                self.generator.body[0].bias.add_(1.0)
        with turn("generator") as loss:
            late = nn.shared(self.generator, batch.a)
            assert torch.allclose(early, late) == (batch.step != 1)
            loss.level = late.square().mean()


@pytest.mark.parametrize(("policy", "passes"), [(Policy(), [1, 2, 1]), (Policy.reference(), [3, 3, 3])])
@pytest.mark.parametrize("parts", [1, 2])
def test_what_two_turns_need_is_computed_once_unless_it_changed(policy: Policy, passes: list[int], parts: int) -> None:
    method = Twice(Method.Params(), Task(3, 3, 8))
    turns = Turns(method, policy=policy)
    for step, expected in enumerate(passes):
        method.generator.called, a = 0, torch.randn(2, 3, 8, 8)
        before = method.generator.body[0].weight.detach().clone()
        turns.step(method, Batch(a, a, 0.0, step), 2, parts)
        assert method.generator.called == expected * parts
        assert not torch.equal(method.generator.body[0].weight, before), "its own turn's gradient arrives"
        assert not turns._kept, "no graph outlives its step"


def test_outside_of_a_turn_shared_is_a_plain_call() -> None:
    net, x = Noted(), torch.randn(2, 3, 8, 8)
    assert nn.shared(net, x).requires_grad
    assert torch.equal(nn.shared(net.body, x), net(x))


def test_nn_follows_the_policy_of_the_turn_being_taken() -> None:
    for policy in (Policy(batched=False), Policy.reference()):
        method = Twice(Method.Params(), Task(3, 3, 8))
        with Turns(method, policy=policy)("generator") as loss:
            assert current() == policy
            loss.level = method.generator(torch.ones(1, 3, 8, 8)).mean()
    assert current() == Policy()
    assert not Policy.reference().fused


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", False), ("tf32", True), ("bf16", False)])
def test_what_is_left_in_fp32_is_fp32_on_a_gpu_too_and_what_was_set_comes_back(precision: Any, tf32: bool) -> None:
    kinds = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [kind.allow_tf32 for kind in kinds]
    with Policy(precision).ruling(torch.device("cuda")):
        assert [kind.allow_tf32 for kind in kinds] == [tf32, tf32]
    assert [kind.allow_tf32 for kind in kinds] == before


@pytest.mark.parametrize("precision", ["auto", "fp32", "tf32", "bf16"])
@pytest.mark.parametrize("amx", [False, True])
def test_a_policy_is_what_the_settings_say(precision: Any, amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the processor is fast in: products in bf16, and, for networks of instance norm, channels last."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    for name, last in (("cyclegan", True), ("munit", True), ("pix2pix", False), ("vae", False)):
        method, _ = make(name, {}, Policy())
        policy = Policy.of(Training(precision=precision), CPU, method)
        assert policy.precision == (("bf16" if amx else "fp32") if precision == "auto" else precision)
        assert policy.channels_last == (last and amx and policy.precision == "bf16")
        assert (policy.batched, policy.shared, policy.fused, policy.rewritten) == (True, True, True, True)


@pytest.mark.parametrize("name", ["cyclegan", "munit", "unit", "cut", "stargan"])
def test_channels_last_is_the_same_maths(name: str) -> None:
    (ours,), (theirs,) = (
        losses(name, {}, policy, 1) for policy in (Policy("fp64", channels_last=True), Policy.reference("fp64"))
    )
    assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-13)


def test_channels_last_reaches_images_and_kernels() -> None:
    seen = []
    method, turns = make("pix2pix", {}, Policy(channels_last=True))
    method.generator.register_forward_pre_hook(lambda _, x: seen.append(x[0].stride()))
    found = losses("pix2pix", {}, Policy("fp64", channels_last=True), 2)
    turns.step(method, Batch(images(2, 1, 32), images(2, 2, 32)), 2)
    assert seen == [(3 * 32 * 32, 1, 32 * 3, 3)]
    assert found[1] == pytest.approx(losses("pix2pix", {}, Policy.reference("fp64"), 2)[1], rel=1e-10)


@pytest.mark.parametrize("name", [name for name in TRAINED if name in ("pix2pix", "cyclegan", "munit", "unit", "vae")])
def test_in_bf16_losses_come_close_and_weights_stay_in_fp32(name: str) -> None:
    theirs = losses(name, {}, Policy.reference(), 1)[0]
    for policy in (Policy("bf16"), Policy("bf16", channels_last=True)):
        ours = losses(name, {}, policy, 1)[0]
        assert ours == pytest.approx(theirs, rel=0.1, abs=0.02)
        assert ours != theirs
    method, _ = make(name, {}, Policy("bf16"))
    assert {p.dtype for p in method.generator.parameters()} == {torch.float32}


def test_losses_and_statistics_are_not_rounded_to_bf16() -> None:
    x = torch.linspace(0, 1, 3000).view(1, 3, 20, 50).bfloat16()
    assert nn.l1(x, torch.zeros_like(x)).dtype == torch.float32
    assert nn.gan_loss(x, True, "lsgan") == (x.float() - 1).square().mean()
    norm, far = LayerNorm(3), 100 + torch.randn(2, 3, 16, 16).bfloat16()
    tnn.init.ones_(norm.gamma)
    assert norm(far).mean().abs() < 1e-4
    with torch.autocast("cpu", torch.bfloat16):
        assert AdaINResBlock(3)(x.float(), torch.ones(1, 2, 2, 3).bfloat16()).dtype == torch.float32


def test_a_trial_says_how_it_was_computed(benchmark_file: Callable[..., Path]) -> None:
    plan, store = benchmark.load(benchmark_file())
    copied, trained = sorted(plan.trials, key=lambda spec: spec.label)
    for spec in (copied, trained):
        trial.train_and_translate(spec, store, logging.getLogger("test"))
    found = frames.provenance(plan, store)
    assert found["policy.precision"] == {"fp32": 1}, "the method that trains nothing has none"
    assert found["policy.batched"] == {"yes": 1}

"""Compiled networks are the same maths as eager ones, come back from a checkpoint, and give way where they cannot be."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn as tnn

from i2ibench import nn, registry
from i2ibench.config import Training
from i2ibench.errors import Interrupted
from i2ibench.method import Batch, Method, Task, Turn
from i2ibench.policy import Policy
from i2ibench.randomness import seed_everything
from i2ibench.store import Store
from i2ibench.training import Loop
from i2ibench.turns import Turns

CPU = torch.device("cpu")
LOG = logging.getLogger("test")
# Of each turn structure one, with as little to compile as there can be: a kernel takes the C++ compiler seconds.
SMALLEST: dict[str, dict[str, Any]] = {
    "pix2pix": {"width": 4, "discriminator_layers": 1},
    "cyclegan": {"width": 4, "blocks": 1, "discriminator_layers": 1},
    "munit": {"width": 4, "mlp_dim": 8, "downsamplings": 1, "blocks": 1, "discriminator_layers": 2, "scales": 1},
}


class Small(Method):
    """A generator with dropout and a discriminator; networks are entered in all ways that methods know."""

    players = ("generator", "discriminator")

    def build(self, task: Task) -> None:
        layers = tnn.Conv2d(3, 4, 3, padding=1), tnn.Tanh(), tnn.Dropout(0.3), tnn.Conv2d(4, 3, 3, padding=1)
        self.generator = tnn.Sequential(*layers)
        self.discriminator = tnn.Sequential(tnn.Conv2d(3, 4, 3), tnn.Softplus(), tnn.Conv2d(4, 1, 3))

    def step(self, batch: Batch, turn: Turn) -> None:
        with turn("generator") as loss:
            fake = self.generator(batch.a)
            loss.gan = nn.gan_loss(self.discriminator(fake), True, "lsgan")
            loss.again = nn.l1(nn.frozen(self.generator, fake), batch.b)
        with turn("discriminator") as loss:
            real, judged = nn.calls(self.discriminator, batch.b, fake.detach())
            loss.real, loss.fake = nn.gan_loss(real, True, "lsgan"), nn.gan_loss(judged, False, "lsgan")
            loss.slope = nn.gradient_penalty(self.discriminator, batch.b, fake)


class Noise:
    """Batches as a pure function of the step."""

    def __init__(self, size: int = 8) -> None:
        self.size = size

    def at(self, step: int, part: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
        a, b = torch.rand(2, 2, 3, self.size, self.size, generator=torch.Generator().manual_seed(step)) * 2 - 1
        return a[part], b[part]


def losses(make: Callable[[], Method], policy: Policy, steps: int, **options: Any) -> list[dict[str, float]]:
    """All loss terms of each of the first steps; networks are as they are written afterwards, by name and `forward`."""
    seed_everything(0)
    method, found = make(), []
    names = [sorted(module.state_dict()) for module in method.modules().values()]
    turns = Turns(method, Training(**options), policy)
    seed_everything(1)
    with policy.compiled(method, LOG) as networks:
        for step in range(steps):
            turns.step(method, Batch(*Noise(method.task.size).at(step), step / steps, step), 2)
            found.append(turns.means())
            turns.restart()
    turns.options.finish()
    assert not networks.failed
    assert names == [sorted(module.state_dict()) for module in method.modules().values()]
    assert not any("forward" in vars(part) for module in method.modules().values() for part in module.modules())
    return found


def of(name: str) -> Callable[[], Method]:
    method_class = registry.method(name)
    tiny = {key: value for key, value in method_class.presets["tiny"].items() if key != "training"}
    return lambda: method_class(method_class.Params(**(tiny | SMALLEST[name])), Task(3, 3, 32))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision", "steps", "tolerance"),
    [*((name, "fp64", 3, 1e-10) for name in SMALLEST), ("pix2pix", "fp32", 1, 1e-5)],
)
def test_compiled_networks_are_the_same_maths(name: str, precision: Any, steps: int, tolerance: float) -> None:
    compiled = losses(of(name), Policy(precision, compile=True), steps)
    eager = losses(of(name), Policy(precision), steps)
    for ours, theirs in zip(compiled, eager, strict=True):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance / 100)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"r1": 1.0, "spectral_norm": True, "diffaugment": ("color",), "ema": 0.9}])
def test_dropout_penalties_and_options_are_those_of_eager_mode(options: dict[str, Any]) -> None:
    compiled, eager = (
        losses(lambda: Small(Method.Params(), Task(3, 3, 8)), Policy(compile=on), 2, **options) for on in (True, False)
    )
    assert compiled[0] == pytest.approx(eager[0], rel=1e-5, abs=1e-7)
    assert compiled[1] == pytest.approx(eager[1], rel=1e-3, abs=1e-5)


def loop(folder: Path, stop: int | None = None) -> Loop:
    """A compiled training of 5 steps, that is asked to leave after `stop` of them."""
    settings = Training(steps=5, batch_size=2, log_every=1, compile=True)
    seed_everything(0)
    made = Loop(
        Small(Method.Params(), Task(3, 3, 8)),
        Noise(),  # type: ignore[arg-type]
        settings,
        Store(folder).trial("t"),
        CPU,
        LOG,
        should_stop=lambda: made.step == stop,
    )
    return made


@pytest.mark.slow
def test_a_compiled_training_that_is_resumed_ends_bit_identical(tmp_path: Path) -> None:
    whole = loop(tmp_path / "whole")
    outcome = whole.run()
    assert outcome.policy.compile
    assert not outcome.policy.eager
    with pytest.raises(Interrupted):
        loop(tmp_path / "cut", stop=3).run()
    resumed = loop(tmp_path / "cut")
    resumed.run()
    assert [point["step"] for point in resumed.curves] == [1, 2, 3, 4, 5]
    for player in ("generator", "discriminator"):
        theirs = getattr(whole.method, player).state_dict()
        for name, value in getattr(resumed.method, player).state_dict().items():
            assert torch.equal(value, theirs[name]), name


def run(file: Path, folder: Path, compiler: str) -> tuple[dict[str, Any], str]:
    """A whole benchmark on a machine with that C++ compiler: what the trial says of its policy, and its log."""
    caches = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "cache")}  # or what was compiled before would be found
    command = [sys.executable, "-m", "i2ibench", "run", str(file), "--executor", "local"]
    environment = os.environ | caches | {"CXX": compiler}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (trial,) = (folder / "runs").glob("tiny-*")
    policy = json.loads((trial / "result.json").read_text(encoding="utf-8"))["provenance"]["policy"]
    return policy, (trial / "log.txt").read_text(encoding="utf-8")


COMPILED = """
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data:
      glyphs: {{size: 16}}
    methods:
      tiny: {{method: {tmp}/tiny.py}}
    training: {{steps: 3, batch_size: 4, compile: true}}
    evaluation: {{metrics: [psnr]}}
"""


@pytest.mark.slow
def test_without_a_compiler_there_is_one_warning_and_eager_mode(
    benchmark_file: Callable[..., Path], tmp_path: Path
) -> None:
    policy, log = run(benchmark_file(COMPILED), tmp_path, "/nowhere/g++")
    assert policy["compile"] is False
    assert "C++ compiler" in policy["eager"]
    assert log.count("nothing can be compiled here") == 1
    assert policy["eager"] in log
    (flag,) = json.loads(next(tmp_path.glob("runs/tiny-*/result.json")).read_text(encoding="utf-8"))["flags"]
    assert flag["flag"] == "not compiled"
    assert policy["eager"] in flag["reason"]


@pytest.mark.slow
def test_a_network_that_cannot_be_compiled_runs_as_it_is_written(
    benchmark_file: Callable[..., Path], tmp_path: Path
) -> None:
    """By a compiler that takes everything but what divides by 0.9, as the network's dropout does."""
    compiler = tmp_path / "g++"
    refuses = 'for file in "$@"; do case "$file" in *.cpp) grep -q "1.1111" "$file" && exit 1;; esac; done'
    compiler.write_text(f'#!/bin/sh\n{refuses}\nexec g++ "$@"\n', encoding="utf-8")
    compiler.chmod(0o755)
    policy, log = run(benchmark_file(COMPILED), tmp_path, str(compiler))
    assert policy["compile"] is True
    assert policy["eager"]
    assert log.count("could not be compiled") == 1

"""What every registered method must keep, whoever wrote it: runs over each file of methods/ at its preset tiny.

On the CPU, or on the device that `I2IBENCH_DEVICE` names (`I2IBENCH_DEVICE=cuda pytest tests/methods/test_conformance.py`);
or over the method file that `I2IBENCH_METHOD` names, at its defaults if it has no preset tiny.
"""

from __future__ import annotations

import copy
import io
import logging
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from i2ibench import registry
from i2ibench.config import Training
from i2ibench.data.batches import to_uint8
from i2ibench.errors import ConfigError, Interrupted
from i2ibench.method import Batch, Method, Task
from i2ibench.randomness import rng_state, seed_everything, set_rng_state
from i2ibench.store import Store
from i2ibench.training import Loop
from i2ibench.translation import translate_like, translate_styles
from i2ibench.turns import Turns

DEVICE = torch.device(os.environ.get("I2IBENCH_DEVICE", "cpu"))
OWN = os.environ.get("I2IBENCH_METHOD")  # the file of a method that is not, or not yet, one of methods/
NAMES = [str(Path(OWN).absolute())] if OWN else sorted(registry.methods())
TRAINED = [name for name in NAMES if registry.method(name).players]
every_method = pytest.mark.parametrize("name", NAMES)
trained_method = pytest.mark.parametrize("name", TRAINED)


def settings(name: str, preset: str = "tiny") -> dict[str, Any]:
    """A preset's parameters, without its training settings; a method with nothing to set needs no preset."""
    chosen = dict(registry.method(name).presets.get(preset, {}))
    chosen.pop("training", None)
    return chosen


def images(n: int, seed: int, size: int) -> torch.Tensor:
    """Smooth random images, uint8 (n, 3, size, size)."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, size // 8, size // 8, generator=rng)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear").mul(255).byte()


def floats(n: int, seed: int, size: int) -> torch.Tensor:
    return (images(n, seed, size) / 127.5 - 1).to(DEVICE)


def refusal(name: str, size: int) -> str | None:
    """What the method says against images of this size, if anything."""
    method_class = registry.method(name)
    try:
        method_class.check(method_class.Params(**settings(name)), Task(3, 3, size))
    except ConfigError as error:
        return str(error)
    return None


def make(name: str, seed: int = 0, size: int | None = None) -> Method:
    """The method as a trial makes it: seeded, built, shown the training images."""
    size = size or (64 if refusal(name, 32) else 32)
    method_class = registry.method(name)
    seed_everything(seed)
    method = method_class(method_class.Params(**settings(name)), Task(3, 3, size))
    method.to(DEVICE)
    method.fit(images(20, 1, size), images(20, 2, size))
    return method


def train(method: Method, turns: Turns, steps: range, batch_size: int = 2) -> None:
    for module in method.modules().values():
        module.train()
    for step in steps:
        size = method.task.size
        batch = Batch(floats(batch_size, 100 + step, size), floats(batch_size, 200 + step, size), step / 100, step)
        method.step(batch, turns)


@cache
def two_steps(name: str) -> bytes:
    """A checkpoint after two steps from scratch, as the loop saves it."""
    method = make(name)
    turns = Turns(method)
    train(method, turns, range(2))
    file = io.BytesIO()
    torch.save({"method": method.state_dict(), "turns": turns.state_dict(), "rng": rng_state(DEVICE)}, file)
    return file.getvalue()


def restore(name: str) -> tuple[Method, Turns]:
    """That checkpoint in a fresh method of another seed."""
    method = make(name, seed=1)
    turns = Turns(method)
    state = torch.load(io.BytesIO(two_steps(name)), weights_only=True, map_location=DEVICE)
    method.load_state_dict(state["method"])
    turns.load_state_dict(state["turns"])
    set_rng_state(state["rng"], DEVICE)
    return method, turns


def translate(method: Method, n: int = 3, seed: int = 0, back: bool = False) -> torch.Tensor:
    """What the method makes of the first `n` test images, leaving it as it was: a copy translates."""
    method, a = copy.deepcopy(method), floats(3, 3, method.task.size)[:n]
    for module in method.modules().values():
        module.train(method.inference == "train")
    torch.manual_seed(7)  # dropout, where the method keeps it on
    with torch.inference_mode():
        function = getattr(method, "translate_back" if back else "translate")
        return function(a, rng=torch.Generator(DEVICE).manual_seed(seed))


@pytest.mark.skipif(OWN is not None, reason="another method was asked for")
def test_the_published_methods_are_there() -> None:
    assert {"copy", "oracle", "pix2pix", "cyclegan"} <= set(NAMES)


@every_method
def test_declares_what_it_is(name: str) -> None:
    method_class = registry.method(name)
    text = f"{sys.modules[method_class.__module__].__doc__ or ''}\n{vars(method_class).get('__doc__') or ''}"
    assert text.strip(), "no docstring"
    assert method_class.pairing in ("paired", "unpaired", "multi-domain")
    assert method_class.inference in ("eval", "train")
    assert ("translate_back" in vars(method_class)) == method_class.bidirectional
    assert ("translate_like" in vars(method_class)) == method_class.exemplars
    both = method_class.exemplars and method_class.bidirectional
    assert ("translate_back_like" in vars(method_class)) == both
    if method_class.players and not OWN:  # what is published
        author = method_class.paper.replace(",", " ").split()[0]
        assert author in text, "the docstring does not name the paper's first author"
        assert str(method_class.year) in method_class.paper
        assert {"tiny", "small", "paper"} <= set(method_class.presets)


@every_method
def test_every_preset_is_valid(name: str) -> None:
    method_class = registry.method(name)
    for preset, values in method_class.presets.items():
        Training(**values.get("training", {}))
        params = method_class.Params(**settings(name, preset))
        method_class.check(params, Task(3, 3, {"tiny": 64, "small": 128}.get(preset, 256)))


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys; from i2ibench import registry; from i2ibench.method import Task\n"
        "for name in registry.methods():\n"
        "    c = registry.method(name); c.check(c.Params(), Task(3, 3, 256))\n"
        "    assert 'torch' not in sys.modules, name"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@every_method
def test_translates_to_images(name: str) -> None:
    method = make(name)
    for back in (False, True) if method.bidirectional else (False,):
        output = translate(method, back=back)
        assert output.shape == (3, 3, method.task.size, method.task.size)
        assert output.isfinite().all()
        assert output.min() >= -1
        assert output.max() <= 1


@every_method
def test_noise_comes_from_rng_alone(name: str) -> None:
    method = restore(name)[0] if name in TRAINED else make(name)
    first, again, other = (translate(method, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert torch.equal(first, other) != method.multimodal


@pytest.mark.parametrize("name", [name for name in NAMES if registry.method(name).multimodal])
def test_gives_several_styles_of_one_image(name: str) -> None:
    method = restore(name)[0]
    inputs = to_uint8(floats(2, 3, method.task.size))
    for back in (False, True) if method.bidirectional else (False,):
        styles = translate_styles(method, inputs, 3, 0, DEVICE, backward=back)
        assert styles.shape == (2, 3, method.task.size, method.task.size, 3)
        for several in styles:
            assert all((several[i] != several[j]).any() for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("name", [name for name in NAMES if registry.method(name).exemplars])
def test_takes_the_style_of_a_given_image(name: str) -> None:
    method = restore(name)[0]
    size = method.task.size
    inputs, first, second = (to_uint8(floats(2, seed, size)) for seed in (3, 4, 5))
    for back in (False, True) if method.bidirectional else (False,):
        like = translate_like(method, inputs, first, DEVICE, backward=back)
        assert like.shape == (2, size, size, 3)
        assert np.array_equal(like, translate_like(method, inputs, first, DEVICE, backward=back)), "nothing is drawn"
        assert (like != translate_like(method, inputs, second, DEVICE, backward=back)).any()
        swapped = translate_like(method, inputs, first[::-1], DEVICE, backward=back)
        assert (like != swapped).any(), "each image has its own reference"


@every_method
def test_an_output_depends_on_its_own_input(name: str) -> None:
    method = make(name)
    if method.multimodal or method.inference == "train":
        pytest.skip("each image has noise or batch statistics of its own")
    assert torch.allclose(translate(method)[:1], translate(method, n=1), atol=1e-4)


@trained_method
def test_no_parameter_has_two_owners(name: str) -> None:
    method = make(name)
    owners: dict[int, str] = {}
    for player in method.players:
        for parameter in getattr(method, player).parameters():
            assert owners.setdefault(id(parameter), player) == player
    assert all(count > 0 for count in method.parameter_counts().values())


@trained_method
def test_same_seed_same_numbers(name: str) -> None:
    method = make(name)
    train(method, Turns(method), range(2))
    assert torch.equal(translate(method), translate(restore(name)[0]))
    other = make(name, seed=1)  # trained too: some networks begin with an output of 0
    train(other, Turns(other), range(2))
    assert not torch.equal(translate(method), translate(other))


@trained_method
def test_goes_on_from_a_checkpoint_as_if_never_stopped(name: str) -> None:
    method = make(name)
    train(method, Turns(method), range(4))
    resumed, turns = restore(name)
    train(resumed, turns, range(2, 4))
    assert torch.equal(translate(method), translate(resumed))
    torch.testing.assert_close(resumed.state_dict(), method.state_dict(), rtol=0, atol=0)


class Smooth:
    """Training batches as a pure function of the step, like the real ones."""

    def __init__(self, size: int, batch_size: int) -> None:
        self.size, self.batch_size = size, batch_size

    def at(self, step: int, part: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
        a, b = (floats(self.batch_size, seed + step, self.size) for seed in (100, 200))
        return a[part], b[part]


def loop(name: str, folder: Path, micro_batches: int) -> Loop:
    """A training of four steps of the method as a trial makes it, with its checkpoints in that folder."""
    settings = Training(steps=4, batch_size=3, log_every=3, checkpoint_every=100)
    method = make(name)
    batches, trial = Smooth(method.task.size, 3), Store(folder).trial(Path(name).stem)
    return Loop(method, batches, settings, trial, DEVICE, logging.getLogger("test"), micro_batches=micro_batches)


@trained_method
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_asked_to_stop_it_goes_on_later_as_if_never_stopped(name: str, micro_batches: int, tmp_path: Path) -> None:
    """Through the loop itself and its files, for whole batches and for batches in parts."""
    whole = loop(name, tmp_path / "whole", micro_batches)
    expected = whole.run()
    stopped = loop(name, tmp_path / "cut", micro_batches)
    stopped.should_stop = lambda: stopped.step == 2
    with pytest.raises(Interrupted, match="at step 2 of 4"):
        stopped.run()
    resumed = loop(name, tmp_path / "cut", micro_batches)
    outcome = resumed.run()
    torch.testing.assert_close(resumed.method.state_dict(), whole.method.state_dict(), rtol=0, atol=0)
    curves, others = ([{**point, "seconds": 0} for point in run.curves] for run in (outcome, expected))
    assert curves == others


class WatchedTurns(Turns):
    """The loop's own turns, with a look at the losses and gradients that each one leaves behind."""

    def __init__(self, method: Method) -> None:
        super().__init__(method)
        self.taken: set[str] = set()
        self.unreached = {
            f"{player}.{name}"
            for player in method.players
            for name, parameter in getattr(method, player).named_parameters()
            if parameter.requires_grad and parameter.ndim > 1  # a bias before a normalisation rightly gets nothing
        }
        self._method = method

    @contextmanager
    def __call__(self, player: str) -> Iterator[Any]:
        self.taken.add(player)
        for name in self._method.players:
            getattr(self._method, name).zero_grad(set_to_none=True)
        with super().__call__(player) as loss:
            yield loss
        assert vars(loss), "no loss was named"
        for term, value in vars(loss).items():
            assert value.ndim == 0, f"{term} is not a scalar"
            assert value.isfinite(), f"{term} is not finite"
        for name in self._method.players:
            for key, parameter in getattr(self._method, name).named_parameters():
                if name != player:
                    assert parameter.grad is None, f"{name}.{key} gets a gradient in the turn of {player}"
                elif parameter.requires_grad:
                    assert parameter.grad is not None, f"{name}.{key} gets no gradient"
                    if parameter.grad.any():
                        self.unreached.discard(f"{name}.{key}")


@trained_method
def test_gradients_reach_the_player_and_nobody_else(name: str) -> None:
    method = make(name)
    turns = WatchedTurns(method)
    train(method, turns, range(3))  # what lies before two layers that begin at 0 is reached in the third step
    assert turns.taken == set(method.players)
    assert not turns.unreached


@trained_method
def test_trains_on_single_images(name: str) -> None:
    method = make(name)
    turns = Turns(method)
    train(method, turns, range(1), batch_size=1)
    assert all(math.isfinite(value) for value in turns.means().values())


@trained_method
@pytest.mark.parametrize("size", [16, 34, 36, 48])
def test_a_size_that_it_accepts_works(name: str, size: int) -> None:
    error = refusal(name, size)
    if error is not None:
        assert re.search(rf"size {size}\b.*(multiple of|divisible by|at least|or more)", error), "what would do?"
        assert "\n" not in error
        return
    method = make(name, size=size)
    train(method, Turns(method), range(1))
    assert translate(method).shape == (3, 3, size, size)

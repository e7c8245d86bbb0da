"""Several processes train what one would: on the CPU here, as on the GPUs of one node."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2ibench import config, plan
from i2ibench.build import make_loop, make_method
from i2ibench.distributed import ALONE, Group, ranks_of, together
from i2ibench.errors import CrashedError, DivergedError, Interrupted, TrialError
from i2ibench.memory import is_out_of_memory
from i2ibench.method import Method
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.training import Outcome

CPU, LOG = torch.device("cpu"), logging.getLogger("test")

METHOD = '''
    """Two players without batch statistics; noise, a pool and running means if asked for."""

    import os
    import signal
    import time
    from pathlib import Path

    from i2ibench import nn
    from i2ibench.method import Batch, Method, Task, Turn


    class Pair(Method):
        paper = "none"
        pairing = "unpaired"
        players = ("generator", "discriminator")

        class Params(Method.Params):
            lr: float = 0.002
            noise: bool = False
            trouble: str = ""

        def build(self, task: Task) -> None:
            from torch.nn import BatchNorm2d, Conv2d, Dropout, Sequential, Softplus

            noise = [BatchNorm2d(4), Dropout(0.2)] if self.params.noise else []
            self.generator = Sequential(Conv2d(3, 4, 3, padding=1), *noise, Softplus(), Conv2d(4, 3, 3, padding=1))
            self.discriminator = Sequential(Conv2d(3, 4, 3), Softplus(), Conv2d(4, 1, 3))
            self.pool = nn.ImagePool(4 if self.params.noise else 0)
            self.steps = 0

        def step(self, batch: Batch, turn: Turn) -> None:
            self.steps += 1
            if self.params.trouble and self.steps == 3:
                self.fail()
            with turn("discriminator") as loss:
                fake = self.pool(self.generator(batch.a))
                loss.real = nn.gan_loss(self.discriminator(batch.b), True, "lsgan")
                loss.fake = nn.gan_loss(self.discriminator(fake.detach()), False, "lsgan")
            with turn("generator") as loss:
                fake = self.generator(batch.a)
                loss.gan = nn.gan_loss(self.discriminator(fake), True, "lsgan")
                loss.l1 = nn.l1(fake, batch.a)

        def fail(self) -> None:
            import torch

            if torch.distributed.get_rank() == 0:
                return
            if self.params.trouble == "error":
                raise ValueError("no such thing")
            if self.params.trouble == "memory":
                torch.empty(1 << 60)
            if self.params.trouble == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.params.trouble == "nan":
                with torch.no_grad():
                    self.generator[0].weight.fill_(float("nan"))
            if self.params.trouble == "sleep":
                Path(__file__).with_name("asleep").touch()
                time.sleep(600)

        def translate(self, a, *, rng):
            return self.generator(a).clamp(-1, 1)
'''


@pytest.fixture
def spec(tmp_path: Path, benchmark_file: Callable[[str], Path]) -> Callable[..., TrialSpec]:
    """The spec of one trial of that method; keywords are its parameters, and `training` its training settings."""

    def make(training: dict[str, Any] | None = None, **params: Any) -> TrialSpec:
        (tmp_path / "pair.py").write_text(textwrap.dedent(METHOD).lstrip(), encoding="utf-8")
        settings = {"steps": 6, "batch_size": 5, "log_every": 2, "checkpoint_every": 100, "precision": "fp32"} | (
            training or {}
        )
        file = benchmark_file(
            f"""
            seeds: [3]
            store: {tmp_path}/runs
            data: {{{{glyphs: {{{{size: 16}}}}}}}}
            methods: {{{{pair: {{{{method: {tmp_path}/pair.py, {", ".join(f"{k}: {v}" for k, v in params.items())}}}}}}}}}
            training: {{{{{", ".join(f"{k}: {v}" for k, v in settings.items())}}}}}
            """
        )
        return plan.make(config.load(file)).trials[0]

    return make


def train(
    spec: TrialSpec, store: Path, world: int = 2, stop_at: int | None = None, micro_batches: int = 1
) -> tuple[Method, Outcome]:
    """What a trial does between its building and its translating."""
    the_store = Store(store)
    method = make_method(spec, the_store, CPU)
    trial = the_store.trial(spec.id)
    trial.path.mkdir(parents=True, exist_ok=True)
    with together(world, CPU, spec.to_json(), store, micro_batches, trial.path / "log.txt") as group:
        loop = make_loop(spec, the_store, method, CPU, LOG, micro_batches=micro_batches, group=group)
        loop.should_stop = lambda: loop.step == stop_at
        return method, loop.run()


def state_of(method: Method) -> dict[str, torch.Tensor]:
    return {f"{m}.{k}": v for m, state in method.state_dict().items() for k, v in state.items()}


def losses(outcome: Outcome) -> list[dict[str, float]]:
    return [{key: value for key, value in point.items() if key != "seconds"} for point in outcome.curves]


@given(st.integers(1, 9), st.integers(0, 40))
def test_the_parts_of_a_batch_make_it_up(size: int, images: int) -> None:
    groups = []
    for rank in range(size):
        groups.append(Group())
        groups[-1].rank, groups[-1].size = rank, size
    parts = [list(range(images))[group.part(images)] for group in groups]
    assert [image for part in parts for image in part] == list(range(images))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert ALONE.part(images) == slice(0, images)


@pytest.mark.parametrize("gpus", [0.0, 0.25, 1.0, 4.0, "auto"])
def test_without_gpus_a_trial_is_one_process(gpus: float | str) -> None:
    assert ranks_of(gpus, CPU) == 1


@pytest.mark.parametrize("micro_batches", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_two_processes_train_what_one_does(spec: Callable[..., TrialSpec], tmp_path: Path, micro_batches: int) -> None:
    """Batches of 5: neither two processes nor two micro-batches divide them evenly."""
    the_spec = spec({"clip": 0.5, "ema": 0.9, "r1": 2.0, "ttur": 2.0})
    alone, expected = train(the_spec, tmp_path / "alone", world=1, micro_batches=micro_batches)
    first = make_method(the_spec, Store(tmp_path / "alone"), CPU)
    method, outcome = train(the_spec, tmp_path / "two", micro_batches=micro_batches)
    assert (outcome.ranks, outcome.micro_batches, outcome.steps) == (2, micro_batches, 6)
    for name, value in state_of(method).items():
        torch.testing.assert_close(value, state_of(alone)[name], rtol=0, atol=2e-6)
        if value.is_floating_point() and value.numel():
            assert (value - state_of(first)[name]).abs().max() > 5e-3, "it has learned"
    for ours, theirs in zip(losses(outcome), losses(expected), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


@pytest.mark.slow
def test_two_processes_go_on_from_a_checkpoint_as_if_never_stopped(
    spec: Callable[..., TrialSpec], tmp_path: Path
) -> None:
    """With noise, pools and batch statistics that each process has of its own."""
    the_spec = spec({"ema": 0.9, "spectral_norm": "true", "diffaugment": "[color, cutout]"}, noise="true")
    whole, expected = train(the_spec, tmp_path / "whole")
    with pytest.raises(Interrupted, match="stopped at step 3 of 6"):
        train(the_spec, tmp_path / "cut", stop_at=3)
    resumed, outcome = train(the_spec, tmp_path / "cut")
    for name, value in state_of(resumed).items():
        assert torch.equal(value, state_of(whole)[name]), name
    assert losses(outcome) == losses(expected)
    with pytest.raises(Interrupted):
        train(the_spec, tmp_path / "fewer", stop_at=3)
    assert train(the_spec, tmp_path / "fewer", world=1)[1].steps == 6, "one process can go on where two were"
    with pytest.raises(Interrupted):
        train(the_spec, tmp_path / "more", stop_at=3, world=1)
    assert train(the_spec, tmp_path / "more")[1].steps == 6, "and two where one was"


@pytest.mark.slow
def test_each_process_has_noise_of_its_own(spec: Callable[..., TrialSpec], tmp_path: Path) -> None:
    """Two processes with the same images, but other noise: else a batch of two would see the same noise twice."""
    the_spec = spec({"batch_size": 2, "steps": 1}, noise="true")
    train(the_spec, tmp_path / "a")
    with pytest.raises(Interrupted):
        train(spec({"batch_size": 2, "steps": 2}, noise="true"), tmp_path / "b", stop_at=1)
    (file,) = (tmp_path / "b").glob("*/checkpoints/*.pt")
    ranks = torch.load(file, weights_only=True)["ranks"]
    assert len(ranks) == 2
    assert not torch.equal(ranks[0]["rng"]["torch"], ranks[1]["rng"]["torch"])
    assert ranks[0]["rng"]["python"] != ranks[1]["rng"]["python"]
    assert not torch.equal(ranks[1]["own"]["generator"]["1.running_mean"], torch.zeros(4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trouble", "kind", "message"),
    [
        ("error", TrialError, "ValueError: no such thing"),
        ("memory", MemoryError, "allocate"),
        ("kill", CrashedError, "died of signal 9"),
        ("nan", DivergedError, "became nan|holds NaN"),
    ],
)
def test_what_goes_wrong_in_a_helper_is_what_the_trial_fails_of(
    spec: Callable[..., TrialSpec], tmp_path: Path, trouble: str, kind: type[Exception], message: str
) -> None:
    began = time.monotonic()
    with pytest.raises(kind, match=message) as caught:
        train(spec(trouble=trouble), tmp_path)
    assert is_out_of_memory(caught.value) == (trouble == "memory")
    assert not torch.distributed.is_initialized()
    assert time.monotonic() - began < 60
    assert not children(), "no process is left"


def children() -> list[str]:
    return [pid for pid in descendants(os.getpid()) if "i2ibench.helper" in command(pid)]


def descendants(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from (task / "children").read_text().split()


def command(pid: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


@contextmanager
def running(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_helpers_end_with_the_process_that_started_them(
    spec: Callable[..., TrialSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it is killed, while they sleep in the middle of a step."""
    the_spec = spec(trouble="sleep")
    script = (
        "import json, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "import importlib.util as u; s = u.spec_from_file_location('t', sys.argv[2]); t = u.module_from_spec(s);"
        "s.loader.exec_module(t); t.train(t.TrialSpec.from_json(json.loads(sys.argv[3])), Path(sys.argv[4]))"
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with running(script, str(tmp_path), __file__, json.dumps(the_spec.to_json()), str(tmp_path)) as process:
        deadline = time.monotonic() + 90
        while not (helpers := [pid for pid in descendants(process.pid) if "i2ibench.helper" in command(pid)]):
            assert time.monotonic() < deadline, "no helper was started"
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.1)
        while not (tmp_path / "asleep").exists():
            assert time.monotonic() < deadline, "no helper came to its third step"
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 20
        while any("i2ibench.helper" in command(pid) for pid in helpers):
            assert time.monotonic() < deadline, "a helper outlives its parent"
            time.sleep(0.1)
    assert not list(tmp_path.glob("i2ibench-ranks-*")), "what they shared is removed"


def test_a_batch_must_have_an_image_for_each(tmp_path: Path, spec: Callable[..., TrialSpec]) -> None:
    class Eight(Group):
        size = 8

    the_spec, store = spec(), Store(tmp_path)
    method = make_method(the_spec, store, CPU)
    with pytest.raises(TrialError, match=r"a batch of 5 cannot be divided over 8 GPUs; raise training.batch_size"):
        make_loop(the_spec, store, method, CPU, LOG, group=Eight()).run()

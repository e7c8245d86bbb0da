"""A Slurm cluster for the slow tests of this folder, and benchmarks that are small enough for it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from i2ibench import benchmark, lease
from i2ibench.plan import Plan
from i2ibench.spec import TrialSpec
from i2ibench.store import Store

OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY"}  # a job does not come back from there

# Each step takes a while, and is written down: who took it, on which host, with which GPU.
METHOD = '''
    """Sleeps rather than computes; trains one layer all the same."""

    import os
    import socket
    import time
    from pathlib import Path

    from i2ibench.method import Batch, Method, Task, Turn


    class Sleepy(Method):
        paper = "none"
        pairing = "paired"
        players = ("generator",)

        class Params(Method.Params):
            lr: float = 0.01
            seconds: float = 0.05

        def build(self, task: Task) -> None:
            import torch

            self.generator = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Dropout(0.1))
            self.seen = set()

        def step(self, batch: Batch, turn: Turn) -> None:
            time.sleep(self.params.seconds)
            gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
            with Path(__file__).with_name("steps.txt").open("a") as out:
                print(socket.gethostname(), os.getpid(), gpu, f"{time.time():.2f}", file=out)
            with turn("generator") as loss:
                loss.l1 = (self.generator(batch.a) - batch.b).abs().mean()

        def translate(self, a, *, rng):
            return self.generator(a).clamp(-1, 1)
'''
FILE = """
    name: sleepy
    seeds: SEEDS
    store: {tmp}/runs
    reports: {tmp}/reports
    data: {glyphs: {size: 16}}
    methods: {sleepy: {method: {tmp}/sleepy.py, seconds: SECONDS}}
    training: {steps: STEPS, batch_size: 4, log_every: 5, checkpoint_every: 20, precision: fp32}
    resources: {cpus: 1, gpus: GPUS}
    evaluation: {metrics: [psnr]}
"""


def _lab_module() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("slurm_lab", Path(__file__).with_name("lab.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def lab() -> Iterator[Any]:
    """A cluster of three nodes. Where there can be none: a reason to skip, but to fail where I2IBENCH_NEED_SLURM is set."""
    module = _lab_module()
    if reason := module.missing():
        if os.environ.get("I2IBENCH_NEED_SLURM"):
            pytest.fail(f"I2IBENCH_NEED_SLURM is set, and {reason}")
        pytest.skip(reason)
    made = module.Lab(nodes=3)
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Sleepy:
    """A small benchmark in a folder of its own, and what becomes of it on the cluster."""

    def __init__(self, folder: Path, lab: Any) -> None:
        self.folder, self.lab, self.file = folder, lab, folder / "benchmark.yaml"
        self.jobs: list[str] = []

    def write(self, *, seeds: int = 1, steps: int = 40, seconds: float = 0.05, gpus: float = 0) -> None:
        (self.folder / "sleepy.py").write_text(textwrap.dedent(METHOD).lstrip())
        text = textwrap.dedent(FILE).replace("{tmp}", str(self.folder))
        for key, value in {"SEEDS": seeds, "STEPS": steps, "SECONDS": seconds, "GPUS": gpus}.items():
            text = text.replace(key, str(value))
        self.file.write_text(text)

    def submit(self, *options: str) -> str:
        """The id of a job of `i2ibench submit`, on the login node."""
        command = (sys.executable, "-m", "i2ibench", "submit", str(self.file), "--cpus-per-node", "2", *options)
        done = self.lab.run(*command, cwd=self.folder)
        found = re.match(r"job (\d+): ", done.stdout)
        assert found, done.stdout + done.stderr
        self.jobs.append(found[1])
        return found[1]

    def wait_for(self, job: str, state: str, seconds: float = 150) -> None:
        """Wait for a state of a job, or of all jobs of an array; one that is queued again begins soon."""

        def there() -> bool:
            states = self.lab.ask(f"squeue -h -t all -j {job} -o %T").split()
            if "PENDING" in states and state != "PENDING":
                self.hasten(job)
            assert state in states or not set(states) & OVER, f"it is {states}"
            return bool(states) and all(found == state for found in states)

        try:
            self.lab.until(there, seconds)
        except AssertionError as error:
            states = self.lab.ask(f"scontrol show job {job}")
            raise AssertionError(f"job {job} is not {state}: {error}\n{states}\n{self.output()}") from None

    def hasten(self, job: str) -> None:
        """Let a job that is queued again begin now; Slurm would wait for two minutes.

        Not at once: a node refuses a job whose last run was ended in the same second (its credential is revoked).
        """
        time.sleep(5)
        self.lab.ask(f"scontrol update JobId={job} StartTime=now")

    def steps(self) -> list[list[str]]:
        """Host, process, GPUs and time of each training step that was taken."""
        file = self.folder / "steps.txt"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def output(self) -> str:
        return "\n".join(f"== {file.name}\n{file.read_text()}" for file in sorted(self.folder.glob("*.out")))

    def specs(self) -> tuple[TrialSpec, ...]:
        return benchmark.load(self.file)[0].trials

    def load(self) -> tuple[Plan, Store]:
        return benchmark.load(self.file)

    def leaves_nothing(self) -> None:
        """No process, on no node, and neither the token nor Ray's files."""
        self.lab.until(lambda: not self.processes(), 20)
        assert not list(self.folder.glob(".i2ibench-*"))
        assert not [path for job in self.jobs for path in Path("/tmp").glob(f"i2i-{job}-*")]

    def processes(self) -> list[str]:
        """What runs of its jobs, anywhere."""
        texts = [str(self.folder), *(f"i2i-{job}-" for job in self.jobs)]
        return [line for line in self.lab.processes() if any(text in line for text in texts)]

    def held(self) -> list[str]:
        """The trials that somebody holds, as far as can be seen from here."""
        return [spec.id for spec in self.specs() if lease.holder(self.store.trial(spec.id).path)]

    @property
    def store(self) -> Store:
        return Store(self.folder / "runs")

    def scores(self) -> dict[int, dict[str, float]]:
        """The scores of each seed."""
        plan, store = benchmark.load(self.file)
        found = {spec.seed: store.trial(spec.id).scores(spec.score_key(plan.protocol)) for spec in plan.trials}
        return {seed: scores["values"] for seed, scores in found.items() if scores is not None}

    def local(self) -> dict[int, dict[str, float]]:
        """The scores that the local executor comes to, in a store of its own."""
        other = self.folder / "local"
        other.mkdir()
        twin = Sleepy(other, self.lab)
        twin.file.write_text(self.file.read_text().replace(f"{self.folder}/r", f"{other}/r"))
        command = [sys.executable, "-m", "i2ibench", "run", str(twin.file), "--executor", "local"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=other)
        assert done.returncode == 0, done.stderr
        return twin.scores()


@pytest.fixture(scope="session")
def sleepy_type() -> type[Sleepy]:
    return Sleepy


@pytest.fixture
def sleepy(lab: Any, tmp_path: Path) -> Iterator[Sleepy]:
    made = Sleepy(tmp_path, lab)
    yield made
    for job in made.jobs:
        lab.ask(f"scancel {job}")


@pytest.fixture
def until(lab: Any) -> Callable[..., None]:
    return lab.until

"""What the tests of executors share: trials that can be hurt while they train, and drivers that work on them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import pytest

from i2ibench import benchmark, lease
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial

# A method of one layer whose step does what the parameter `hurt` says, at step 7 and, unless it ends in "always", once.
HURT_METHOD = '''
    """Trains in a moment, but for what is done to it."""

    import ctypes
    import time
    from pathlib import Path

    from i2ibench.method import Batch, Method, Task, Turn


    class Hurt(Method):
        paper = "none"
        pairing = "paired"
        players = ("generator",)

        class Params(Method.Params):
            lr: float = 0.01
            hurt: str = ""
            seconds: float = 0.0  # that a step takes
            most: int = 1000  # images that fit into memory
            greedy_from: int = 1000  # images, above which a step takes more and more memory

        def build(self, task: Task) -> None:
            import torch

            self.generator = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Dropout(0.1))
            self.steps = 0

        def step(self, batch: Batch, turn: Turn) -> None:
            self.steps += 1
            time.sleep(self.params.seconds)
            if len(batch.a) > self.params.most:
                raise MemoryError("no room")
            if len(batch.a) > self.params.greedy_from:
                taken = []
                while True:  # the host's memory fills up, until somebody does something about it
                    taken.append(bytearray(b"x") * 50_000_000)
                    time.sleep(0.05)
            marker = Path(__file__).with_name(f"hurt-{self.params.hurt}")
            if self.params.hurt and self.steps == 7 and not marker.exists():
                if not self.params.hurt.endswith("always"):
                    marker.touch()
                if self.params.hurt.startswith("hang"):
                    time.sleep(3600)
                if self.params.hurt == "freeze":  # holds Python's global lock, so that no other thread runs
                    ctypes.PyDLL(None).sleep(3600)
            with turn("generator") as loss:
                loss.l1 = (self.generator(batch.a) - batch.b).abs().mean()

        def translate(self, a, *, rng):
            return self.generator(a).clamp(-1, 1)
'''

HURT = """
    name: hurt
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data: {glyphs: {size: 16}}
    methods: {hurt: {method: {tmp}/hurt.py, KEYS}}
    training: {steps: 60, batch_size: 4, log_every: 5, precision: fp32, TRAINING}
    resources: {cpus: 1, gpus: 0, retries: 3}
    evaluation: {metrics: [psnr]}
"""


class Bench:
    """A benchmark file with one trial, and drivers that work on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "benchmark.yaml"
        self.drivers: list[subprocess.Popen[str]] = []

    def write(self, keys: str, training: str = "checkpoint_every: 5", seeds: int = 1) -> None:
        (self.folder / "hurt.py").write_text(textwrap.dedent(HURT_METHOD).lstrip())
        text = textwrap.dedent(HURT).replace("{tmp}", str(self.folder)).replace("KEYS", keys)
        self.file.write_text(text.replace("TRAINING", training).replace("seeds: [0]", f"seeds: {seeds}"))

    def drive(self, executor: str = "ray", address: str = "") -> subprocess.Popen[str]:
        """A run without the checks before it and the report after it, which take longer than the rest."""
        command = [sys.executable, "-m", "i2ibench.chaos", str(self.file), executor, *filter(None, [address])]
        environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
        driver = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        self.drivers.append(driver)
        return driver

    @property
    def store(self) -> Store:
        return Store(self.folder / "runs")

    @cached_property
    def spec(self) -> TrialSpec:
        return benchmark.load(self.file)[0].trials[0]

    @property
    def trial(self) -> Trial:
        return self.store.trial(self.spec.id)

    def state(self) -> str:
        plan, store = benchmark.load(self.file)
        return store.trial(plan.trials[0].id).state(plan.protocol.key(), plan.metrics(plan.trials[0]))

    def log(self) -> str:
        return (self.trial.path / "log.txt").read_text()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for driver in made.drivers:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
            driver.communicate()


def until(happens: Callable[[], object], seconds: float = 180.0) -> object:
    """Wait for something to be so; the machine may be busy with other tests."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := happens():
            return found
        time.sleep(0.1)
    raise AssertionError("it never happened")


def at_work(trial: Trial) -> int | None:
    """The process that trains a trial, once it has written a checkpoint."""
    if not any(trial.path.glob("checkpoints/*.pt")) or (held := lease.holder(trial.path)) is None:
        return None
    return held.content.get("pid")


def processes_with(text: str) -> list[int]:
    """The living processes whose environment or command line holds a text."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                seen = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
                dead = (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            except OSError:
                continue
            if text.encode() in seen and not dead:
                found.append(int(folder.name))
    return found

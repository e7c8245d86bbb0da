"""Chaos: small trials under random kills of workers, nodes and drivers, compared with a run that nobody disturbed.

At the end every trial must be done exactly once, and all scores must equal those of the undisturbed run to the last
digit. It needs no more than this machine: `i2ibench chaos`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2ibench import benchmark, lease
from i2ibench.errors import I2IBenchError
from i2ibench.executors.cluster import QUIET, free_port, token_of_our_own
from i2ibench.store import Store

BENCHMARK = """\
name: chaos
seeds: {trials}
store: {folder}/{store}
reports: {folder}/reports
data: {{glyphs: {{size: 32}}}}
methods: {{pix2pix: {{preset: tiny, width: 8}}}}
training: {{steps: {steps}, batch_size: 4, log_every: 10, checkpoint_every: 5, precision: fp32}}
resources: {{cpus: 1, gpus: 0, retries: 1000}}
evaluation: {{metrics: [ssim, psnr]}}
"""
# A lost node is noticed in seconds.
IMPATIENT = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
}
KINDS = ("worker", "worker", "worker", "node", "driver", "driver asked to stop")
START_SECONDS = 120.0
STARTED = b"Ray runtime started"  # what `ray start` prints once its node can be used


class ChaosError(I2IBenchError):
    """Something was lost, done twice, or came out otherwise."""


class Nodes(AbstractContextManager["Nodes"]):
    """A Ray cluster of several nodes on this machine: a head without work, and nodes to be killed and begun anew."""

    def __init__(self, count: int, cpus: int = 1) -> None:
        self._count, self._cpus = count, cpus
        self.address = f"127.0.0.1:{free_port()}"
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Nodes:
        self._stack.enter_context(token_of_our_own())
        self._folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="i2i-", ignore_cleanup_errors=True))
        # For this process and its drivers, too. Only the token guards the cluster: Ray refuses to bind to loopback
        # where there are several nodes.
        os.environ.update(QUIET | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"})
        try:
            port = self.address.split(":")[1]
            self._stack.callback(_end, self._start("--head", f"--port={port}", "--include-dashboard=false", cpus=0))
            self.fill()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: Any) -> None:
        for node in self._nodes:
            _end(node)
        self._stack.close()

    def fill(self) -> None:
        """Begin a node in place of each that was killed.

        Raises:
            ChaosError: none comes up.
        """
        self._nodes = [node for node in self._nodes if node.poll() is None]
        while len(self._nodes) < self._count:
            self._nodes.append(self._start(f"--address={self.address}", cpus=self._cpus))

    def kill_the_one_with(self, pid: int) -> bool:
        """Kill, without warning, the node that a worker belongs to, and all its processes."""
        group = _ancestors(pid)
        for node in self._nodes:
            if node.pid in group:
                _kill_group(node)
                return True
        return False

    def _start(self, *options: str, cpus: int) -> subprocess.Popen[bytes]:
        """Begin a head or a node, and wait until it is one: of two that begin at once, one often aborts."""
        with_us = (
            ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        )  # they end as we do, killed or not
        command = [*with_us, sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        command += [
            *options,
            "--node-ip-address=127.0.0.1",
            f"--temp-dir={self._folder}",
            f"--num-cpus={cpus}",
            "--num-gpus=0",
        ]
        command += ["--object-store-memory=80000000", "--min-worker-port=0", "--max-worker-port=0"]
        environment = {**os.environ, **IMPATIENT, "PYTHONUNBUFFERED": "1"}
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with tempfile.NamedTemporaryFile(dir=self._folder) as said:
                node = subprocess.Popen(
                    command, env=environment, stdout=said, stderr=subprocess.DEVNULL, start_new_session=True
                )
                while node.poll() is None and time.monotonic() < deadline:
                    if STARTED in Path(said.name).read_bytes():
                        return node
                    time.sleep(0.1)
            _kill_group(node)
        raise ChaosError(f"no Ray node came up within {START_SECONDS:.0f} s")


@dataclass
class Chaos:
    """One run of chaos in a folder of its own."""

    folder: Path
    trials: int = 8
    steps: int = 60
    seed: int = 0
    say: Callable[[str], None] = print
    kills: Counter[str] = field(default_factory=Counter)

    def run(self, minutes: float) -> None:
        """Disturb for so many minutes, then let the last driver end in peace.

        Raises:
            ChaosError: a trial is not done, was done twice, or has other scores than without disturbance.
        """
        calm, wild = self._file("calm"), self._file("wild")
        began = time.monotonic()
        self._driver(calm, "local").wait()
        self.say(f"undisturbed: {self.trials} trials in {time.monotonic() - began:.0f} s")
        rng = random.Random(self.seed)
        with Nodes(2) as nodes:
            deadline = time.monotonic() + 60 * minutes
            driver = self._driver(wild, "ray", nodes.address)
            try:
                while time.monotonic() < deadline and self._left(wild):
                    time.sleep(rng.uniform(1.0, 6.0))
                    driver = self._disturb(rng, nodes, driver, wild)
                    nodes.fill()
                self.say(
                    "disturbed: " + (", ".join(f"{n} x {what}" for what, n in sorted(self.kills.items())) or "not")
                )
                while self._left(wild):
                    nodes.fill()
                    if driver.poll() is not None:
                        driver = self._driver(wild, "ray", nodes.address)
                    time.sleep(0.5)
                    if time.monotonic() > deadline + 600:
                        raise ChaosError(f"{self._left(wild)} trials are still not done after ten minutes of peace")
                driver.wait(timeout=120)
            finally:
                _kill_group(driver)
        self._compare(calm, wild)

    def _disturb(
        self, rng: random.Random, nodes: Nodes, driver: subprocess.Popen[bytes], file: Path
    ) -> subprocess.Popen[bytes]:
        if driver.poll() is not None:
            return self._driver(file, "ray", nodes.address)
        pids = self._workers(file)
        if not pids:  # nothing is at work yet that could be disturbed
            return driver
        what, pid = rng.choice(KINDS), rng.choice(pids)
        if what == "worker":
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        elif what == "node":
            nodes.kill_the_one_with(pid)
        else:
            driver.send_signal(signal.SIGKILL if what == "driver" else signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                driver.wait(timeout=90)
            _kill_group(driver)
            driver = self._driver(file, "ray", nodes.address)
        self.kills[what] += 1
        return driver

    def _file(self, name: str) -> Path:
        file = self.folder / f"{name}.yaml"
        text = BENCHMARK.format(trials=self.trials, folder=self.folder, store=name, steps=self.steps)
        file.write_text(text, encoding="utf-8")
        return file

    def _driver(self, file: Path, *where: str) -> subprocess.Popen[bytes]:
        """A run without a report, in a process of its own."""
        command = [sys.executable, "-m", "i2ibench.chaos", str(file), *where]
        log = (self.folder / f"{file.stem}.log").open("ab")
        environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
        with log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)

    def _left(self, file: Path) -> int:
        return len(benchmark.unfinished(*benchmark.load(file)))

    def _workers(self, file: Path) -> list[int]:
        """The processes that hold a trial now."""
        plan, store = benchmark.load(file)
        held = (lease.holder(store.trial(spec.id).path) for spec in plan.trials)
        return [holder.content["pid"] for holder in held if holder is not None and "pid" in holder.content]

    def _compare(self, calm: Path, wild: Path) -> None:
        plan, store = benchmark.load(calm)
        other = Store(self.folder / "wild")
        for spec in plan.trials:
            times = (other.trial(spec.id).path / "log.txt").read_text(encoding="utf-8").count(" finished\n")
            if times != 1:
                raise ChaosError(f"{spec.id} was finished {times} times; its log says how: {self.folder}/wild")
            ours, theirs = (where.trial(spec.id).scores(spec.score_key(plan.key)) for where in (store, other))
            if ours is None or theirs is None or ours["values"] != theirs["values"]:
                raise ChaosError(
                    f"{spec.id}: the scores differ: {ours and ours['values']}, {theirs and theirs['values']}"
                )
        self.say(f"every one of {self.trials} trials was finished exactly once, and all scores are equal")


def drive(arguments: Sequence[str]) -> int:
    """What `python -m i2ibench.chaos FILE EXECUTOR [ADDRESS]` does: the trials of a run, and nothing around them.

    No check of the disk before them, no report after them, and a plain line for each job. Returns the exit code.
    """
    from i2ibench import executors, jobs, stopping

    file, executor, *address = arguments
    plan, store = benchmark.load(file)
    pending = benchmark.unfinished(plan, store)
    try:
        with stopping.Stop() as stop:
            runner = executors.make(executor, *address)
            for spec in pending:
                stopping.take_back(store.trial(spec.id).path)
            with stop.orderly():
                for job, outcome in runner.run(jobs.make(plan, store, pending), stop):
                    print(job.name, outcome.state, outcome.error, flush=True)
    except KeyboardInterrupt as why:
        return stopping.EXIT_CODES[getattr(why, "signal", signal.SIGINT)]
    return stopping.EXIT_CODES[stop.signal] if stop.signal is not None else 0


def _ancestors(pid: int) -> set[int]:
    found: set[int] = set()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


def _descendants(pid: int) -> list[int]:
    folders = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return [other for other in folders if other != pid and pid in _ancestors(other)]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that we started, and all that descend from it."""
    for pid in [process.pid, *_descendants(process.pid)] if process.poll() is None else []:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        _kill_group(process)


if __name__ == "__main__":
    sys.exit(drive(sys.argv[1:]))

"""The Ray executor against a real Ray: same numbers as in this process, crashes recorded, impossible requests refused."""

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from i2ibench import benchmark
from i2ibench.errors import ConfigError
from i2ibench.executors.ray import RayExecutor

Write = Callable[..., Path]
CRASHING = """
    from i2ibench.method import Method


    class Crash(Method):
        players = ()

        def translate(self, a, *, rng):
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
"""


def run(file: Path, executor: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "i2ibench", "run", str(file), "--executor", executor]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment)


def scores(file: Path) -> dict[str, dict]:
    plan, store = benchmark.load(file)
    return {spec.id: store.trial(spec.id).scores(plan.protocol.key()) for spec in plan.trials}


def test_ray_and_local_give_the_same_scores(benchmark_file: Write, tmp_path: Path) -> None:
    here = benchmark_file()
    done = run(here, "local")
    assert (done.returncode, done.stderr) == (0, "")
    there = here.with_name("there.yaml")
    there.write_text(here.read_text().replace("/runs", "/ray-runs").replace("/reports", "/ray-reports"))
    done = run(there, "ray")
    assert done.returncode == 0, done.stderr
    assert "tiny | glyphs | seed 0: done" in done.stdout
    assert done.stderr == "starting Ray\n"
    assert scores(there) == scores(here)
    done = run(there, "ray")
    assert (done.returncode, done.stderr) == (0, ""), "nothing is left to do, and no Ray is started"


def test_workers_import_the_package_that_runs_and_not_what_lies_in_the_current_folder(
    benchmark_file: Write, tmp_path: Path
) -> None:
    """As in a checkout of this repository, which holds an `i2ibench/`, where the package is installed elsewhere."""
    checkout = tmp_path / "checkout" / "i2ibench"
    checkout.mkdir(parents=True)
    (checkout / "__init__.py").write_text("raise ImportError('not the one that is installed')")
    command = tmp_path / "bin" / "i2ibench"
    command.parent.mkdir()
    command.write_text("from i2ibench.cli import main\nmain()")
    environment = {**os.environ, "PYTHONPATH": str(Path(benchmark.__file__).parents[1])}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, str(command), "run", str(benchmark_file())],
        capture_output=True, text=True, timeout=180, env=environment, cwd=checkout.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_killed_worker_is_a_failed_row_and_the_others_go_on(benchmark_file: Write, tmp_path: Path) -> None:
    import textwrap

    file = benchmark_file()
    (tmp_path / "crash.py").write_text(textwrap.dedent(CRASHING))
    file.write_text(file.read_text().replace("  copy:\n", "  copy:\n  crash: {method: crash.py}\n"))
    done = run(file, "ray")
    assert done.returncode == 1
    plan, store = benchmark.load(file)
    states = {spec.label: store.trial(spec.id).state(plan.protocol.key(), plan.metrics(spec)) for spec in plan.trials}
    assert states == {"copy": "done", "crash": "failed", "tiny": "done"}
    (crashed,) = [store.trial(spec.id) for spec in plan.trials if spec.label == "crash"]
    assert "worker process died" in crashed.error()["error"]


def test_a_request_that_no_node_can_meet_is_refused(benchmark_file: Write) -> None:
    file = benchmark_file()
    file.write_text(file.read_text() + "resources: {cpus: 4096}\n")
    done = run(file, "ray")
    assert done.returncode == 2
    assert "asks for 4096 CPUs" in done.stderr
    assert done.stderr.splitlines()[0] == "starting Ray"
    assert done.stderr.count("\n") == 2


def test_something_else_that_listens_is_told_from_a_cluster() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ConfigError, match="is no Ray cluster"):
            RayExecutor(f"127.0.0.1:{server.server_address[1]}")
        server.shutdown()


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nonsense"])
def test_an_address_where_nothing_listens_fails_at_once(address: str) -> None:
    with pytest.raises(ConfigError, match=r"no Ray cluster answers|not of the form"):
        RayExecutor(address)

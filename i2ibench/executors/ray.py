"""Fans the trials out over a Ray cluster. The only file that imports ray; it knows nothing of images or networks."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from i2ibench.errors import ConfigError
from i2ibench.job import Job
from i2ibench.store import Store

# Read by ray when it is imported and by every process that it starts.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU must not see one
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # a cluster of one machine listens on loopback only
    "RAY_DISABLE_IMPORT_WARNING": "1",
}
PROBE_SECONDS = 5.0
HEALTH_SECONDS = 30.0


class RayExecutor:
    """Runs jobs as Ray tasks, on an existing cluster (address, or RAY_ADDRESS) or on one of its own on this machine."""

    def __init__(self, address: str | None = None) -> None:
        """Raises ConfigError if an address is given and no cluster answers there."""
        for key, value in QUIET.items():
            os.environ.setdefault(key, value)
        self._address = address or os.environ.get("RAY_ADDRESS")
        if self._address:
            _probe(self._address)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, str]]:
        """Yield each job with its trial's state as it ends.

        Raises:
            ConfigError: no node of the cluster could ever run one of the jobs.
        """
        if self._address:
            yield from self._run(jobs)
        else:
            with _token_of_our_own():
                yield from self._run(jobs)

    def _run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, str]]:
        import ray

        # A bare ray.init() would join whatever cluster runs on this machine, another user's included.
        ray.init(
            address=self._address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            include_dashboard=False if not self._address else None,
        )
        try:
            requests = [
                _request(job.spec["resources"], has_gpus=ray.cluster_resources().get("GPU", 0) > 0) for job in jobs
            ]
            _require_feasible(jobs, requests, [node["Resources"] for node in ray.nodes() if node["Alive"]])
            work = ray.remote(_work)
            pending = {
                work.options(max_retries=0, **request).remote(job): job
                for job, request in zip(jobs, requests, strict=True)
            }
            while pending:
                ready, _ = ray.wait(list(pending), num_returns=1)
                for reference in ready:
                    job = pending.pop(reference)
                    try:
                        yield job, ray.get(reference)
                    except ray.exceptions.RayError as error:
                        _record_crash(job, error)
                        yield job, "failed"
        finally:
            ray.shutdown()


@contextmanager
def _token_of_our_own() -> Iterator[None]:
    """Only this user's processes may talk to the cluster about to start (Ray's own token is world-readable)."""
    with tempfile.NamedTemporaryFile("w", prefix="i2ibench-ray-") as file:  # mode 0600
        file.write(secrets.token_hex(32))
        file.flush()
        before = {key: os.environ.get(key) for key in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")}
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=file.name)
        try:
            yield
        finally:
            for key, value in before.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})


def _work(job: Job) -> str:
    """The body of a task, on a worker: what it prints goes to the trial's log."""
    from contextlib import redirect_stderr, redirect_stdout

    from i2ibench.trial import run_job

    folder = Store(job.store).trial(job.spec["id"]).path
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        return run_job(job)


def _request(resources: dict[str, Any], *, has_gpus: bool) -> dict[str, float]:
    return {"num_cpus": resources["cpus"], "num_gpus": resources["gpus"] if has_gpus else 0}


def _require_feasible(
    jobs: Sequence[Job], requests: Sequence[dict[str, float]], nodes: Sequence[dict[str, float]]
) -> None:
    """A task that asks for more than any node has would be pending for ever."""
    for job, request in zip(jobs, requests, strict=True):
        fits = (
            node.get("CPU", 0) >= request["num_cpus"] and node.get("GPU", 0) >= request["num_gpus"] for node in nodes
        )
        if not any(fits):
            largest = ", ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
            raise ConfigError(
                f"{job.spec['label']} on {job.spec['data']} asks for {request['num_cpus']:g} CPUs and "
                f"{request['num_gpus']:g} GPUs, and no node has them (there are: {largest}); lower `resources:`"
            )


def _record_crash(job: Job, error: Exception) -> None:
    """The worker died without a word (killed, out of memory): say so in the trial's own directory."""
    trial = Store(job.store).trial(job.spec["id"])
    line = str(error).strip().splitlines()[0] if str(error).strip() else ""
    trial.write_error("FAILED", f"the worker process died: {type(error).__name__}: {line}")


def _probe(address: str) -> None:
    """Ray waits for minutes on an address where no cluster listens; find out in seconds, by its own health check."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PROBE_SECONDS).close()
        command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", f"{host}:{port}"]
        answer = subprocess.run(command, capture_output=True, timeout=HEALTH_SECONDS).returncode
    except ValueError:
        raise ConfigError(f"Ray address '{address}' is not of the form host:port") from None
    except OSError as error:
        raise ConfigError(
            f"no Ray cluster answers at {address} ({error}); start one or leave the address out"
        ) from None
    except subprocess.TimeoutExpired:
        answer = 1
    if answer and not address.startswith("ray://"):  # Ray Client has no such check
        raise ConfigError(
            f"what listens at {address} is no Ray cluster that lets us in; check the address and RAY_AUTH_TOKEN_PATH"
        )

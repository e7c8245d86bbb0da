"""Ray clusters without importing ray: their settings, a token of our own, and whether one answers at an address."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from i2ibench.errors import ConfigError

# Read by ray when it is imported and by every process that it starts.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU must not see one
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # a cluster of one machine listens on loopback only
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}
PROBE_SECONDS = 5.0
HEALTH_SECONDS = 30.0


@contextmanager
def token_of_our_own() -> Iterator[None]:
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


def free_port() -> int:
    """A port of this machine that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def probe(address: str) -> None:
    """Ray waits for minutes on an address where no cluster listens; find out in seconds, by its own health check.

    Raises:
        ConfigError: the address is malformed, or no cluster answers there.
    """
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


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """Send what Ray's own processes write into file descriptor 1 (a raylet's last words) to nowhere, not to the user.

    They inherit it when they are started, so only the start is wrapped; Python's own sys.stdout flushes before.
    """
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    saved = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        yield
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
        os.close(null)

"""Where trials run: on a Ray cluster, or in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from i2ibench.errors import ConfigError
from i2ibench.job import Job, Outcome
from i2ibench.stopping import Stop

NAMES = ("ray", "local")


class Executor(Protocol):
    """Runs jobs where it likes, in the order of `schedule`, and yields each with its outcome as it ends.

    When the run is stopped it begins nothing more, and returns when what is at work has ended.
    """

    def run(self, jobs: Sequence[Job], stop: Stop) -> Iterator[tuple[Job, Outcome]]: ...


def require_known(name: str) -> None:
    """Raises ConfigError unless there is an executor of this name."""
    if name not in NAMES:
        raise ConfigError(f"unknown executor '{name}'; available: {', '.join(NAMES)}")


def make(name: str, ray_address: str | None = None, *, wait: bool = True) -> Executor:
    """The executor of a name. Each is imported only here, so that `local` never loads Ray.

    Without `wait`, a local one leaves when other drivers work on all that is left.

    Raises:
        ConfigError: no executor has this name, or no Ray cluster answers at the address.
    """
    require_known(name)
    if name == "local":
        from i2ibench.executors.local import LocalExecutor

        return LocalExecutor(wait=wait)
    if not wait:
        raise ConfigError("--no-wait goes with --executor local")
    from i2ibench.executors.ray import RayExecutor

    return RayExecutor(ray_address)

"""Where trials run: on a Ray cluster, or in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from i2ibench.errors import ConfigError
from i2ibench.job import Job

NAMES = ("ray", "local")


class Executor(Protocol):
    """Runs jobs, in whatever order and place, and yields each with its trial's state as it ends."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, str]]: ...


def require_known(name: str) -> None:
    """Raises ConfigError unless there is an executor of this name."""
    if name not in NAMES:
        raise ConfigError(f"unknown executor '{name}'; available: {', '.join(NAMES)}")


def make(name: str, ray_address: str | None = None) -> Executor:
    """The executor of a name. Each is imported only here, so that `local` never loads Ray.

    Raises:
        ConfigError: no executor has this name, or no Ray cluster answers at the address.
    """
    require_known(name)
    if name == "local":
        from i2ibench.executors.local import LocalExecutor

        return LocalExecutor()
    from i2ibench.executors.ray import RayExecutor

    return RayExecutor(ray_address)

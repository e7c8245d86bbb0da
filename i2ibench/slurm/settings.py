"""What a job asks Slurm for: from a site's file, the benchmark's key `slurm:` and the command line, the last first."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator, model_validator

from i2ibench.errors import ConfigError, absent
from i2ibench.settings import Settings

# One word that stands in an #SBATCH line as it is.
Word = Annotated[str, StringConstraints(pattern=r"^[\w.,:@%+=/&|*()\[\]-]*$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\n\r]*$")]
SITE_VARIABLE = "I2IBENCH_SLURM"


class Slurm(Settings):
    """A job, as `i2ibench submit` asks for it."""

    nodes: int = Field(1, gt=0, description="nodes of the job, with one Ray cluster over them")
    gpus_per_node: int = Field(1, ge=0, description="GPUs of each node; 0 asks for none")
    gpu_type: Word = Field("", description="which GPUs, as the cluster calls them, such as a100")
    cpus_per_node: int = Field(8, gt=0, description="CPU cores of each node")
    memory: Word = Field("", description="main memory of each node, such as 64G; default: what the cluster gives")
    time: str = Field("12:00:00", description="time limit; who needs longer is queued again, and goes on")
    notice: int | None = Field(
        None,
        gt=0,
        description="seconds before the limit at which trials write checkpoints; default: 120, or a quarter of it",
    )
    array: int = Field(
        0, ge=0, description="so many jobs of one node each, without Ray, that share the trials; 0: one job with Ray"
    )
    partition: Word = Field("", description="partition, or several with commas between; default: the cluster's")
    account: Word = Field("", description="account that pays; default: the user's")
    qos: Word = Field("", description="quality of service; default: the account's")
    constraint: Word = Field("", description="features that nodes must have")
    options: tuple[Line, ...] = Field((), description='more options of sbatch, such as ["--mail-type=END"]')
    setup: tuple[Line, ...] = Field(
        (), description="lines of shell that make i2ibench available on a node; default: the environment of `submit`"
    )
    wrapper: Line = Field(
        "", description="what everything is started with on the nodes, such as: apptainer exec --nv i2ibench.sif"
    )

    @field_validator("time", mode="before")
    @classmethod
    def _minutes(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("time")
    @classmethod
    def _a_time(cls, value: str) -> str:
        seconds(value)
        return value

    @field_validator("options")
    @classmethod
    def _options(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for option in value:
            if not option.startswith("-"):
                raise ValueError(f"an option of sbatch begins with a dash, and '{option}' does not")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Slurm:
        if {"nodes", "array"} <= self.model_fields_set and self.array and self.nodes > 1:
            raise ValueError("the jobs of an array have one node each: leave out `nodes`, or `array`")
        return self

    @property
    def notice_seconds(self) -> int:
        """How long before its time limit a job is told.

        Raises:
            ConfigError: that would be before it begins.
        """
        limit = seconds(self.time)
        if self.notice is None:
            return int(min(120, limit // 4))
        if self.notice >= limit:
            raise ConfigError(
                f"slurm: notice of {self.notice} s with a time limit of {self.time}: ask for less, or for more time"
            )
        return self.notice


def seconds(time: str) -> float:
    """What Slurm understands by a time limit: 90, 10:00, 12:00:00, 2-0, 2-12:00 or 2-12:00:00.

    Raises:
        ValueError: it would not understand it, or would take it for none at all.
    """
    if not re.fullmatch(r"(\d+-\d+(:\d+){0,2})|\d+(:\d+){0,2}", time):
        raise ValueError("should be a time such as 90 (minutes), 12:00:00 or 2-12:00:00 (days)")
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    total = int(days or 0) * 86400 + sum(n * unit for n, unit in zip(parts, units, strict=False))
    if not total:
        raise ValueError("a time limit of 0 means none at all to Slurm: name one")
    return float(total)


def site_file() -> Path | None:
    """The site's file: what I2IBENCH_SLURM names, else ~/.config/i2ibench/slurm.yaml if there is one.

    Raises:
        ConfigError: I2IBENCH_SLURM names a file that is not there.
    """
    named = os.environ.get(SITE_VARIABLE)
    file = Path(named or "~/.config/i2ibench/slurm.yaml").expanduser()
    if named and not file.is_file():
        raise ConfigError(f"{SITE_VARIABLE}: {absent(file)}")
    return file if file.is_file() else None

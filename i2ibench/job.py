"""What travels between the driver and a worker: a job, and how it ended; in plain types (torch-free)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["probe", "reference", "train", "score"]
State = Literal["done", "failed", "busy", "interrupted", "memory", "crashed", "hung"]


@dataclass(frozen=True)
class Job:
    """One piece of a trial's work. The store remembers what is done; a job that finds it done does nothing.

    probe: take the first steps of a training, to know what share of a GPU it needs (`gpus: auto`).
    reference: the features of a data set's real images, once for all trials that are scored against them.
    train: train and translate the test images.
    score: compute the scores that are missing, or all (`rescore`).
    """

    kind: Kind
    spec: dict[str, Any]  # TrialSpec.to_json(); of a reference, any spec of its data set
    store: str
    protocol: dict[str, Any]
    metrics: tuple[str, ...]
    resources: dict[str, Any]  # config.Resources
    curve_metrics: tuple[str, ...] = ()  # of `score`: what the networks on the way are scored by (`points`)
    rescore: bool = False  # score even if there are scores under this protocol
    after: tuple[str, ...] = ()  # names of the jobs that must have ended before this one begins
    seconds: float = 1.0  # how long it may take, to begin with the longest
    micro_batches: int = 1  # parts that each batch is cut into, so that it takes less memory
    failed: float | None = None  # the time of the trial's failure that was known when this was made

    @property
    def name(self) -> str:
        return f"{self.kind} {self.spec['data'] if self.kind == 'reference' else self.trial}"

    @property
    def shared(self) -> bool:
        """Whether it is done for several trials, and belongs to none of them."""
        return self.kind in ("probe", "reference")

    @property
    def trial(self) -> str:
        return str(self.spec["id"])


@dataclass(frozen=True)
class Outcome:
    """How a job ended, and why if not well.

    busy: another driver's worker holds the trial; ask again later. memory: it ran out of memory.
    crashed, hung: its process died, or was killed since it made no step. interrupted: it was asked to stop.
    """

    state: State
    error: str = ""
    recorded: bool = True  # the trial's own directory says so already
    gpus: float | None = None  # what a probe found
    diverged: bool = False  # failed, since a loss or a weight became NaN or infinite

"""What travels from the driver to a worker: a spec and how to score it, in plain types (torch-free)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """One trial to be finished."""

    spec: dict[str, Any]  # plan.to_json(TrialSpec)
    store: str
    protocol: dict[str, Any]
    metrics: tuple[str, ...]
    train: bool = True  # False: score what is trained already, never train
    rescore: bool = False  # score even if there are scores under this protocol

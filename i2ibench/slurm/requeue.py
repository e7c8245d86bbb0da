"""Whether a job that Slurm queues again and again gets any further: one that does not would go round for ever."""

from __future__ import annotations

import hashlib
from pathlib import Path

from i2ibench import benchmark, lease
from i2ibench.disk import read_json, write_json
from i2ibench.errors import TrialError
from i2ibench.plan import Plan
from i2ibench.store import Store

RUNS = 3  # of a job, one after the other and none of them any further, after which it ends


def require_progress(the_plan: Plan, store: Store, job: str, restarts: int) -> None:
    """Note how far the trials are as a job begins again, and let it end where its last runs moved none of them.

    Whoever moved them counts, and so does whoever is at work: jobs may share the trials. A job that ends says so in the
    trials that are left, but for those that failed for a reason of their own.

    Args:
        job: its id.
        restarts: how often Slurm has queued it again.

    Raises:
        TrialError: the job is to end.
        StoreError: the store cannot be written.
    """
    store.require_writable()
    if any(lease.holder(store.trial(spec.id).path) for spec in the_plan.trials):
        return
    note, reached = store.path / "_jobs" / f"{job}.json", _reached(the_plan, store)
    known = read_json(note, "delete it") or {}
    if known.get("reached") != reached:
        write_json(note, {"reached": reached, "restarts": restarts})
    elif restarts - known["restarts"] >= RUNS:
        why = (
            f"job {job} was begun again {RUNS} times and came no further (no trial finished, no checkpoint written); "
            "submit again with a longer --time, or a smaller training.checkpoint_every"
        )
        for spec in benchmark.unfinished(the_plan, store):
            trial = store.trial(spec.id)
            if trial.error() is None and (held := lease.acquire(trial.path)) is not None:
                with held:
                    trial.write_error("FAILED", why)
        note.unlink()  # who queues this job again by hand means it
        raise TrialError(why)


def _reached(the_plan: Plan, store: Store) -> str:
    """A hash of how far the trials are: a checkpoint, trained networks, translated images and scores each change it."""
    found: list[int | None] = []
    for spec in the_plan.trials:
        trial, home, scores = store.trial(spec.id), store.trial(spec.trained_as), f"{spec.score_key(the_plan.key)}.json"
        found.append(home.saved_step())
        for file in (home.path / "training.json", trial.path / "result.json"):
            found.append(_written(file))
        for folder in ("scores", "points"):
            found.append(_written(trial.path / folder / scores))
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _written(file: Path) -> int | None:
    return file.stat().st_mtime_ns if file.exists() else None

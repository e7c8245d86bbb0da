"""The local executor: when a run that does not wait may leave what is left to others."""

import json
import os
from pathlib import Path

from i2ibench.executors.local import Hearts
from i2ibench.job import Job


def job(store: Path, trial: str, trained_as: str | None = None) -> Job:
    spec = {"id": trial, "trained_as": trained_as or trial, "data": "d"}
    return Job("train", spec, str(store), {}, (), {"cpus": 1, "gpus": 0.0, "memory": None, "retries": 3})


def held_elsewhere(folder: Path) -> Path:
    """The lease of a process on another host."""
    folder.mkdir(parents=True)
    lease = folder / "lease-1.json"
    lease.write_text(json.dumps({"owner": "x", "host": "other", "machine": "other", "pid": 1, "started": "1"}))
    return lease


def beat(lease: Path) -> None:
    os.utime(lease, (lease.stat().st_atime, lease.stat().st_mtime + 1))


def test_a_holder_is_believed_once_its_heart_has_beaten(tmp_path: Path) -> None:
    jobs, hearts = [job(tmp_path, "a"), job(tmp_path, "b-back", trained_as="b")], Hearts()
    leases = [held_elsewhere(tmp_path / "a"), held_elsewhere(tmp_path / "b")]
    assert not hearts.beat(jobs), "nothing is known of them yet"
    assert not hearts.beat(jobs), "a host that crashed looks like this until its leases expire"
    beat(leases[0])
    assert not hearts.beat(jobs)
    beat(leases[1])
    assert hearts.beat(jobs)


def test_what_nobody_holds_is_not_left(tmp_path: Path) -> None:
    hearts = Hearts()
    assert not hearts.beat([])
    assert not hearts.beat([job(tmp_path, "a")])

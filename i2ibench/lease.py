"""Leases: who works on a trial holds one, so that however many drivers share a store, each trial is done once.

A lease is a file `lease-<n>.json` in the trial's folder. Its content says who holds it and never changes; its time of
modification is the heartbeat, moved on by a thread of the holder. It is made by exclusive creation, which is atomic on
network file systems too, and needs no lock service. A lease is free again when its file is gone, when its process is
known to be dead (same machine), or when its heart has not beaten for EXPIRY seconds; who takes over lease n creates
n + 1, and of several who try, one succeeds.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

BEAT = 5.0  # seconds between two heartbeats
EXPIRY = 60.0  # seconds without a heartbeat after which a holder is taken for dead: a file server may stall for long
SLURM_VARIABLES = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT")  # of a holder


@dataclass(frozen=True)
class Holder:
    """Who holds a lease."""

    file: Path
    number: int
    content: dict[str, Any]  # {} while the file is being written
    beat: float  # time of the last heartbeat, by the clock of the file system

    @property
    def host(self) -> str:
        return str(self.content.get("host", "?"))

    @property
    def restarts(self) -> str:
        """How often Slurm has queued its job again; "" where it has not."""
        return str(self.content.get("SLURM_RESTART_COUNT", ""))

    @property
    def job(self) -> str:
        """Its Slurm job; "" where it is none."""
        return slurm_job(self.content)

    @property
    def key(self) -> tuple[int, str | None]:
        """Tells this lease from any other, of the same number too."""
        return self.number, self.content.get("owner")

    def age(self) -> float:
        """Seconds since the last heartbeat."""
        return max(0.0, time.time() - self.beat)

    def alive(self, now: float) -> bool:
        """Whether the holder may still be at work, as far as can be known here."""
        if now - self.beat > EXPIRY:
            return False
        here = self.content.get("machine") == machine()
        return not here or _process(self.content["pid"]) == self.content["started"]


class Lease(AbstractContextManager["Lease"]):
    """A lease that is held; leaving the block gives it back."""

    def __init__(self, file: Path, owner: str, watch: Callable[[], None] | None) -> None:
        self._file, self._owner, self._watch = file, owner, watch
        self._over = threading.Event()
        self.lost = False  # somebody took it over, since this process was taken for dead: stop, and publish nothing
        self._thread = threading.Thread(target=self._beat, name=f"lease of {file.parent.name}", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            if not self.held():
                return
            with suppress(OSError):  # a file server that stalls: try again
                os.utime(self._file)
            if self._watch is not None:
                self._watch()

    def held(self) -> bool:
        """Look whether it is still this process's own: after a take-over its number may have been given again."""
        try:
            self.lost = self.lost or json.loads(self._file.read_bytes()).get("owner") != self._owner
        except (FileNotFoundError, ValueError):  # ValueError: another one's, which is being written
            self.lost = True
        except OSError:  # a file server that stalls says nothing
            pass
        return not self.lost

    def __exit__(self, *exception: Any) -> None:
        self._over.set()
        self._thread.join()
        if self.held():
            with suppress(OSError):  # it expires by itself
                self._file.unlink(missing_ok=True)


def acquire(folder: Path, watch: Callable[[], None] | None = None) -> Lease | None:
    """The lease of a trial's folder, or None while a living other holds it.

    Args:
        folder: is made if it is not there.
        watch: called after each heartbeat, from its thread.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = _leases(folder)
    if found and any(other.alive(_now(folder)) for other in found):
        return None
    file = folder / f"lease-{max((other.number for other in found), default=0) + 1}.json"
    identity = _identity()
    try:
        with file.open("x", encoding="utf-8") as out:
            json.dump(identity, out)
    except FileExistsError:
        return None
    except OSError:  # the disk is full
        file.unlink(missing_ok=True)
        raise
    # Somebody who listed the folder long before us may have come to another number: then both give way, and ask again.
    known = {other.key for other in found}
    others = [other for other in _leases(folder) if other.file != file]
    if any(other.key not in known for other in others):
        file.unlink(missing_ok=True)
        return None
    for other in others:
        other.file.unlink(missing_ok=True)
    return Lease(file, identity["owner"], watch)


def holder(folder: Path) -> Holder | None:
    """Who works on a trial now, if anyone does."""
    living = [found for found in _leases(folder) if found.alive(time.time())]
    return max(living, key=lambda found: found.number, default=None)


def newest_beat(folder: Path) -> float | None:
    """When the heart of the newest lease last beat, by the file system's clock, alive or not; None without a lease."""
    newest = max(_leases(folder), key=lambda found: found.number, default=None)
    return None if newest is None else newest.beat


def slurm_job(variables: Mapping[str, Any]) -> str:
    """The id of a Slurm job by its variables, as squeue shows it: 12, or 12_3 of an array; "" where there are none."""
    if array := variables.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{variables.get('SLURM_ARRAY_TASK_ID')}"
    return str(variables.get("SLURM_JOB_ID", ""))


@cache
def machine() -> str:
    """What process ids are unique in: one boot of one kernel, and within it one namespace of processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux: nothing can be known of other processes, and only time tells
        return secrets.token_hex(16)


def _identity() -> dict[str, Any]:
    slurm = {key: os.environ[key] for key in SLURM_VARIABLES if key in os.environ}
    return {
        "owner": secrets.token_hex(8),
        "host": socket.gethostname(),
        "machine": machine(),
        "pid": os.getpid(),
        "started": _process(os.getpid()),
        **slurm,
    }


def _process(pid: int) -> str | None:
    """When a process of this machine began, in ticks since the boot; None if it is dead or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _leases(folder: Path) -> list[Holder]:
    found = []
    for file in folder.glob("lease-*.json"):
        number = file.stem.removeprefix("lease-")
        try:
            with file.open(encoding="utf-8") as stream:  # opening it makes a network file system ask for its true time
                beat, text = os.fstat(stream.fileno()).st_mtime, stream.read()
        except OSError:
            continue  # given back meanwhile
        try:
            content = json.loads(text)
        except ValueError:
            content = {}
        if number.isdigit():
            found.append(Holder(file, int(number), content if isinstance(content, dict) else {}, beat))
    return found


def _now(folder: Path) -> float:
    """The clock that heartbeats are stamped by: the file server's, which may differ from ours by minutes."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as probe:
        probe.write(b"0")
        probe.flush()
        return os.fstat(probe.fileno()).st_mtime

"""Leases: one holder at a time, whoever asks; a dead one is known at once, a silent one after a while."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from i2ibench import lease


def age(folder: Path, seconds: float) -> Path:
    """Make the one lease of a folder look as if its heart had last beaten so long ago."""
    (file,) = folder.glob("lease-*.json")
    then = time.time() - seconds
    os.utime(file, (then, then))
    return file


def elsewhere(folder: Path) -> None:
    """Make the one lease of a folder another machine's, of whose processes nothing is known."""
    (file,) = folder.glob("lease-*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"machine": "another", "host": "far"}))


def test_one_holds_it_and_gives_it_back(tmp_path: Path) -> None:
    with lease.acquire(tmp_path) as held:
        assert held is not None
        assert lease.acquire(tmp_path) is None
        holder = lease.holder(tmp_path)
        assert holder.content["pid"] == os.getpid()
        assert holder.age() < 5
    assert lease.holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
    with lease.acquire(tmp_path) as held:
        assert held is not None


def test_a_killed_holder_is_known_at_once_on_this_machine(tmp_path: Path) -> None:
    code = f"import os, signal; from i2ibench import lease; from pathlib import Path; held = lease.acquire(Path({str(tmp_path)!r})); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == -9
    assert len(list(tmp_path.glob("lease-*.json"))) == 1
    assert lease.holder(tmp_path) is None
    with lease.acquire(tmp_path) as held:
        assert held is not None


def test_a_process_id_that_was_given_again_is_not_taken_for_the_holder(tmp_path: Path) -> None:
    held = lease.acquire(tmp_path)
    (file,) = tmp_path.glob("lease-*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"started": "1"}))  # our pid, an older process
    assert lease.holder(tmp_path) is None
    held.__exit__()


def test_a_silent_holder_elsewhere_expires_and_learns_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr(lease.Lease, "_beat", real := lease.Lease._beat)
    stalled = lease.Lease.__new__(lease.Lease)  # a holder whose heart does not beat: its machine is suspended
    with lease.acquire(tmp_path) as held:
        held._over.set()
        held._thread.join()
        elsewhere(tmp_path)
        age(tmp_path, lease.EXPIRY / 2)
        assert lease.acquire(tmp_path) is None, "it may only be slow"
        stalled._file, stalled._watch, stalled.lost = age(tmp_path, lease.EXPIRY + 1), None, False
        stalled._owner = held._owner
        assert lease.holder(tmp_path) is None
        other = lease.acquire(tmp_path)
        assert other is not None
        stalled._over = held._over
        stalled._over.clear()
        real(stalled)  # it wakes up
        assert stalled.lost
        assert lease.holder(tmp_path).key == max(lease._leases(tmp_path), key=lambda found: found.number).key
        other.__exit__()


def test_a_holder_that_wakes_up_leaves_a_lease_of_its_number_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT", 1e6)
    sleeper = lease.acquire(tmp_path)
    assert sleeper is not None
    elsewhere(tmp_path)
    age(tmp_path, lease.EXPIRY + 1)
    second = lease.acquire(tmp_path)  # takes it over, and gives it back
    assert second is not None
    second.__exit__()
    third = lease.acquire(tmp_path)
    assert third is not None
    assert third._file == sleeper._file, "its number is free, and given again"
    assert third.held()
    assert not sleeper.held()
    assert sleeper.lost
    sleeper.__exit__()
    assert third._file.exists()
    assert lease.acquire(tmp_path) is None, "the third still works"
    third.__exit__()
    assert list(tmp_path.iterdir()) == []


def test_the_heart_beats_and_calls_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.02)
    calls = []
    with lease.acquire(tmp_path, lambda: calls.append(1)):
        age(tmp_path, 30)
        deadline = time.monotonic() + 30
        while len(calls) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lease.holder(tmp_path).age() < 10
    assert len(calls) >= 2


def _contend(folder: Path, rounds: int, seed: int, results: multiprocessing.Queue) -> None:
    """Take the lease again and again; while it is held nobody else may be inside. Sometimes leave a dead one behind."""
    import random

    rng = random.Random(seed)
    inside, collisions, got = folder.parent / "inside", 0, 0
    while got < rounds:
        held = lease.acquire(folder)
        if held is None:
            time.sleep(rng.random() * 0.002)
            continue
        got += 1
        try:
            inside.open("x").close()
        except FileExistsError:
            collisions += 1
        time.sleep(rng.random() * 0.002)
        inside.unlink(missing_ok=True)
        if rng.random() < 0.5:
            held.__exit__()
        else:  # as if this process had been killed: the next one has to take it over
            held._over.set()
            held._thread.join()
            with held._file.open("r+") as file:
                content = json.load(file) | {"started": "0"}
                file.seek(0)
                file.truncate()
                json.dump(content, file)
    results.put(collisions)


def test_of_many_who_try_at_once_one_is_inside(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    folder = tmp_path / "trial"
    crowd = [context.Process(target=_contend, args=(folder, 25, seed, results)) for seed in range(4)]
    for process in crowd:
        process.start()
    try:
        assert [results.get(timeout=60) for _ in crowd] == [0] * len(crowd)
    finally:
        for process in crowd:
            process.kill()
            process.join()

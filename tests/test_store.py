"""The store: atomic files, and states that say what is true."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from i2ibench import lease, store
from i2ibench.disk import atomic_write, read_json, require_writable
from i2ibench.errors import StoreError
from i2ibench.store import Store


@pytest.fixture
def trial(tmp_path: Path):
    return Store(tmp_path).trial("t-1")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_text("old")
    with pytest.raises(TypeError), atomic_write(file) as out:
        out.write(b"bytes into text")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file], "nothing is left aside"


def test_states_of_a_trial_follow_its_files(trial) -> None:
    key = "p"
    assert trial.state(key) == "waiting"
    with lease.acquire(trial.path):
        assert trial.state(key) == "running"
        (trial.path / "checkpoints").mkdir()
        (trial.path / "checkpoints" / "000000001-aa.pt").touch()
        assert trial.state(key) == "running"
    assert trial.state(key) == "interrupted", "nobody works on it any more"
    trial.write_error("FAILED", "boom")
    assert trial.state(key) == "failed"
    trial.clear_error()
    trial.write_training({"cost": {}})
    assert not (trial.path / "checkpoints").exists(), "checkpoints of a finished training are only ballast"
    assert trial.state(key) == "interrupted", "trained, but not translated"
    trial.write_result({"id": trial.id})
    assert trial.state(key) == "trained"
    trial.write_scores(key, {"values": {"ssim": 1.0}, "protocol": {}}, {"ssim": np.ones(3)})
    assert trial.state(key, ["ssim"]) == "done"
    assert trial.state(key, ["ssim", "fid"]) == "trained", "a metric is missing"
    assert trial.state("other") == "trained"
    assert trial.per_image(key)["ssim"].tolist() == [1, 1, 1]


def test_outputs_and_curves_come_back_as_they_were(trial) -> None:
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    trial.write_outputs(images)
    trial.write_curves([{"step": 1, "g.l1": 0.5}, {"step": 2, "g.l1": 0.25}])
    assert np.array_equal(trial.outputs(), images)
    assert trial.curves()[1] == {"step": 2, "g.l1": 0.25}
    trial.append_curves({"step": 3})
    with (trial.path / "curves.jsonl").open("a") as file:
        file.write('{"step": 4, "g.')  # being written, or cut off by a crash
    assert [point["step"] for point in trial.curves()] == [1, 2, 3]


def test_nan_never_reaches_a_json_file(trial) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        trial.write_result({"fid": float("nan")})
    assert trial.result() is None


def test_damaged_json_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"id": ')
    with pytest.raises(StoreError, match=r"result\.json: damaged"):
        read_json(tmp_path / "result.json")


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("outputs.npy", b"\x93NUMPY\x01", lambda t: t.outputs()),
        ("curves.jsonl", b'{"step": 1}\n{"st\n', lambda t: t.curves()),
        ("scores/p.json", b"{}", lambda t: t.scores("p")),
        ("scores/p.npz", b"PK", lambda t: t.per_image("p")),
        ("result.json", b"\xff", lambda t: t.result()),
    ],
)
def test_damaged_files_are_one_line_that_names_them(trial, name: str, content: bytes, read) -> None:
    (trial.path / "scores").mkdir(parents=True)
    (trial.path / name).write_bytes(content)
    with pytest.raises(StoreError, match=rf"{name}: damaged") as caught:
        read(trial)
    assert "\n" not in str(caught.value)


def test_an_error_outlives_older_scores(trial) -> None:
    """Scoring again that fails must not look done."""
    trial.write_result({"id": trial.id})
    trial.write_scores("p", {"values": {"ssim": 1.0}, "protocol": {}}, {})
    trial.write_error("FAILED", "boom")
    assert trial.state("p", ["ssim"]) == "failed"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written") as caught:
        require_writable(tmp_path / "file" / "runs", "store")
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="cannot be written"):
        require_writable(Path("/proc/runs"), "store")


def test_a_disk_that_is_too_full_is_refused_beforehand(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"needs about \d+ MB and the disk has \d+ MB left"):
        require_writable(tmp_path, "store", needed_bytes=1 << 60)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real error of a full disk (ENOSPC, from /dev/full), in the middle of a write."""
    file = tmp_path / "x.txt"
    real = os.fdopen
    monkeypatch.setattr(
        os, "fdopen", lambda handle, *a, **k: (os.close(handle), real(os.open("/dev/full", os.O_WRONLY), *a, **k))[1]
    )
    with pytest.raises(OSError, match="No space left") as caught, atomic_write(file) as out:
        out.write("x" * 100_000)
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(trial) -> None:
    (trial.path / "scores").mkdir(parents=True)
    for name in (".outputs.npy-killed", "scores/.key.npz-killed", ".clock-other", "outputs.npy"):
        (trial.path / name).touch()
    (trial.path / "checkpoints").mkdir()
    trial.tidy()
    assert (trial.path / "checkpoints").exists(), "it is still being trained"
    trial.write_training({})
    (trial.path / "checkpoints").mkdir()  # as if killed before they were removed
    trial.tidy()
    assert {path.name for path in trial.path.iterdir()} == {".clock-other", "outputs.npy", "scores", "training.json"}
    assert not list((trial.path / "scores").iterdir())


def test_a_scoring_that_is_killed_half_way_leaves_no_older_means_beside_its_values(
    trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"values": {"ssim": 0.5}, "protocol": {}}
    trial.write_scores("key", scores, {"ssim": np.array([0.4, 0.6])})
    assert trial.scores("key") == scores

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        trial.write_scores("key", scores, {"ssim": np.array([0.8, 1.0])})
    assert trial.scores("key") is None

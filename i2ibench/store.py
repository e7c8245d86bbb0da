"""One directory per trial: atomic, resumable, never half-written. The store is the only truth about what was done.

<store>/_data/, _features/, _jobs/   decoded images, features of real ones, and what Slurm's jobs note (`slurm.requeue`)
<store>/<trial id>/
    lease-<n>.json        who works on it now (`lease`); its time of modification is the heartbeat
    stop                  asks whoever works on it to leave (`stopping`)
    spec.json             what the trial is
    method.py             the source of its method as it was, where that is one file of the user's
    progress.json         what it is doing (state, step, rate, time left), rewritten as it runs
    log.txt               what it printed, tracebacks included
    checkpoints/          the last two, while it trains
    weights.pt            the trained networks
    snapshots/<step>.pt   the networks on the way there, if asked for (`training.score_every`)
    training.json         what training them cost, written when they are whole
    tensorboard/          losses and images for TensorBoard, and mlflow/ and wandb/ likewise, if asked for (`loggers`)
    outputs.npy           the translated test images, uint8 (N, H, W, 3); of several sizes, end to end, and
    outputs-shapes.npy    the height and width of each, (N, 2)
    styles.npy            several translations of some of them, (M, n, H, W, 3), and
    cycled.npy            the outputs translated back: made by scoring, where a metric asks for them
    curves.jsonl          losses against steps and seconds, a line at a time while it trains
    result.json           written last: it is there, or the trial is not trained
    scores/<key>.json     one per evaluation protocol, with per-image values in <key>.npz
    points/<key>.json     likewise, the scores of the snapshots by step
    error.json            why the last attempt failed
"""

from __future__ import annotations

import glob
import itertools
import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from i2ibench import lease
from i2ibench.data.ragged import Ragged
from i2ibench.disk import atomic_write, read_json, reading, require_writable, write_json
from i2ibench.errors import Interrupted, StoreError
from i2ibench.lazy import np

TAKEN_OVER = "another process has taken the trial over, as this one gave no sign of life for so long"


class Trial:
    """Reads and writes one trial's directory. Creating the object touches no disk.

    held: whether this process still holds the trial's lease. Where it does not, whatever would be published (`write_*`
        but `write_spec` and `write_progress`) raises Interrupted: the directory is another's.
    """

    def __init__(self, path: Path, held: Callable[[], bool] = lambda: True) -> None:
        self.path, self._held = path, held
        self.id = path.name

    def require_held(self) -> None:
        if not self._held():
            raise Interrupted(TAKEN_OVER)

    def spec(self) -> dict[str, Any] | None:
        return read_json(self.path / "spec.json")

    def result(self) -> dict[str, Any] | None:
        return read_json(self.path / "result.json")

    def scores(self, key: str) -> dict[str, Any] | None:
        """What it was scored under a protocol (`TrialSpec.score_key`): {"values", "protocol", ...}; None if it was not.

        Raises:
            StoreError: the file is damaged.
        """
        scores = read_json(self.path / "scores" / f"{key}.json")
        if scores is not None and not {"values", "protocol"} <= set(scores):
            raise StoreError(f"{self.path / 'scores' / key}.json: damaged; delete it to have it made again")
        return scores

    def error(self) -> dict[str, Any] | None:
        return read_json(self.path / "error.json")

    def progress(self) -> dict[str, Any] | None:
        return read_json(self.path / "progress.json")

    def curves(self) -> list[dict[str, Any]]:
        """The learning curves so far. A last line without an end is being written, or was when a process died."""
        file = self.path / "curves.jsonl"
        with reading(file):
            lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def saved_step(self) -> int | None:
        """The step of its newest checkpoint, while it is being trained; None if there is none."""
        steps = [file.name.split("-")[0] for file in self.path.glob("checkpoints/[0-9]*-*.pt")]
        return max(map(int, steps), default=None)

    def snapshot(self, step: int) -> Path:
        return self.path / "snapshots" / f"{step}.pt"

    def snapshots(self) -> dict[int, Path]:
        """The networks kept on the way, by step."""
        files = self.path.glob("snapshots/[0-9]*.pt")
        return dict(sorted((int(file.stem), file) for file in files if file.stem.isdecimal()))

    def points(self, key: str) -> dict[int, dict[str, Any]]:
        """The scores of the snapshots by step, as `scores` gives them, with the "seconds" of training up to there."""
        content = read_json(self.path / "points" / f"{key}.json") or {}
        return {step: content[str(step)] for step in sorted(map(int, content))}

    def outputs(self) -> np.ndarray | Ragged | None:
        """Translated test images, uint8 (N, H, W, 3), memory-mapped; None before they exist."""
        return self.images("outputs.npy")

    def images(self, name: str) -> np.ndarray | Ragged | None:
        """A file of images (see above), memory-mapped; None before it exists."""
        file = self.path / name
        with reading(file):
            if not file.exists():
                return None
            images = np.load(file, mmap_mode="r", allow_pickle=False)
            return images if images.ndim > 1 else Ragged(images, np.load(_shapes(file), allow_pickle=False))

    def per_image(self, key: str) -> dict[str, np.ndarray]:
        """Per-image values by metric name, in the order of the test images."""
        file = self.path / "scores" / f"{key}.npz"
        if not file.exists():
            return {}
        with reading(file), np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)

    def state(self, key: str, metrics: list[str] | tuple[str, ...] = ()) -> str:
        """`done`, `trained` (not all scored under protocol `key`), `failed`, `running`, `interrupted` or `waiting`."""
        if self.error() is not None:  # a new attempt removes it
            return "failed"
        if self.result() is not None:
            scores = self.scores(key)
            if scores is not None and set(metrics) <= set(scores["values"]):
                return "done"
            state = "trained"
        else:
            begun = any(self.path.glob("checkpoints/*.pt")) or (self.path / "training.json").exists()
            state = "interrupted" if begun else "waiting"
        return "running" if lease.holder(self.path) is not None else state

    def write_spec(self, spec: Mapping[str, Any]) -> None:
        write_json(self.path / "spec.json", spec)

    @property
    def method(self) -> Path:
        return self.path / "method.py"

    def keep_method(self, source: Path) -> None:
        with atomic_write(self.method, "wb") as file:
            file.write(source.read_bytes())

    def write_progress(self, state: str, **fields: Any) -> None:
        write_json(self.path / "progress.json", {"state": state, "updated": time.time(), **fields})

    def write_curves(self, curves: list[dict[str, Any]]) -> None:
        self.require_held()
        with atomic_write(self.path / "curves.jsonl") as file:
            file.writelines(json.dumps(row) + "\n" for row in curves)

    def append_curves(self, point: Mapping[str, Any]) -> None:
        """Add one point while the training runs: not synced, as a checkpoint holds it before it could be missed."""
        with (self.path / "curves.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")

    def training(self) -> dict[str, Any] | None:
        return read_json(self.path / "training.json")

    def write_training(self, training: Mapping[str, Any]) -> None:
        """Declare the networks trained; their weights and curves must be on disk by now."""
        self.require_held()
        write_json(self.path / "training.json", training)
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)

    def write_outputs(self, images: np.ndarray | Ragged) -> None:
        self.require_held()
        file = self.path / "outputs.npy"
        # The shapes first: where there are pixels, they can be read.
        parts = {_shapes(file): images.shapes, file: images.pixels} if isinstance(images, Ragged) else {file: images}
        for path, array in parts.items():
            with atomic_write(path, "wb") as stream:
                np.save(stream, array, allow_pickle=False)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Declare the trial trained. Everything else must be on disk by now."""
        self.require_held()
        write_json(self.path / "result.json", result)

    def write_scores(self, key: str, scores: Mapping[str, Any], per_image: Mapping[str, np.ndarray]) -> None:
        self.require_held()
        whole = self.path / "scores" / f"{key}.json"
        with atomic_write(self.path / "scores" / f"{key}.npz", "wb") as file:
            # No `allow_pickle=`: NumPy before 2.1 would store it as one more array.
            arrays: dict[str, Any] = {name: np.asarray(values) for name, values in per_image.items()}
            np.savez_compressed(file, **arrays)
            whole.unlink(missing_ok=True)  # older means never stand beside values of other images
        write_json(whole, scores)

    def write_points(self, key: str, points: Mapping[int, Mapping[str, Any]]) -> None:
        self.require_held()
        write_json(self.path / "points" / f"{key}.json", {str(step): point for step, point in points.items()})

    def write_error(self, kind: str, message: str) -> None:
        self.require_held()
        content = {"kind": kind, "error": message, "log": str(self.path / "log.txt"), "time": time.time()}
        write_json(self.path / "error.json", content)

    def tidy(self) -> None:
        """Remove what a process left that was killed as it wrote. The caller holds the trial's lease."""
        for aside in itertools.chain(*(self.path.glob(f"{folder}.*-*") for folder in ("", "scores/", "points/"))):
            if not aside.name.startswith(".clock-"):  # those who ask for the lease look at the time so
                aside.unlink(missing_ok=True)
        if self.training() is not None:
            shutil.rmtree(self.path / "checkpoints", ignore_errors=True)

    def clear_error(self) -> None:
        (self.path / "error.json").unlink(missing_ok=True)


def _shapes(file: Path) -> Path:
    return file.with_name(f"{file.stem}-shapes.npy")


class Store:
    """The folder of all trials, and of what they share: decoded data and reference features.

    held: see `Trial`.
    """

    def __init__(self, path: Path | str, held: Callable[[], bool] = lambda: True) -> None:
        self.path, self._held = Path(path).expanduser().absolute(), held

    def trial(self, trial_id: str) -> Trial:
        return Trial(self.path / trial_id, self._held)

    @property
    def data_cache(self) -> Path:
        return self.path / "_data"

    @property
    def feature_cache(self) -> Path:
        return self.path / "_features"

    def named(self, name: str, having: str = "spec.json") -> list[Trial]:
        """Trials that have a file, whose id is a name or begins with it; if there are none, those whose label it is."""
        plain = name and Path(name).name == name  # no path: an absolute one cannot be sought below the store
        found = sorted(file.parent for file in self.path.glob(f"{glob.escape(name)}*/{having}")) if plain else []
        exact = [folder for folder in found if folder.name == name]
        if found:
            return [Trial(folder) for folder in exact or found]
        every = [Trial(file.parent) for file in sorted(self.path.glob(f"*/{having}"))]
        return [trial for trial in every if (trial.spec() or {}).get("label") == name]

    def require_writable(self, needed_bytes: int = 0) -> None:
        """Raise StoreError, before anything runs, if the store cannot be written or its disk is too full."""
        require_writable(self.path, "store", needed_bytes)

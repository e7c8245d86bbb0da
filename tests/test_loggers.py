"""Trackers: what they hold is read back by their own libraries, also of a training that was killed and went on."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from i2ibench import benchmark, build, config, loggers, plan, trial
from i2ibench.cli import app
from i2ibench.data.ragged import Ragged
from i2ibench.errors import ConfigError, I2IBenchError, Interrupted
from i2ibench.loggers import Run, grid, opened
from i2ibench.spec import TrialSpec
from i2ibench.store import Store

Write = Callable[..., Path]
LOG = logging.getLogger("test")
TEXT = """
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data: {{glyphs: {{size: 16}}}}
    methods: {{tiny: {{method: tiny.py}}}}
    training: {{steps: 11, batch_size: 4, log_every: 2, checkpoint_every: 3}}
    evaluation: {{metrics: [psnr]}}
    logging: LOGGING
"""
HISTORY = {"loss": {1: 0.5, 4: 0.25}, "learning_rate/player": {1: 1e-3, 4: 5e-4}}


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("WANDB_", "MLFLOW_")) and name != "WANDB_SERVICE":
            monkeypatch.delenv(name)


@pytest.fixture(params=["tensorboard", "mlflow", "wandb"])
def tracker(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    pytest.importorskip(request.param)
    yield str(request.param)
    assert [record.getMessage() for record in caplog.records if "is left out" in record.message] == []


def read(name: str, folder: Path) -> tuple[dict[str, dict[int, float]], list[tuple[int, int]]]:
    """Scalars, name -> step -> value, and (step, width) of each image: by the tracker's own reader.

    A step that is there twice fails here.
    """
    return {"tensorboard": read_tensorboard, "mlflow": read_mlflow, "wandb": read_wandb}[name](folder)


def once(points: Iterator[tuple[int, float]]) -> dict[int, float]:
    listed = list(points)
    assert len(dict(listed)) == len(listed), listed
    return dict(listed)


def read_tensorboard(folder: Path) -> Any:
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()
    scalars = {tag: once((e.step, e.value) for e in events.Scalars(tag)) for tag in events.Tags()["scalars"]}
    return scalars, [(e.step, e.width) for tag in events.Tags()["images"] for e in events.Images(tag)]


def read_mlflow(folder: Path) -> Any:
    from mlflow import MlflowClient
    from PIL import Image

    client = MlflowClient(tracking_uri=(folder / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("i2ibench")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    scalars = {
        name: once((m.step, m.value) for m in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }
    files = [client.download_artifacts(run.info.run_id, file.path) for file in client.list_artifacts(run.info.run_id)]
    return scalars, [(None, Image.open(file).width) for file in files]


def leveldb_log(data: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: LevelDB's log format (doc/log_format.md there) after seven bytes of its own."""
    assert data[:4] == b":W&B"
    at, record = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no header is cut in two: the rest of a block is filled up
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


def read_wandb(folder: Path) -> Any:
    from wandb.proto import wandb_internal_pb2

    points: dict[str, list[tuple[int, float]]] = {}
    images: list[tuple[int, int]] = []
    for file in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        for content in leveldb_log(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            row = {tuple(item.nested_key) or (item.key,): json.loads(item.value_json) for item in record.history.item}
            for (name, *of_image), value in row.items():
                if of_image == ["width"]:
                    images.append((row["_step",], value))
                elif not of_image and not name.startswith("_"):
                    points.setdefault(name, []).append((row["_step",], value))
    return {name: once(iter(listed)) for name, listed in points.items()}, images


def tell(logger: loggers.Logger, *steps: int) -> None:
    for step in steps:
        logger.scalars(step, {name: values[step] for name, values in HISTORY.items()})


def approximately(history: dict[str, dict[int, float]]) -> dict[str, Any]:
    return {name: pytest.approx(values, rel=1e-6) for name, values in history.items()}  # TensorBoard has float32


def test_what_a_tracker_is_told_its_own_library_reads(tmp_path: Path, tracker: str) -> None:
    random_state, torch_state = random.getstate(), torch.get_rng_state()
    with opened([tracker], Run("t-1", tmp_path, {"label": "x", "params": {"a": [1]}}, anew=True), LOG) as logger:
        tell(logger, 1, 4)
        logger.images(4, "input-output", np.zeros((8, 24, 3), np.uint8))
    scalars, images = read(tracker, tmp_path)
    assert scalars == approximately(HISTORY)
    assert images in ([(4, 24)], [(None, 24)])
    assert random.getstate() == random_state, "a tracker must not move what a training draws from"
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_a_new_attempt_begins_anew_and_an_afterthought_adds(tmp_path: Path, tracker: str) -> None:
    with opened([tracker], Run("t-1", tmp_path, {}, anew=True), LOG) as logger:
        logger.scalars(1, {"loss": 99.0})
        logger.scalars(7, {"lost": 99.0})
    with opened([tracker], Run("t-1", tmp_path, {}, anew=True), LOG) as logger:
        tell(logger, 1, 4)
    for width in (6, 9):
        with opened([tracker], Run("t-1", tmp_path, {}, anew=False), LOG) as logger:
            logger.images(4, "grid", np.zeros((3, width, 3), np.uint8))
    scalars, images = read(tracker, tmp_path)
    assert scalars == approximately(HISTORY)
    assert images[-1][1] == 9
    assert len(images) == (2 if tracker == "wandb" else 1)  # W&B keeps every version of a picture


def planned(write: Write, names: str) -> tuple[TrialSpec, Store]:
    the_plan = plan.make(config.load(write(TEXT.replace("LOGGING", names))))
    return the_plan.trials[0], Store(the_plan.store)


@pytest.mark.parametrize("stop", [1, 4, 5, 10])
def test_a_resumed_trial_has_each_point_of_its_curves_once(benchmark_file: Write, tracker: str, stop: int) -> None:
    """Stopped after step `stop`, killed a few steps later without a checkpoint, and gone on with."""
    spec, store = planned(benchmark_file, tracker)
    mine = store.trial(spec.id)
    asked = iter(range(100))
    with pytest.raises(Interrupted):
        trial.train_and_translate(spec, store, LOG, should_stop=lambda: next(asked) == stop)
    method = build.make_method(spec, store, torch.device("cpu"))
    with opened(spec.logging, Run(spec.id, mine.path, {}, anew=True), LOG) as logger:
        killed = build.make_loop(spec, store, method, torch.device("cpu"), LOG, logger=logger)
        killed.checkpoints.save = lambda step, state: None  # type: ignore[method-assign]
        killed.run()
    trial.train_and_translate(spec, store, LOG)
    curves = mine.curves()
    assert [row["step"] for row in curves] == [2, 4, 6, 8, 10, 11]
    scalars, images = read(tracker, mine.path)
    expected = {"generator.l1": {row["step"]: row["generator.l1"] for row in curves}}
    rates = scalars.pop("learning_rate/generator")
    assert scalars == approximately(expected)
    # Zhu et al. 2017: flat, then linear to zero. The rate of a point is that of the step that led to it.
    assert rates == pytest.approx({row["step"]: 0.01 * min(1, 2 * (1 - (row["step"] - 1) / 11)) for row in curves})
    assert images in ([(11, 48)], [(None, 48)]), "input, output and target side by side"


def test_a_trial_is_translated_with_networks_that_are_there(benchmark_file: Write) -> None:
    spec, store = planned(benchmark_file, "tensorboard")
    trial.train_and_translate(spec, store, LOG)
    before = read_tensorboard(store.trial(spec.id).path)
    (store.trial(spec.id).path / "result.json").unlink()
    trial.train_and_translate(spec, store, LOG)
    scalars, images = read_tensorboard(store.trial(spec.id).path)
    assert scalars == before[0], "the curves of the training stay"
    assert set(images) == set(before[1]) == {(11, 48)}


def test_logging_is_bookkeeping(benchmark_file: Write) -> None:
    specs = {names: planned(benchmark_file, names)[0] for names in ("[]", "tensorboard", "[mlflow, wandb, mlflow]")}
    assert [spec.logging for spec in specs.values()] == [(), ("tensorboard",), ("mlflow", "wandb")]
    assert len({spec.id for spec in specs.values()}) == 1
    spec = specs["[mlflow, wandb, mlflow]"]
    travelled = TrialSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert list(travelled.logging) == ["mlflow", "wandb"]


def test_an_unknown_tracker_is_one_line_with_its_place(benchmark_file: Write) -> None:
    with pytest.raises(
        ConfigError, match=r"benchmark\.yaml:9: logging: unknown value 'tensorbord'; did you mean 'tensorboard'"
    ):
        planned(benchmark_file, "tensorbord")


def test_a_missing_package_is_one_line_before_anything_runs(
    benchmark_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = benchmark_file(TEXT.replace("LOGGING", "wandb"))
    Path("wandb").mkdir()  # such as W&B leaves wherever it ran: no package
    monkeypatch.syspath_prepend(".")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not (Path(p) / "wandb" / "__init__.py").exists()])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    importlib.invalidate_caches()
    result = CliRunner().invoke(app, ["run", str(file), "--executor", "local"])
    assert isinstance(result.exception, I2IBenchError)
    assert (
        str(result.exception) == "logging: wandb is not installed here: pip install 'i2ibench[wandb]', or leave it out"
    )
    assert not Path("runs").exists()


def test_a_whole_run_leaves_event_files_and_scores_that_know_nothing_of_them(benchmark_file: Write) -> None:
    summary = benchmark.run(benchmark_file(TEXT.replace("LOGGING", "tensorboard")), executor="local")
    assert set(summary.states.values()) == {"done"}
    (folder,) = Path("runs").glob("tiny-*")
    scalars, images = read_tensorboard(folder)
    assert set(scalars) == {"generator.l1", "learning_rate/generator"}
    assert images == [(11, 48)]


def test_a_tracker_that_fails_is_left_out_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tensorboard").touch()  # a file where its folder would be
    (tmp_path / "other").mkdir()
    run = Run("t-1", tmp_path, {}, anew=True)
    with caplog.at_level(logging.WARNING), opened(["tensorboard"], run, LOG) as logger:
        tell(logger, 1, 4)
    assert len(caplog.records) == 1
    assert "logging to tensorboard failed and is left out: " in caplog.text


def test_no_tracker_is_imported_unless_asked_for() -> None:
    code = (
        "import sys; from i2ibench import loggers, trial; loggers.require(['tensorboard']);"
        "sys.exit(bool({'tensorboard', 'mlflow', 'wandb'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_grid_has_a_row_for_each_image() -> None:
    a, b = (np.arange(n)[:, None, None, None] * np.ones((n, 2, 3, 3)) for n in (9, 6))
    picture = grid(a.astype(np.uint8), 100 + b.astype(np.uint8))
    assert picture.shape == (2 * loggers.SHOWN, 2 * 3, 3)
    assert [tuple(row[[0, -1], 0]) for row in picture[::2]] == [(i, 100 + i) for i in range(loggers.SHOWN)]


def test_smaller_images_lie_on_white() -> None:
    small, large = np.zeros((2, 3, 3), np.uint8), np.full((4, 5, 3), 7, np.uint8)
    picture = grid(Ragged.of([small, large]), Ragged.of([large, small]))
    assert picture.shape == (8, 10, 3)
    assert (picture[:2, :3] == 0).all()
    assert (picture[2:4, :5] == 255).all()
    assert (picture[:4, 5:] == 7).all()

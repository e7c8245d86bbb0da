"""Where a trial's losses and images go besides its directory: TensorBoard, MLflow or W&B behind one small interface.

The trial's own files stay the truth: a training that goes on from a checkpoint has its trackers begin anew and tells
them all that the checkpoint knows, so that no step is missing or there twice. Nothing here needs an account or a
network, unless the user's own settings (MLFLOW_TRACKING_URI, WANDB_MODE) ask for it. Imported only when asked for.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from i2ibench.data.images import ImageSet
from i2ibench.errors import ConfigError, one_line
from i2ibench.lazy import np

if TYPE_CHECKING:
    import logging

PROJECT = "i2ibench"  # the experiment of MLflow, the project of W&B
SHOWN = 4  # test images in a trial's grid


class Logger(Protocol):
    """What a tracker can do."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Values by name, after so many steps; each step is told once, in rising order."""

    def images(self, step: int, name: str, image: np.ndarray) -> None:
        """A picture, uint8 (H, W, 3)."""

    def close(self) -> None:
        """Everything told so far is on disk when this returns."""


@dataclass(frozen=True)
class Run:
    """What a tracker is told of the trial at the beginning.

    anew: forget what an earlier attempt told; else (the training is over) add to it.
    """

    trial: str
    folder: Path  # of the trial
    about: Mapping[str, Any]
    anew: bool


class TensorBoard:
    """Event files in `tensorboard/`; `tensorboard --logdir runs` shows all trials of a store."""

    def __init__(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / "tensorboard"
        old = list(folder.glob("events.*" if run.anew else "events.*.images"))
        for file in old:
            file.unlink()
        # A TensorBoard that has read them already forgets what it read when it meets the mark that `purge_step` leaves.
        self._writer = SummaryWriter(
            str(folder), purge_step=0 if old and run.anew else None, filename_suffix="" if run.anew else ".images"
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def images(self, step: int, name: str, image: np.ndarray) -> None:
        self._writer.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class MLflow:
    """A run in the user's MLflow (MLFLOW_TRACKING_URI), else in a file store of the trial's own, in `mlflow/`."""

    def __init__(self, run: Run) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 refuses one otherwise
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        self._metric = Metric
        own = run.folder / "mlflow"
        self._client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or own.as_uri())
        experiment = self._experiment()
        mine = self._client.search_runs([experiment], f"tags.`i2ibench.trial` = '{run.trial}'")
        known = [found.info.run_id for found in mine]
        for old in known if run.anew else ():
            self._client.delete_run(old)
        if known and not run.anew:
            self._run = known[0]
            return
        tags = {"i2ibench.trial": run.trial}
        self._run = self._client.create_run(experiment, run_name=run.trial, tags=tags).info.run_id
        for key, value in run.about.items():
            self._client.log_param(self._run, key, value)

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(PROJECT)
        return found.experiment_id if found else self._client.create_experiment(PROJECT)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        self._client.log_batch(self._run, [self._metric(name, value, now, step) for name, value in values.items()])

    def images(self, step: int, name: str, image: np.ndarray) -> None:
        self._client.log_image(self._run, image, artifact_file=f"{name}.png")

    def close(self) -> None:
        self._client.set_terminated(self._run)


class WandB:
    """A run of W&B in `wandb/`, offline (`wandb sync` uploads it) unless the user set WANDB_MODE."""

    def __init__(self, run: Run) -> None:
        import wandb

        if run.anew:
            shutil.rmtree(run.folder / "wandb", ignore_errors=True)
        self._image = wandb.Image
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run.trial,  # on a server, an attempt goes on with the run of the one before, and known steps are dropped
            name=run.trial,
            resume="allow",
            dir=run.folder,
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
            config=dict(run.about),
            settings=wandb.Settings(
                console="off", silent=True, x_disable_stats=True, disable_git=True, save_code=False
            ),
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def images(self, step: int, name: str, image: np.ndarray) -> None:
        self._run.log({name: self._image(image)}, step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: dict[str, Callable[[Run], Logger]] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}


class Loggers:
    """All trackers of a trial as one. One that fails is left out from then on, with a warning: the training goes on."""

    def __init__(self, names: Sequence[str], run: Run, log: logging.Logger) -> None:
        self._log = log
        self._open: dict[str, Logger] = {}
        for name in names:
            with self._guarded(name):
                self._open[name] = TRACKERS[name](run)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._each(lambda logger: logger.scalars(step, values))

    def images(self, step: int, name: str, image: np.ndarray) -> None:
        self._each(lambda logger: logger.images(step, name, image))

    def close(self) -> None:
        self._each(lambda logger: logger.close())

    def _each(self, call: Callable[[Logger], None]) -> None:
        for name, logger in list(self._open.items()):
            with self._guarded(name):
                call(logger)

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._open.pop(name, None)
            self._log.warning(
                "logging to %s failed and is left out: %s: %s", name, type(error).__name__, one_line(error)
            )


@contextmanager
def opened(names: Sequence[str], run: Run, log: logging.Logger) -> Iterator[Logger]:
    """The trackers of these names, closed in the end.

    Raises:
        ConfigError: a package is not installed.
    """
    require(names)
    loggers = Loggers(names, run, log)
    try:
        yield loggers
    finally:
        loggers.close()


def require(names: Iterable[str]) -> None:
    """Raise ConfigError, which says how to install it, if a tracker's package is missing. Imports none of them."""
    for name in names:
        found = find_spec(name)
        if found is None or found.origin is None:  # a mere folder of that name, such as those that the trackers make
            raise ConfigError(f"logging: {name} is not installed here: pip install 'i2ibench[{name}]', or leave it out")


def grid(*columns: ImageSet) -> np.ndarray:
    """One picture, uint8 (rows * H, columns * W, 3), with a row for each of the first test images.

    Args:
        columns: uint8 (N, H, W, 3) each: inputs, outputs and, where there are any, their targets. Of images of several
            sizes H and W are the largest, and the smaller ones lie on white.
    """
    shown = [column[: min(SHOWN, *map(len, columns))] for column in columns]
    height, width = (max(image.shape[axis] for column in shown for image in column) for axis in (0, 1))
    canvas = np.full((len(shown[0]), height, len(shown), width, 3), 255, np.uint8)
    for x, column in enumerate(shown):
        for y, image in enumerate(column):
            canvas[y, : image.shape[0], x, : image.shape[1]] = image
    return canvas.reshape(-1, len(shown) * width, 3)

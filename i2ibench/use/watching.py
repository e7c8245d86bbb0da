"""Watches what a deployed model is given, and what it makes of it: windows of images against those of its training."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from i2ibench.build import load_images
from i2ibench.data import pixels
from i2ibench.errors import ConfigError
from i2ibench.metrics.features import extract, extract_cached
from i2ibench.metrics.kept import kept
from i2ibench.store import Store, Trial
from i2ibench.use import trials
from i2ibench.use.ask import Ask
from i2ibench.use.model import Model

if TYPE_CHECKING:
    from i2ibench.metrics.protocol import Protocol

MOST = 1000  # images of each domain that stand for it
NULL = 500  # windows drawn from it to find the threshold
LEVEL = 0.01  # of windows without any drift that raise an alarm all the same


@dataclass(frozen=True)
class Reading:
    """KID of a window against the reference, and the threshold above which it is called drift."""

    kid: float
    threshold: float

    @property
    def drift(self) -> bool:
        return self.kid > self.threshold


@dataclass(frozen=True)
class Window:
    """What was found in one window of images."""

    number: int
    first: str
    last: str
    inputs: Reading
    outputs: Reading

    @property
    def drift(self) -> bool:
        return self.inputs.drift or self.outputs.drift

    def to_json(self) -> dict[str, Any]:
        both = (("inputs", self.inputs), ("outputs", self.outputs))
        readings = {name: {**asdict(reading), "drift": reading.drift} for name, reading in both}
        return {"window": self.number, "first": self.first, "last": self.last, "drift": self.drift, **readings}


class Gauge:
    """Measures how far windows of features are from a reference.

    One half of the reference, drawn at random, is what windows are held against. From the other half `NULL` windows are
    drawn to see how far those are that have not drifted; the threshold is their (1 - `LEVEL`) quantile, so that a
    window of the same domain raises an alarm about once in a hundred.
    """

    def __init__(self, reference: Tensor, window: int) -> None:
        """`reference` (M, D): features. Raises ConfigError if there are too few for windows of this size."""
        _require_enough(len(reference), window)
        rng = np.random.default_rng(0)
        order = rng.permutation(len(reference))
        half = len(order) // 2
        self._base = reference[order[:half]].double()
        own = _kernel(self._base, self._base)
        self._within = float((own.sum() - own.diagonal().sum()) / (half * (half - 1)))
        others = reference[order[half:]].double()
        drawn = [self._kid(others[rng.choice(len(others), window, replace=False)]) for _ in range(NULL)]
        self.threshold = float(np.quantile(drawn, 1 - LEVEL, method="higher"))

    def read(self, features: Tensor) -> Reading:
        """What a window of features (N, D) shows."""
        return Reading(self._kid(features.double()), self.threshold)

    def _kid(self, x: Tensor) -> float:
        """Unbiased MMD² under (x·y / D + 1)³ against the base: KID, over the whole sets in place of subsets."""
        own, across, n = _kernel(x, x), _kernel(x, self._base), len(x)
        within = (own.sum() - own.diagonal().sum()) / (n * (n - 1))
        return float(within + self._within - 2 * across.mean())


def _require_enough(images: int, window: int) -> None:
    if not 2 <= window <= images // 4:
        raise ConfigError(
            f"--window is {window}; a window may have a quarter of the {images} training images at most: "
            f"2 to {images // 4}"
        )


def watch(
    trial: Trial,
    files: Sequence[Path],
    window: int,
    protocol: Protocol,
    *,
    device: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Window]:
    """Readings of the files, `window` at a time in their order; what does not fill a window at the end is left out.

    Inputs are held against training images, and outputs against the model's translations of those. Each image is
    brought to the size of training as the data set's own are. The features are those of the protocol's
    network, whose weights must be there; those of the training images are kept in the store for the next time.

    Raises:
        ConfigError: too few training images for such windows.
        DataError: a file that does not decode, or the data set is no longer where it was.
        AssetError, TrialError: see `features.extract` and `trials.from_trial`.
    """
    model, spec = trials.from_trial(trial, device), trials.spec_of(trial)
    store = Store(trial.path.parent)
    where = str(model.device)
    reference = _some(load_images(spec, store).train_a, model.size)
    _require_enough(len(reference), window)
    cache = store.feature_cache if os.access(store.path, os.W_OK) else None

    def of_outputs() -> np.ndarray:
        say(f"translating {len(reference)} training images, to know what outputs are when all is well")
        return extract(_outputs(model, reference), protocol, where).numpy()

    say(f"looking at {len(reference)} training images")
    about = trial.id, protocol.key(), model.device.type, torch.__version__
    known = (
        extract_cached(reference, protocol, where, cache),
        torch.from_numpy(kept(cache, "watch", about, [reference], of_outputs)),
    )
    gauges = [Gauge(features, window) for features in known]
    for number, start in enumerate(range(0, len(files) - window + 1, window), start=1):
        chosen = files[start : start + window]
        inputs = np.stack([pixels.fitted(pixels.read(file), model.size, spec.source_params["fit"]) for file in chosen])
        seen = (inputs, _outputs(model, inputs))
        readings = [gauge.read(extract(each, protocol, where)) for gauge, each in zip(gauges, seen, strict=True)]
        yield Window(number, str(chosen[0]), str(chosen[-1]), *readings)


def draw(windows: Sequence[Window], file: Path) -> None:
    """KID of inputs and outputs over the windows, with their thresholds; markers are filled where it is drift."""
    from matplotlib.ticker import MaxNLocator

    from i2ibench.report.style import COLOURS, figure, house

    with house():
        drawing = figure(7, 3.5)
        axes = drawing.subplots()
        numbers = [window.number for window in windows]
        for name, colour, marker in (("inputs", COLOURS[0], "o"), ("outputs", COLOURS[1], "s")):
            readings: list[Reading] = [getattr(window, name) for window in windows]
            axes.plot(
                numbers, [r.kid for r in readings], color=colour, marker=marker, markerfacecolor="white", label=name
            )
            found = [(number, r.kid) for number, r in zip(numbers, readings, strict=True) if r.drift]
            if found:
                axes.plot(*zip(*found, strict=True), color=colour, marker=marker, linestyle="")
            axes.axhline(readings[0].threshold, color=colour, linestyle="--", linewidth=1, label=f"threshold of {name}")
        axes.set(xlabel="window (filled: drift)", ylabel="KID against training")
        axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
        drawing.savefig(file)


def _outputs(model: Model, images: np.ndarray) -> np.ndarray:
    return np.stack([output[0] for output in model.outputs([*images], Ask())])


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _some(images: np.ndarray, size: int) -> np.ndarray:
    """Up to `MOST` training images, evenly spaced, and of those that are kept larger the centre."""
    rows = np.unique(np.linspace(0, len(images) - 1, min(MOST, len(images))).astype(int))
    edge = (images.shape[1] - size) // 2
    return np.asarray(images[rows][:, edge : edge + size, edge : edge + size])

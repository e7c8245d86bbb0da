"""Watches what a deployed model is given, and what it makes of it: windows of images against those of its training."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from i2ibench.data import pixels
from i2ibench.data.images import centre, evenly_spaced
from i2ibench.dataset import load_images
from i2ibench.errors import ConfigError
from i2ibench.metrics.features import extract, extract_cached
from i2ibench.metrics.kept import kept
from i2ibench.metrics.sets import kernel
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial
from i2ibench.use import trials
from i2ibench.use.ask import Ask
from i2ibench.use.model import Model

if TYPE_CHECKING:
    from i2ibench.metrics.protocol import Protocol

MOST = 1000  # images of each domain that stand for it
LEVEL = 0.01  # of windows without any drift that raise an alarm all the same: half by inputs, half by outputs
DRAWS = 999  # splits by chance that a window is held against


@dataclass(frozen=True)
class Reading:
    """KID of a window against the reference, and the threshold, the window's own, above which it is called drift."""

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
    """Measures how far windows of features are from a reference, and whether that is further than chance takes them.

    A window is drift if its KID is among the largest that its images and those of the reference give when it is left to
    chance which of them are the window: a permutation test. So an image of the same domain may stand in either, and a
    window of such images raises an alarm with probability `LEVEL` / 2 at most, whatever the sizes and the features.
    """

    def __init__(self, reference: Tensor, window: int) -> None:
        """`reference` (M, D): features, at least 2. `window`: how many images each window has, at least 2."""
        self._base = reference.double()
        self._own = kernel(self._base, self._base)
        everything = len(reference) + window
        drawn = np.random.default_rng(0).random((DRAWS, everything)).argsort(axis=1)[:, :window]
        self._splits = torch.zeros(1 + DRAWS, everything, dtype=torch.float64)  # 1 for what is in the window
        self._splits[0, len(reference) :] = 1  # as it is
        self._splits[1:].scatter_(1, torch.from_numpy(drawn), 1.0)

    def read(self, features: Tensor) -> Reading:
        """What a window of features (N, D) shows."""
        x = features.double()
        across = kernel(x, self._base)
        of_all = torch.cat([torch.cat([self._own, across.T], 1), torch.cat([across, kernel(x, x)], 1)])
        kid = _kid(of_all, self._splits)
        rounding = 1e-12 * float(of_all.abs().mean())  # where all images are one, it alone tells the splits apart
        highest = kid[1:].topk(int(LEVEL / 2 * (DRAWS + 1))).values
        return Reading(float(kid[0]), float(highest[-1]) + rounding)


def _kid(of_all: Tensor, splits: Tensor) -> Tensor:
    """Unbiased MMD² of each split under KID's kernel: KID, over the whole sets in place of subsets.

    of_all (N, N): the kernel of all images; splits (S, N): 1 for the images of one set, 0 for those of the other.
    """
    n, m = (int(count) for count in (splits[0].sum(), (1 - splits[0]).sum()))
    sums, own = of_all.sum(1), of_all.diagonal()
    within = ((splits @ of_all) * splits).sum(1)
    across = splits @ sums - within
    rest = sums.sum() - within - 2 * across
    own_within = splits @ own
    return (
        (within - own_within) / (n * (n - 1)) + (rest - (own.sum() - own_within)) / (m * (m - 1)) - 2 * across / (n * m)
    )


def require_enough(images: int, window: int) -> None:
    """Raise ConfigError unless a window of this size leaves most images outside, and could ever be found unlikely."""
    most = images // 4
    least = next((n for n in range(2, most + 1) if math.comb(images + n, n) >= 4 / LEVEL), None)
    if least is None:
        raise ConfigError(f"{images} training images are too few to watch by: no window could be told from chance")
    if not least <= window <= most:
        raise ConfigError(
            f"--window is {window}; beside {images} training images, of which it may have a quarter at most, it can be "
            f"{least} to {most}"
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
        ConfigError: the windows are too large or too small for the training images.
        DataError: a file that does not decode, or the data set is no longer where it was.
        AssetError, TrialError: see `features.extract` and `trials.from_trial`.
    """
    model, spec = trials.from_trial(trial, device), TrialSpec.of(trial)
    store = Store(trial.path.parent)
    where = str(model.device)
    every = load_images(spec, store).train_a
    reference = centre(every[evenly_spaced(len(every), MOST)], model.size)
    require_enough(len(reference), window)
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
            axes.plot(
                numbers,
                [r.threshold for r in readings],
                color=colour, linestyle="--", marker="_", linewidth=1, label=f"threshold of {name}",
            )  # fmt: skip
        axes.set(xlabel="window (filled: drift)", ylabel="KID against training")
        axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
        drawing.savefig(file)


def _outputs(model: Model, images: np.ndarray) -> np.ndarray:
    return np.stack([output[0] for output in model.outputs([*images], Ask())])

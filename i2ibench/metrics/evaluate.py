"""Scores one set of images against the real one, and stamps every number with all that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from i2ibench.data.images import ImageSet, same_shapes, sizes, spelled
from i2ibench.errors import ConfigError, TrialError, did_you_mean
from i2ibench.metrics import images as pairs
from i2ibench.metrics import intervals, luminance, sets, special
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.features import extract, extract_cached
from i2ibench.metrics.intervals import Interval
from i2ibench.metrics.material import Material
from i2ibench.metrics.protocol import Protocol
from i2ibench.metrics.stamp import TRIAL, stamp

if TYPE_CHECKING:
    import torch

OF_PAIRS: dict[str, Callable[[ImageSet, ImageSet, Protocol, str, int], np.ndarray]] = {  # the last: Material.scale
    "lpips": lambda a, b, protocol, device, scale: pairs.lpips_values(a, b, protocol.lpips_net, device),
    "ssim": lambda a, b, protocol, device, scale: pairs.ssim_values(a, b),
    "ms_ssim": lambda a, b, protocol, device, scale: pairs.ms_ssim_values(a, b, device),
    "psnr": lambda a, b, protocol, device, scale: pairs.psnr_values(a, b),
    "psnr_y": lambda a, b, protocol, device, scale: luminance.psnr_y_values(a, b, protocol.cut(scale)),
    "ssim_y": lambda a, b, protocol, device, scale: luminance.ssim_y_values(a, b, protocol.cut(scale)),
    "l1": lambda a, b, protocol, device, scale: pairs.l1_values(a, b),
}


@dataclass(frozen=True)
class Scores:
    """values: metric -> score. per_image: metric -> float64 (N,), for metrics of images.

    bounds: metric -> {what: value}, what is had without a method, from real images.
    stamp: what the numbers depend on (`metrics.stamp`).
    intervals: metric -> {"low", "high", "level", "kind", "how"}, and "std" where it has one (`metrics.intervals`).
    """

    values: dict[str, float]
    stamp: dict[str, Any]
    per_image: dict[str, np.ndarray] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    bounds: dict[str, dict[str, float]] = field(default_factory=dict)


def evaluate(
    generated: ImageSet,
    reference: ImageSet,
    metrics: Sequence[str],
    protocol: Protocol,
    *,
    paired: bool,
    device: str | torch.device = "cpu",
    cache: Path | None = None,
    material: Material = Material(),  # noqa: B008 (it is frozen)
    origin: Mapping[str, str] = TRIAL,
) -> Scores:
    """Compute `metrics` of `generated` against `reference`: uint8 RGB (N, H, W, 3), or lists of (H, W, 3).

    Each image passes each network once, whichever metrics look through it. Metrics of sets resize images of any size
    by the protocol's rule; those of pairs need outputs of their targets' size.

    Args:
        paired: generated[i] was made for reference[i].
        cache: folder that keeps the features of `reference` for the next call.
        material: what metrics need besides: see `Metric.needs`.
        origin: where the images come from, for the stamp; by default a trial's.

    Raises:
        ConfigError: an unknown metric, or one of pairs where there are none.
        TrialError: images that cannot be scored: too few, too small, of other shapes, not uint8; or a network that
            gives NaN for one.
        AssetError: pretrained weights are missing.
    """
    _check(generated, reference, metrics, protocol, paired, material.scale)
    special.require(metrics, protocol, material)
    where = str(device)
    values: dict[str, float] = {}
    spread: dict[str, Interval] = {}
    if any(METRICS[name].network == "extractor" for name in metrics):
        features = (
            extract(generated, protocol, where, "generated image"),
            extract_cached(reference, protocol, where, cache, "real image"),
        )
        together = paired and len(generated) == len(reference)
        values, spread = sets.scores(*features, metrics, protocol, paired=together)
    per_image = {
        name: values_of(generated, reference, protocol, where, material.scale)
        for name, values_of in OF_PAIRS.items()
        if name in metrics
    }
    values |= {name: float(array.mean()) for name, array in per_image.items()}
    spread |= {name: intervals.of_mean(array) for name, array in per_image.items()}
    found = special.scores(generated, reference, metrics, protocol, where, cache, material, paired)
    values, spread, per_image = values | found.values, spread | found.intervals, per_image | found.per_image
    for name, value in values.items():
        if not np.isfinite(value):
            raise TrialError(f"{METRICS[name].title} is {value}: the images cannot be scored")
    return Scores(
        {name: values[name] for name in METRICS if name in values},
        stamp(values, protocol, generated, reference, where, origin, material),
        per_image,
        spread,
        found.bounds,
    )


def _check(
    generated: ImageSet, reference: ImageSet, metrics: Sequence[str], protocol: Protocol, paired: bool, scale: int
) -> None:
    for name in metrics:
        if name not in METRICS:
            raise ConfigError(f"unknown metric '{name}'; {did_you_mean(name, METRICS)}")
        if METRICS[name].needs_pairs and not paired:
            raise ConfigError(
                f"metric '{name}' compares each output with its own target, and these images are unpaired: leave it out"
            )
    for role, images in (("generated", generated), ("reference", reference)):
        if not all(image.dtype == np.uint8 and image.ndim == 3 and image.shape[-1] == 3 for image in images):
            kind = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else "of several kinds"
            raise TrialError(f"{role} images are {kind}; scores need uint8 (N, H, W, 3)")
        if len(images) < 2:
            raise TrialError(f"{len(images)} {role} images; scores need at least 2")
    if not any(METRICS[name].needs_pairs for name in metrics):
        return
    if not same_shapes(generated, reference):
        raise TrialError(
            f"{len(generated)} generated images of {spelled(generated)} pixels and {len(reference)} targets of "
            f"{spelled(reference)} differ in number or size"
        )
    edge = min(min(size) for size in sizes(generated))
    for name in metrics:
        if METRICS[name].needs_pairs and edge < protocol.smallest(name, scale):
            needed = f"images of {protocol.smallest(name, scale)} pixels or more"
            raise TrialError(f"{METRICS[name].title} needs {needed}, not {spelled(generated)}")

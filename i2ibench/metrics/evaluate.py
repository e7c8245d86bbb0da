"""Scores one set of images against the real one, and stamps every number with all that it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from i2ibench.errors import ConfigError, TrialError
from i2ibench.metrics import images as pairs
from i2ibench.metrics import sets
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.features import extract, extract_cached
from i2ibench.metrics.protocol import Protocol
from i2ibench.metrics.stamp import stamp
from i2ibench.registry import did_you_mean

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Scores:
    """values: metric -> score. per_image: metric -> float64 (N,), for metrics of pairs.

    stamp: what the numbers depend on (`metrics.stamp`).
    """

    values: dict[str, float]
    stamp: dict[str, Any]
    per_image: dict[str, np.ndarray] = field(default_factory=dict)


def evaluate(
    generated: np.ndarray,
    reference: np.ndarray,
    metrics: Sequence[str],
    protocol: Protocol,
    *,
    paired: bool,
    device: str | torch.device = "cpu",
    cache: Path | None = None,
) -> Scores:
    """Compute `metrics` of `generated` against `reference`, both uint8 RGB (N, H, W, 3).

    Each image passes each network once, whichever metrics look through it.

    Args:
        paired: generated[i] was made for reference[i].
        cache: folder that keeps the features of `reference` for the next call.

    Raises:
        ConfigError: an unknown metric, or one of pairs where there are none.
        TrialError: images that cannot be scored: too few, too small, of other shapes, not uint8.
        AssetError: pretrained weights are missing.
    """
    _check(generated, reference, metrics, protocol, paired)
    where = str(device)
    values: dict[str, float] = {}
    per_image: dict[str, np.ndarray] = {}
    if any(METRICS[name].network == "extractor" for name in metrics):
        features = extract(generated, protocol, where), extract_cached(reference, protocol, where, cache)
        if "fid" in metrics:
            values["fid"] = sets.fid(*features)
        if "kid" in metrics:
            values["kid"] = sets.kid(*features, protocol)
    if "lpips" in metrics:
        per_image["lpips"] = pairs.lpips_values(generated, reference, protocol.lpips_net, where)
    if "ssim" in metrics:
        per_image["ssim"] = pairs.ssim_values(generated, reference)
    if "psnr" in metrics:
        per_image["psnr"] = pairs.psnr_values(generated, reference)
    values |= {name: float(array.mean()) for name, array in per_image.items()}
    for name, value in values.items():
        if not np.isfinite(value):
            raise TrialError(f"{METRICS[name].title} is {value}: the images cannot be scored")
    values = {name: values[name] for name in METRICS if name in values}
    return Scores(values, stamp(values, protocol, generated, reference, where), per_image)


def _check(
    generated: np.ndarray, reference: np.ndarray, metrics: Sequence[str], protocol: Protocol, paired: bool
) -> None:
    for name in metrics:
        if name not in METRICS:
            raise ConfigError(f"unknown metric '{name}'; {did_you_mean(name, METRICS)}")
        if METRICS[name].needs_pairs and not paired:
            raise ConfigError(
                f"metric '{name}' compares each output with its own target, and these images are unpaired: leave it out"
            )
    for role, images in (("generated", generated), ("reference", reference)):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise TrialError(f"{role} images are {images.dtype} {images.shape}; scores need uint8 (N, H, W, 3)")
        if len(images) < 2:
            raise TrialError(f"{len(images)} {role} images; scores need at least 2")
    if not any(METRICS[name].needs_pairs for name in metrics):
        return
    if generated.shape != reference.shape:
        raise TrialError(
            f"generated images {generated.shape} and their targets {reference.shape} differ in number or size"
        )
    height, width = generated.shape[1:3]
    for name in metrics:
        if min(height, width) < protocol.smallest(name):
            needed = f"images of {protocol.smallest(name)} pixels or more"
            raise TrialError(f"{METRICS[name].title} needs {needed}, not {height} x {width}")

"""The stamp: all that a score depends on, one entry per metric, ready for JSON."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import version
from typing import Any

import numpy as np

from i2ibench.assets import ASSETS
from i2ibench.metrics.catalog import SSIM_WINDOW
from i2ibench.metrics.images import PSNR_CAP
from i2ibench.metrics.protocol import EXTRACTORS, LPIPS_ASSETS, REVISION, Protocol


def stamp(
    metrics: Collection[str], protocol: Protocol, generated: np.ndarray, reference: np.ndarray, device: str
) -> dict[str, Any]:
    """{"name", "key", "device", "warnings": [text], "metrics": {metric: {...}}}.

    Two values may stand in one column if their entries under "metrics" are equal. The device is not among them:
    it moves the sixth digit at most.
    """
    common = {
        "revision": REVISION,
        "quantisation": "uint8 RGB",
        "generated": len(generated),
        "reference": len(reference),
        "generated_size": list(generated.shape[1:3]),
        "reference_size": list(reference.shape[1:3]),
    }
    entries = _features(protocol, len(generated), len(reference)) | _pairs(protocol)
    return {
        "name": protocol.name,
        "key": protocol.key(),
        "device": device,
        "warnings": _warnings(metrics, protocol, min(len(generated), len(reference))),
        "metrics": {name: entries[name] | common for name in metrics},
    }


def _features(protocol: Protocol, generated: int, reference: int) -> dict[str, dict[str, Any]]:
    network = EXTRACTORS[protocol.extractor]
    features = {
        "extractor": protocol.extractor,
        "feature": network.feature,
        "dimension": network.dimension,
        "weights_sha256": ASSETS[network.asset].sha256,
        "input_size": protocol.size,
        "resize": network.resize,
        **_versions("torch-fidelity", "torch"),
    }
    subsets = {
        "kernel": "(x·y / dimension + 1)³, unbiased, float64",
        "subsets": protocol.kid_subsets,
        "subset_size": protocol.kid_size(generated, reference),
        "seed": protocol.kid_seed,
    }
    return {"fid": features, "kid": features | subsets}


def _pairs(protocol: Protocol) -> dict[str, dict[str, Any]]:
    return {
        "lpips": {
            "network": protocol.lpips_net,
            "version": "0.1",
            "weights_sha256": ASSETS[LPIPS_ASSETS[protocol.lpips_net]].sha256,
            "resize": "none",
            **_versions("lpips", "torch"),
        },
        "ssim": {
            "window": f"Gaussian, sigma 1.5, {SSIM_WINDOW} pixels",
            "covariance": "population",
            "data_range": 255,
            "channels": "mean over RGB",
            **_versions("scikit-image"),
        },
        "psnr": {"data_range": 255, "cap_db": PSNR_CAP, "mean": "of dB over images", **_versions("scikit-image")},
    }


def _warnings(metrics: Collection[str], protocol: Protocol, images: int) -> list[str]:
    network = EXTRACTORS[protocol.extractor]
    found = []
    if network.caution and {"fid", "kid"} & set(metrics):
        found.append(network.caution)
    if "fid" in metrics and images <= network.dimension:
        found.append(
            f"FID is rank-deficient: {images} images for {network.dimension} features make singular covariances "
            f"and a biased value; rank by KID"
        )
    return found


def _versions(*packages: str) -> dict[str, str]:
    return {f"{package} version": version(package) for package in packages}

"""The stamp: all that a score depends on, one entry per metric, ready for JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from i2ibench.assets import ASSETS
from i2ibench.data.images import ImageSet, sizes, spelled
from i2ibench.metrics import special
from i2ibench.metrics.catalog import METRICS, SSIM_WINDOW
from i2ibench.metrics.images import PSNR_CAP
from i2ibench.metrics.material import Material
from i2ibench.metrics.protocol import EXTRACTORS, LPIPS_ASSETS, REVISION, Protocol
from i2ibench.provenance import version_of

FEW = 20  # images, below which KID is unbiased still, and its error as large as what it measures
TRIAL = {"reference_split": "test", "checkpoint": "last"}  # where the images of a trial come from


def stamp(
    metrics: Collection[str],
    protocol: Protocol,
    generated: ImageSet,
    reference: ImageSet,
    device: str,
    origin: Mapping[str, str] = TRIAL,
    material: Material = Material(),  # noqa: B008 (it is frozen)
) -> dict[str, Any]:
    """{"name", "key", "device", "warnings": [text], "metrics": {metric: {...}}}.

    Two values may stand in one column if their entries under "metrics" are equal. The device is not among them:
    it moves the sixth digit at most.
    """
    common = {
        "revision": REVISION,
        "quantisation": "uint8, as in PNG files",
        "colour": "RGB, 0 to 255",
        "generated": len(generated),
        "reference": len(reference),
        "generated_size": _size(generated),
        "reference_size": _size(reference),
        **origin,
    }
    entries = _features(protocol, len(generated), len(reference)) | _pairs(protocol, material.scale)
    entries |= special.entries(entries["lpips"], protocol, material)
    return {
        "name": protocol.name,
        "key": protocol.key(),
        "device": device,
        "warnings": _warnings(metrics, protocol, generated, reference),
        "metrics": {name: entries[name] | common for name in metrics},
    }


def _features(protocol: Protocol, generated: int, reference: int) -> dict[str, dict[str, Any]]:
    network = EXTRACTORS[protocol.extractor]
    libraries = ["torch-fidelity", "torch", *(["pillow"] if protocol.resize == "clean" else [])]
    features = {
        "extractor": protocol.extractor,
        "feature": network.feature,
        "dimension": network.dimension,
        "weights_sha256": ASSETS[network.asset].sha256,
        "input_size": protocol.size,
        "resize": protocol.resize_rule,
        **_versions(*libraries),
    }
    subsets = {
        "kernel": "(x·y / dimension + 1)³, unbiased, float64",
        "subsets": protocol.kid_subsets,
        "subset_size": protocol.kid_size(generated, reference),
        "seed": protocol.kid_seed,
    }
    closed = {"neighbours": protocol.neighbours, "distances": "float64", "surface": "within"}
    half_open = {"neighbours": protocol.density_neighbours, "distances": "float64", "surface": "outside"}
    return {
        "fid": features | {"rank_deficient": rank_deficient(protocol, generated, reference)},
        "kid": features | subsets,
        "precision": features | closed,
        "recall": features | closed,
        "density": features | half_open,
        "coverage": features | half_open,
    }


def rank_deficient(protocol: Protocol, *counts: int) -> bool:
    """Whether a covariance of features is singular for sets of these sizes: FID is biased then; rank by KID."""
    return min(counts) <= EXTRACTORS[protocol.extractor].dimension


def _pairs(protocol: Protocol, scale: int) -> dict[str, dict[str, Any]]:
    window = {
        "window": f"Gaussian, sigma 1.5, {SSIM_WINDOW} pixels",
        "covariance": "population",
        "data_range": 255,
        "channels": "mean over RGB",
    }
    luminance = {"channels": "Y of BT.601, 16 to 235, not rounded", "border": protocol.cut(scale)}
    psnr = {"data_range": 255, "cap_db": PSNR_CAP, "mean": "of dB over images", **_versions("scikit-image")}
    return {
        "lpips": {
            "network": protocol.lpips_net,
            "version": "0.1",
            "weights_sha256": ASSETS[LPIPS_ASSETS[protocol.lpips_net]].sha256,
            "resize": "none",
            **_versions("lpips", "torch"),
        },
        "ssim": {**window, **_versions("numpy")},
        "ms_ssim": {**window, "scales": 5, **_versions("pytorch-msssim", "torch")},
        "psnr": psnr,
        "psnr_y": psnr | luminance,
        "ssim_y": window | luminance | _versions("numpy", "scikit-image"),
        "l1": {"unit": "grey levels of 0 to 255", **_versions("numpy")},
    }


def _warnings(metrics: Collection[str], protocol: Protocol, generated: ImageSet, reference: ImageSet) -> list[str]:
    network = EXTRACTORS[protocol.extractor]
    counts = len(generated), len(reference)
    found = []
    of_features = any(METRICS[name].network == "extractor" for name in metrics)
    if network.caution and of_features:
        found.append(network.caution)
    if "fid" in metrics and rank_deficient(protocol, *counts):
        found.append(
            f"FID is rank-deficient: {min(counts)} images for {network.dimension} features make singular covariances "
            f"and a biased value; rank by KID"
        )
    if "kid" in metrics and min(counts) < FEW:
        found.append(f"KID over {min(counts)} images may differ more by chance than by method; take {FEW} or more")
    if of_features and sizes(generated) != sizes(reference):
        found.append(
            f"outputs of {spelled(generated)} pixels are compared with real images of {spelled(reference)}: "
            f"each is resized to {protocol.size} x {protocol.size} by the protocol's rule"
        )
    return found


def _size(images: ImageSet) -> Any:
    """[height, width], or those of the smallest and of the largest."""
    smallest, *more = (list(size) for size in sizes(images))
    return {"smallest": smallest, "largest": more[-1]} if more else smallest


def _versions(*packages: str) -> dict[str, str]:
    return {f"{package} version": version_of(package) for package in packages}

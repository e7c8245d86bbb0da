"""The metrics that need more than outputs and their targets: a trial's `Material`, or a scorer of the protocol's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from i2ibench.data.images import ImageSet
from i2ibench.errors import ConfigError
from i2ibench.metrics import adaptation, dann, intervals, labelmaps, luminance, scorer, segmenter
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.diversity import diversity_values
from i2ibench.metrics.features import full_precision
from i2ibench.metrics.images import l1_values
from i2ibench.metrics.intervals import Interval
from i2ibench.metrics.kept import kept
from i2ibench.metrics.material import Material
from i2ibench.metrics.modes import NEAR, mode_values
from i2ibench.metrics.protocol import Protocol
from i2ibench.provenance import version_of

SOURCE_ONLY, DANN, TRAINED_ON_TARGETS = "source only", "DANN", "trained on targets"  # beside the adaptation score
SHUFFLED, REAL = "shuffled targets", "own targets"  # real images beside the FCN-score: its floor and its ceiling
BICUBIC = "bicubic of tables"  # beside scores on luminance
OF_LUMINANCE = ("psnr_y", "ssim_y")
OF_MAPS = ("pixel_accuracy", "class_accuracy", "mean_iou")


@dataclass
class Special:
    """What `evaluate` adds to its scores; bounds: metric -> {what: value}, what is had without a method."""

    values: dict[str, float] = field(default_factory=dict)
    per_image: dict[str, np.ndarray] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    bounds: dict[str, dict[str, float]] = field(default_factory=dict)

    def add_mean(self, name: str, values: np.ndarray) -> None:
        """A metric that has a value per image, and is their mean."""
        self.values[name], self.per_image[name] = float(values.mean()), values
        self.intervals[name] = intervals.of_mean(values)

    def add_maps(self, prefix: str, confusions: np.ndarray, metrics: Collection[str]) -> None:
        """Scores of label maps over the whole set; images have a pixel accuracy of their own, whose mean is the score.

        The others are no means over images: few images show every class.
        """
        whole, each = labelmaps.scores(confusions.sum(axis=0)), labelmaps.scores(confusions)
        for name in OF_MAPS:
            if prefix + name not in metrics:
                continue
            if name == "pixel_accuracy":
                self.add_mean(prefix + name, each[name])
                continue
            self.values[prefix + name] = float(whole[name])
            self.intervals[prefix + name] = intervals.of_sums(confusions, partial(labelmaps.score, name=name))


def require(metrics: Collection[str], protocol: Protocol, material: Material) -> None:
    """Raise ConfigError for a metric that lacks what it needs."""
    targets = material.palette is not None and material.palette.domain == "b"
    sources = material.palette is not None and material.palette.domain == "a" and material.inputs is not None
    there = {
        "styles": ("several translations of each input", material.styles is not None),
        "cycle": ("outputs that were translated back", material.cycled is not None and material.inputs is not None),
        "palette": ("a palette of targets that are label maps", targets),
        "truths": ("known answers to each input", material.truths is not None),
        "labels": ("class labels", material.labelled is not None),
        "scorer": (
            "inputs that are label maps, and a scorer in the protocol or training pairs",
            sources and bool(protocol.scorer or material.pairs),
        ),
    }
    for name in metrics:
        for need in sorted(METRICS[name].needs - {"pairs"}):
            words, found = there[need]
            if not found:
                raise ConfigError(f"metric '{name}' needs {words}, and there are none: leave it out")


def scores(
    generated: Any,
    reference: Any,
    metrics: Collection[str],
    protocol: Protocol,
    device: str,
    cache: Path | None,
    material: Material,
    paired: bool,
) -> Special:
    """Those of `metrics` that need material; see `evaluate` for the arguments."""
    found, palette = Special(), material.palette
    if "diversity" in metrics:
        assert material.styles is not None
        found.add_mean("diversity", diversity_values(material.styles, protocol.lpips_net, device))
    if {"mode_coverage", "mode_validity"} & set(metrics):
        assert material.styles is not None
        assert material.truths is not None
        for name, values in zip(
            ("mode_coverage", "mode_validity"), mode_values(material.styles, material.truths), strict=True
        ):
            if name in metrics:
                found.add_mean(name, values)
    if "cycle" in metrics:
        assert material.cycled is not None
        assert material.inputs is not None
        found.add_mean("cycle", l1_values(material.cycled, material.inputs))
    if any(name in metrics for name in OF_MAPS):
        assert palette is not None
        truth, output = labelmaps.decode(reference, palette), labelmaps.decode(generated, palette)
        found.add_maps("", labelmaps.confusions(truth, output, len(palette.names)), metrics)
    if any(f"fcn_{name}" in metrics for name in OF_MAPS):
        _fcn(found, generated, reference, metrics, protocol, device, cache, material, paired)
    if material.scale > 1 and set(OF_LUMINANCE) & set(metrics):
        floor = _bicubic(reference, material.scale, protocol, cache)
        found.bounds |= {name: {BICUBIC: value} for name, value in floor.items() if name in metrics}
    if "adaptation" in metrics:
        assert material.labelled is not None
        right = adaptation.adaptation_values(material.labelled, reference, protocol.adaptation_steps, device, cache)
        found.add_mean("adaptation", right["translated"])
        found.bounds["adaptation"] = {
            name: float(right[key].mean())
            for name, key in ((SOURCE_ONLY, "source"), (DANN, "dann"), (TRAINED_ON_TARGETS, "target"))
        }
    return found


def _bicubic(reference: ImageSet, scale: int, protocol: Protocol, cache: Path | None) -> dict[str, float]:
    """What published tables of super-resolution would say of enlarging these images without a network.

    But for files of one channel, which they take as they are: here all are RGB.
    """
    border = protocol.cut(scale)

    def floors() -> np.ndarray:
        return np.array([luminance.bicubic(luminance.rounded(image), scale, border) for image in reference])

    means = kept(cache, "bicubic", (scale, border, protocol.revision), reference, floors).mean(axis=0)
    return dict(zip(OF_LUMINANCE, means.tolist(), strict=True))


def _fcn(
    found: Special,
    generated: np.ndarray,
    reference: np.ndarray,
    metrics: Collection[str],
    protocol: Protocol,
    device: str,
    cache: Path | None,
    material: Material,
    paired: bool,
) -> None:
    """The scorer's classes of outputs against the inputs' own; beside them, where paired, those of the real targets.

    A target of another input is the floor, each input's own the ceiling.
    """
    palette = material.palette
    assert palette is not None
    assert material.inputs is not None
    classes = len(palette.names)
    truth = labelmaps.decode(material.inputs, palette)
    who, segment = _scorer(protocol, material, reference.shape[1], device, cache)
    with full_precision():
        found.add_maps("fcn_", labelmaps.confusions(truth, segment(generated), classes), metrics)
        if not paired:
            return
        real = kept(cache, "scorer", (who, classes), [reference], lambda: segment(reference))
    for bound, seen in ((SHUFFLED, np.roll(real, len(real) // 2, axis=0)), (REAL, real)):
        of_bound = labelmaps.scores(labelmaps.confusions(truth, seen, classes).sum(axis=0))
        for name in (name for name in OF_MAPS if f"fcn_{name}" in metrics):
            found.bounds.setdefault(f"fcn_{name}", {})[bound] = float(of_bound[name])


def _scorer(
    protocol: Protocol, material: Material, size: int, device: str, cache: Path | None
) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """A checksum of the segmentation network, and what gives the classes of images: the protocol's, or one trained."""
    assert material.palette is not None
    classes = len(material.palette.names)
    if protocol.scorer is not None:
        return scorer.sha256(protocol.scorer), partial(scorer.segmented, protocol.scorer, classes=classes)
    assert material.pairs is not None
    labels = labelmaps.decode(material.pairs.maps, material.palette)
    steps = protocol.segmenter_steps
    weights = segmenter.trained(material.pairs.targets, labels, classes, size, steps, cache)
    who = hashlib.sha256(weights.tobytes()).hexdigest()
    return who, partial(segmenter.segmented, weights, classes=classes, device=device)


def entries(lpips: dict[str, Any], protocol: Protocol, material: Material) -> dict[str, dict[str, Any]]:
    """The stamp of each of these metrics; `lpips` is that of LPIPS."""
    numpy, palette = {"numpy version": version_of("numpy")}, material.palette
    found: dict[str, dict[str, Any]] = {
        "cycle": {"unit": "grey levels of 0 to 255", "from": "uint8 outputs", **numpy},
    }
    if material.styles is not None:
        inputs, styles = material.styles.shape[:2]
        found["diversity"] = lpips | {"inputs": inputs, "pairs": styles // 2, "pairing": "consecutive"}
        if material.truths is not None:
            modes = {"inputs": inputs, "draws": styles, "answers": len(material.truths), "near": NEAR, **numpy}
            found |= dict.fromkeys(("mode_coverage", "mode_validity"), modes)
    if palette is not None:
        colours = dict(zip(palette.names, (list(colour) for colour in palette.colours), strict=True))
        maps = {"palette": colours, "decoding": "nearest colour in RGB", "over": "all pixels of the set", **numpy}
        found |= dict.fromkeys(OF_MAPS, maps)
        by: dict[str, Any] | None = None
        if protocol.scorer is not None:
            by = {"scorer_sha256": scorer.sha256(protocol.scorer)}
        elif material.pairs is not None:
            of_network = {"segmenter_steps": protocol.segmenter_steps, "torch version": version_of("torch")}
            by = segmenter.SETTINGS | {"segmenter_learned_from": len(material.pairs.maps)} | of_network
        if by is not None:
            found |= dict.fromkeys([f"fcn_{name}" for name in OF_MAPS], maps | by)
    if material.labelled is not None:
        of = material.labelled
        found["adaptation"] = {
            **adaptation.SETTINGS,
            **dann.SETTINGS,
            "steps": protocol.adaptation_steps,
            "classes": of.classes,
            "learned_from": len(of.source),
            "torch version": version_of("torch"),
        }
    return found

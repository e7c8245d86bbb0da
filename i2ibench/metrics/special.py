"""The metrics that need more than outputs and their targets: a trial's `Material`, or a scorer of the protocol's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from i2ibench.errors import ConfigError
from i2ibench.metrics import adaptation, intervals, labelmaps, scorer
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.diversity import diversity_values
from i2ibench.metrics.features import full_precision
from i2ibench.metrics.images import l1_values
from i2ibench.metrics.intervals import Interval
from i2ibench.metrics.kept import kept
from i2ibench.metrics.material import Material
from i2ibench.metrics.modes import NEAR, mode_values
from i2ibench.metrics.protocol import Protocol

OF_MAPS = ("pixel_accuracy", "class_accuracy", "mean_iou")


@dataclass
class Special:
    """What `evaluate` adds to its scores; bounds: metric -> {"floor": value, "ceiling": value}, of real images."""

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
        "scorer": ("a scorer in the protocol and inputs that are label maps", bool(protocol.scorer) and sources),
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
        _fcn(found, generated, reference, metrics, protocol, cache, material, paired)
    if "adaptation" in metrics:
        assert material.labelled is not None
        right = adaptation.adaptation_values(material.labelled, reference, protocol.adaptation_steps, device, cache)
        found.add_mean("adaptation", right["translated"])
        found.bounds["adaptation"] = {
            "floor": float(right["source"].mean()),
            "ceiling": float(right["target"].mean()),
        }
    return found


def _fcn(
    found: Special,
    generated: np.ndarray,
    reference: np.ndarray,
    metrics: Collection[str],
    protocol: Protocol,
    cache: Path | None,
    material: Material,
    paired: bool,
) -> None:
    """The scorer's classes of outputs against the inputs' own; those of real targets, where paired, are the ceiling."""
    palette, file = material.palette, protocol.scorer
    assert palette is not None
    assert file is not None
    assert material.inputs is not None
    classes = len(palette.names)
    truth = labelmaps.decode(material.inputs, palette)
    with full_precision():
        output = scorer.segmented(file, generated, classes)
    found.add_maps("fcn_", labelmaps.confusions(truth, output, classes), metrics)
    if paired:
        segment = partial(scorer.segmented, file, reference, classes)
        with full_precision():
            real = kept(cache, "scorer", (scorer.sha256(file), classes), [reference], segment)
        ceiling = labelmaps.scores(labelmaps.confusions(truth, real, classes).sum(axis=0))
        found.bounds |= {
            f"fcn_{name}": {"ceiling": float(ceiling[name])} for name in OF_MAPS if f"fcn_{name}" in metrics
        }


def entries(lpips: dict[str, Any], protocol: Protocol, material: Material) -> dict[str, dict[str, Any]]:
    """The stamp of each of these metrics; `lpips` is that of LPIPS."""
    numpy, palette = {"numpy version": version("numpy")}, material.palette
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
        if protocol.scorer is not None:
            found |= dict.fromkeys(
                [f"fcn_{name}" for name in OF_MAPS], maps | {"scorer_sha256": scorer.sha256(protocol.scorer)}
            )
    if material.labelled is not None:
        of = material.labelled
        found["adaptation"] = adaptation.SETTINGS | {
            "steps": protocol.adaptation_steps,
            "classes": of.classes,
            "learned_from": len(of.source),
            "torch version": version("torch"),
        }
    return found

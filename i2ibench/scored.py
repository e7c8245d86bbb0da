"""Which metrics the rows of a data set are scored by, and why not by others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2ibench import registry, yamlfile
from i2ibench.config import Config
from i2ibench.data.source import Source
from i2ibench.entries import Entry
from i2ibench.errors import ConfigError, did_you_mean
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.protocol import Protocol

if TYPE_CHECKING:
    from i2ibench.plan import Plan
    from i2ibench.spec import TrialSpec

# What a metric of the points of curves may need: nothing of the networks but the test images' translations.
OF_OUTPUTS = frozenset({"pairs", "palette", "scorer"})


def of_data(config: Config, entry: Entry, source: Source, protocol: Protocol) -> tuple[str, ...]:
    """The data set's own metrics, else the benchmark's, else those of the default set that can be had for it."""
    names, path = _named(config, entry)
    if names is None:
        return tuple(m for m in METRICS if METRICS[m].default and not _hindrance(m, entry, source, protocol))
    if not names:
        raise config.error(path, f"name at least one metric; available: {', '.join(METRICS)}")
    for i, name in enumerate(names):
        if name not in METRICS:
            raise config.error((*path, i), f"unknown metric '{name}'; {did_you_mean(name, METRICS)}")
        if hindrance := _hindrance(name, entry, source, protocol):
            raise config.error((*path, i), hindrance)
    return tuple(metric for metric in METRICS if metric in names)


def lacking(spec: TrialSpec) -> set[str]:
    """What a trial's method does not have of what metrics need.

    Outputs that do not belong to their inputs have no targets, labels or label maps of their own either.
    """
    found: set[str] = set() if spec.scores_pairs else {"pairs", "scorer", "labels"}
    return found | {need for need, has in (("styles", spec.multimodal), ("cycle", spec.bidirectional)) if not has}


def check(config: Config, plan: Plan) -> None:
    """Raise ConfigError for a metric that no row or curve can have, and for one training under two declarations.

    The scores of a trial are kept by what its data set declares, and made once in a run.
    """
    kinds = {"styles": "multimodal", "cycle": "bidirectional"}
    for entry in config.data:
        names, path = _named(config, entry)
        rows = [spec for spec in plan.trials if spec.data == entry.label]
        for i, name in enumerate(names or ()):
            kind = next((kinds[need] for need in METRICS[name].needs if need in kinds), None)
            if kind and rows and not any(name in plan.metrics(spec) for spec in rows):
                able = ", ".join(n for n in registry.methods() if getattr(registry.method(n), kind))
                raise config.error((*path, i), f"metric '{name}' is of {kind} methods ({able}), and there is none here")
    for i, name in enumerate(config.header.evaluation.curve_metrics or ()):
        place = ("evaluation", "curve_metrics", i)
        if name not in plan.all_metrics:
            raise config.error(place, f"nothing is scored by '{name}'; {did_you_mean(name, plan.all_metrics)}")
        if not METRICS[name].needs <= OF_OUTPUTS:
            raise config.error(place, f"metric '{name}' asks more of the networks than the outputs; leave it out here")
    first: dict[str, TrialSpec] = {}
    for spec in plan.trials:
        twin = first.setdefault(spec.id, spec)
        if twin.declared != spec.declared:
            raise ConfigError(
                f"{plan.data[spec.data].place}: these are the images of data set '{twin.data}' with another palette or "
                "other labels; keep one of them in a benchmark"
            )


def _named(config: Config, entry: Entry) -> tuple[tuple[str, ...] | None, yamlfile.Path]:
    """The metrics that the file names for a data set, and where: its own, else the benchmark's; None if it does not."""
    if entry.keys.metrics is not None:
        return entry.keys.metrics, (*entry.path, "metrics")
    return config.header.evaluation.metrics, ("evaluation", "metrics")


def _hindrance(metric: str, entry: Entry, source: Source, protocol: Protocol) -> str | None:
    """Why a data set cannot be scored by a metric, and what to do; None if it can."""
    if METRICS[metric].needs_pairs and source.pairing == "unpaired" and not source.hidden_pairs:
        free = ", ".join(m for m in METRICS if not METRICS[m].needs_pairs)
        return (
            f"metric '{metric}' compares outputs with their targets, and data set '{entry.label}' is unpaired; "
            f"there, use {free} (`metrics:` of the data set)"
        )
    needs, palette = METRICS[metric].needs, source.palette
    if needs - {"pairs"} and source.params.own_sizes:
        return (
            f"metric '{metric}' is for test images of one size, and those of data set '{entry.label}' keep their own "
            "(`test_size: own`); leave it out there"
        )
    for need, domain, maps in (("palette", "b", "targets"), ("scorer", "a", "inputs")):
        if need in needs and (palette is None or palette.domain != domain):
            found = "declares no `palette`" if palette is None else "has them on the other side in this direction"
            return f"metric '{metric}' needs {maps} that are label maps, and data set '{entry.label}' {found}"
    if "scorer" in needs and protocol.scorer is None and source.pairing == "unpaired":
        return (
            f"metric '{metric}' needs a segmentation network, and data set '{entry.label}' has no pairs to train one "
            "on; name its file in the protocol (`scorer: segment.py`)"
        )
    if "truths" in needs and source.truths(range(1)) is None:
        return (
            f"metric '{metric}' needs to know all true answers to an input, and data set '{entry.label}' does not; "
            "`source: shapes` does, from A to B"
        )
    if "labels" in needs and source.class_labels() is None:
        return (
            f"metric '{metric}' needs the class of each image, and data set '{entry.label}' does not tell it; "
            "declare it with `labels`"
        )
    if not source.params.own_sizes and source.params.size < (
        smallest := protocol.smallest(metric, source.params.scale)
    ):
        return f"metric '{metric}' needs images of {smallest} pixels; raise size, or leave it out"
    return None

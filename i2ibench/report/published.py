"""What others have published on the same data set and task: from published.yaml, beside one's own and never ranked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2ibench.data.named import Named
from i2ibench.metrics.catalog import METRICS
from i2ibench.report.board import Published
from i2ibench.yamlfile import Document

if TYPE_CHECKING:
    from i2ibench.data.source import Source
    from i2ibench.metrics.protocol import Protocol
    from i2ibench.plan import Plan

FILE = Path(__file__).with_name("published.yaml")
PAPERS = {"extractor": "inception-v3-compat", "lpips": "alex"}  # the networks of published FID and LPIPS


def of(plan: Plan, data: str) -> tuple[Published, ...]:
    """The published scores of one data set of a plan, by the metrics that it is scored by.

    Those over another feature network than the plan's protocol has, or resized in another way before it, are left
    out: they are other quantities.
    """
    entry = plan.data[data]
    return tuple(
        Published(
            row["method"],
            row.get("variant", ""),
            metric,
            row[metric],
            one["source"],
            one["cite"],
            one["kind"],
            one["protocol"],
        )
        for one in entries()
        if _agrees(one, entry.source)
        for row in one["scores"]
        for metric in entry.metrics
        if metric in row and _same_features(metric, plan.protocol, one.get("resize", "native"))
    )


@cache
def entries() -> tuple[Mapping[str, Any], ...]:
    """The file, as it stands there."""
    return tuple(Document(FILE.read_text(encoding="utf-8"), FILE.name).content)


def _agrees(one: Mapping[str, Any], source: Source) -> bool:
    """Whether a data set is the one that an entry speaks of, in its direction, and as it is."""
    if not isinstance(source, Named) or source.name != one["data"]:
        return False
    params = source.params
    domains = tuple(one.get("domains", ()))
    return (
        params.direction == one["direction"]
        and params.task is None
        and params.test_on is None
        and (not domains or tuple(source.domains) == domains)
    )


def _same_features(metric: str, protocol: Protocol, resize: str) -> bool:
    """Whether a metric of the protocol looks at images through the network, and at the size, of published numbers."""
    network = METRICS[metric].network
    if network == "extractor" and protocol.resize != resize:
        return False
    return network is None or {"extractor": protocol.extractor, "lpips": protocol.lpips_net}[network] == PAPERS[network]

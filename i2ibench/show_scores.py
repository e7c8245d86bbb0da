"""What `i2ibench score` prints: a table and its protocol, or JSON; progress and warnings go to standard error."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from i2ibench import scoring, show_assets
from i2ibench.columns import Columns
from i2ibench.metrics.catalog import METRICS, decimal, headed
from i2ibench.terminal import progress

if TYPE_CHECKING:
    from i2ibench.metrics.evaluate import Scores
    from i2ibench.metrics.protocol import Protocol

# What of a stamp stands below the table; --json has all of it.
SHOWN = ("generated", "generated_size", "reference", "reference_size", "extractor", "network", "weights_sha256",
         "input_size", "resize", "subsets", "subset_size", "neighbours")  # fmt: skip


def score(generated: Path, real: Path, protocol: str, metrics: str | None, *, paired: bool, as_json: bool) -> None:
    """Score one folder against another, and print what came out. `metrics` are names with commas between them."""
    the_protocol = scoring.protocol_of(protocol)
    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    talk = Console(stderr=True)
    with progress(talk, "") as advance:
        scores = scoring.score(
            generated,
            real,
            the_protocol,
            names,
            paired=paired,
            fetch=show_assets.ensure,
            advance=lambda what, done, total: advance(done, total, what),
        )
    if as_json:
        print(json.dumps(to_json(scores), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _table(scores, the_protocol)
    for warning in scores.stamp["warnings"]:
        talk.print(Text(f"warning: {warning}"), soft_wrap=not talk.is_terminal)


def to_json(scores: Scores) -> dict[str, Any]:
    """{metric: {"value", "low", "high", ...}, ..., "protocol": stamp}."""
    found = {name: {"value": value, **scores.intervals.get(name, {})} for name, value in scores.values.items()}
    return {**found, "protocol": scores.stamp}


def _table(scores: Scores, protocol: Protocol) -> None:
    console = Console()
    rows = []
    for name, value in scores.values.items():
        arrow = "↑" if METRICS[name].higher_is_better else "↓"
        found = scores.intervals.get(name)
        places, head = METRICS[name].places(value), headed(protocol.title(name), METRICS[name].unit)
        reach = f"{decimal(found['low'], places)} to {decimal(found['high'], places)}" if found else ""
        rows.append((f"{head} {arrow}", decimal(value, places), reach, found["kind"] if found else ""))
    console.print(Columns(("metric", "value", "95% interval", "of"), rows, right=("value",)))
    stamp = scores.stamp
    lines = [f"protocol {stamp['name']}, key {stamp['key']}, on {stamp['device']} (--json: all of its stamp)"]
    for names, facts in shared(stamp["metrics"]):
        of = "all" if len(names) == len(stamp["metrics"]) else ", ".join(METRICS[name].title for name in names)
        lines.append(f"{of}: " + ", ".join(f"{key} {short(value)}" for key, value in facts.items()))
    kinds = (", ".join(f"{count} {kind}" for kind, count in found.items()) for found in stamp["files"].values())
    lines.append("files: " + " against ".join(kinds))
    for line in lines:
        print(textwrap.fill(line, console.width, subsequent_indent="  ", break_on_hyphens=False))


def shared(entries: Mapping[str, Mapping[str, Any]]) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """The facts of a stamp that are `SHOWN`, each once, with the metrics that share it; what all share comes first."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for key in SHOWN:
        for value in (facts[key] for facts in entries.values() if key in facts):
            names = tuple(name for name, facts in entries.items() if facts.get(key) == value)
            groups.setdefault(names, {})[key] = value
    return sorted(groups.items(), key=lambda group: -len(group[0]))


def short(value: Any) -> str:
    """A fact of a stamp in few words."""
    if isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef"):
        return f"{value[:12]}…"  # a checksum; --json has all of it
    if isinstance(value, Mapping):
        return " to ".join(map(short, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " x ".join(map(str, value))
    return str(value)

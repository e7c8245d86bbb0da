"""What `i2ibench assets` prints: which protocol needs which weights, where they come from, and if they are here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

from i2ibench import assets
from i2ibench.errors import AssetError
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.protocol import PROTOCOLS, resolve
from i2ibench.terminal import progress, say


def listing() -> None:
    """Every asset in a few lines of less than 80 columns, long paths aside."""
    for entry in as_json():
        protocols: dict[str, list[str]] = {}
        for protocol, titles in entry["needed_by"].items():
            protocols.setdefault(", ".join(titles), []).append(protocol)
        uses = "; ".join(f"{', '.join(names)}: {titles}" for titles, names in protocols.items())
        print(f"{entry['name']}: {entry['state']}{' (' + entry['reason'] + ')' if entry['reason'] else ''}")
        for title, value in (
            ("needed by", uses or "protocols that are spelled out"),
            ("from", entry["source"]),
            ("sha256", entry["sha256"]),
            ("file", f"{entry['file']} ({entry['size'] / 1e6:.1f} MB)"),
        ):
            print(f"  {title:<10} {value}")


def as_json() -> list[dict[str, Any]]:
    """The same for programs; `needed_by` is {protocol: [titles of metrics]}."""
    return [
        {
            "name": name,
            "state": (found := assets.status(name)).state,
            "reason": found.reason,
            "needed_by": _needed_by(name),
            "source": asset.source,
            "sha256": asset.sha256,
            "size": asset.size,
            "file": str(found.path),
        }
        for name, asset in assets.ASSETS.items()
    ]


def fetch(names: Sequence[str], protocol: str | None, source: Path | None) -> None:
    """Fetch weights: those named, and those of a protocol (by default the offline one); or take them from a file.

    Raises:
        AssetError, ConfigError: an unknown name, no way to get the file, or a file that does not hold what was named.
    """
    wanted = [assets.find(name).name for name in names]
    if source is not None:
        given = assets.install(source)
        if missing := [name for name in wanted if name not in given]:
            raise AssetError(f"{source} holds {', '.join(given)}, and not {', '.join(missing)}")
        wanted = wanted or given
    if protocol is not None or not wanted:
        wanted += resolve(protocol or "offline").assets(METRICS)
    for name in dict.fromkeys(wanted):
        print(f"{name}: {ensure(name)}", flush=True)


def ensure(name: str) -> Path:
    """`assets.ensure` with what it does shown on standard error: a line, and a bar where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with progress(console, name, *columns) as advance:
        return assets.ensure(name, say=partial(say, console), progress=advance)


def verify() -> bool:
    """Read every cached file through; say what is right on standard output and what is not on standard error."""
    right = True
    for found in assets.verify():
        name = found.asset.name
        if found.state == "ok":
            print(f"{name}: right ({found.asset.size / 1e6:.1f} MB, sha256 {found.asset.sha256[:12]}…)")
        elif found.state == "missing":
            print(f"{name}: not in {found.path.parent}")
        else:
            right = False
            print(
                f"i2ibench: {found.path} is wrong and will not be used ({found.reason}): "
                f"run `i2ibench assets fetch {name}` to replace it",
                file=sys.stderr,
            )
    return right


def _needed_by(name: str) -> dict[str, list[str]]:
    found = {
        protocol.name: [METRICS[metric].title for metric in METRICS if name in protocol.assets([metric])]
        for protocol in PROTOCOLS.values()
    }
    return {protocol: titles for protocol, titles in found.items() if titles}

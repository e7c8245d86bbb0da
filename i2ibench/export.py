"""Results as one file for a paper's appendix: CSV, Markdown, LaTeX, Parquet or JSON, by the file's ending."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from i2ibench import benchmark
from i2ibench.disk import atomic_write
from i2ibench.errors import ConfigError, StoreError, did_you_mean

if TYPE_CHECKING:
    from i2ibench.plan import Plan
    from i2ibench.store import Store

ENDINGS = (".csv", ".md", ".tex", ".parquet", ".json")


def export(file: Path, to: Path, protocol: str | None = None) -> Path:
    """Write the leaderboards of a benchmark, as far as they are done, into the file `to`. Draws nothing.

    CSV, Parquet and JSON have a row for each data set and method: means, standard deviations, half-widths and n;
    JSON has the protocol stamps as well. Markdown and LaTeX are the report's.

    Raises:
        ConfigError: the benchmark file is wrong, nothing is scored under `protocol`, or the ending of `to` unknown.
        ResultsError: scores of one column were made under different protocols.
        StoreError: `to` cannot be written.
    """
    if to.suffix not in ENDINGS:
        ending = f"unknown ending '{to.suffix}'" if to.suffix else "leaderboards need an ending"
        raise ConfigError(f"--to {to}: {ending}; {did_you_mean(to.suffix, ENDINGS)} (and networks need --format)")
    plan, store = benchmark.load_scored(file, protocol)
    content = _content(to.suffix, plan, store)
    try:
        with atomic_write(to, "wb") as out:
            out.write(content)
    except OSError as error:
        raise StoreError(f"--to {to}: cannot be written ({error.strerror or error}); choose another place") from None
    return to


def _content(ending: str, plan: Plan, store: Store) -> bytes:
    from i2ibench import frames
    from i2ibench.report import build, latex, tables  # pandas takes a while to import

    built = build(plan, store)
    if ending == ".md":
        return tables.to_markdown(plan.name, built.tables, built.standings).encode()
    if ending == ".tex":
        return latex.render(plan.name, built.tables, built.standings, frames.stamps(plan, store)).encode()
    table = tables.to_frame(built.tables)
    if ending == ".csv":
        return str(table.to_csv(index=False)).encode()
    if ending == ".parquet":
        return bytes(table.to_parquet(None, index=False))
    rows = json.loads(str(table.to_json(orient="records", double_precision=15)))
    content = {"name": plan.name, "protocols": frames.stamps(plan, store), "rows": rows}
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"

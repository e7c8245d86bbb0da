"""The table of metrics in docs is the catalogue."""

from __future__ import annotations

from pathlib import Path

from i2ibench.metrics.catalog import METRICS, Metric

TABLE = Path(__file__).parents[2] / "docs" / "metrics.md"


def row(metric: Metric) -> str:
    arrow = "↑" if metric.higher_is_better else "↓"
    needs = ", ".join(sorted(metric.needs)) or "-"
    return f"| `{metric.name}` | {metric.title} {arrow} | {needs} | {metric.description} |"


def test_the_readme_has_every_metric() -> None:
    written = TABLE.read_text(encoding="utf-8")
    missing = "\n".join(row(metric) for metric in METRICS.values() if row(metric) not in written)
    assert not missing, f"docs/metrics.md should have these rows:\n{missing}"


def test_the_default_set_and_what_needs_pairs() -> None:
    assert {m for m in METRICS if METRICS[m].default} == {"fid", "kid", "lpips", "ssim", "psnr"}
    assert {m for m in METRICS if METRICS[m].needs_pairs} >= {"lpips", "ssim", "ms_ssim", "psnr", "l1"}

"""The six methods of the default benchmark, a minute on glyphs (Sans to Bold) each, beat `copy` at what they are for.

Bold is a target that the input itself does not come near, on any metric. Methods that learn from pairs minimise a
distance to the target, so PSNR; those without pairs never see one, and what they make is to look right, so LPIPS.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from i2ibench import benchmark

pytestmark = pytest.mark.slow

CASES = {
    "vae": ("psnr", {"steps": 500, "batch_size": 16}),
    "cvae": ("psnr", {"steps": 500, "batch_size": 16}),
    "pix2pix": ("psnr", {"steps": 600, "batch_size": 32}),
    "cyclegan": ("lpips", {"steps": 400, "batch_size": 4}),
    "unit": ("lpips", {"steps": 400, "batch_size": 4}),
    "munit": ("lpips", {"steps": 400, "batch_size": 4}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_minute_of_training_beats_copy(name: str, tmp_path: Path) -> None:
    metric, training = CASES[name]
    content = {
        "seeds": 1,
        "store": str(tmp_path / "runs"),
        "reports": str(tmp_path / "reports"),
        "data": {"glyphs": {"size": 32, "target_font": "DejaVu Sans Bold"}},
        "methods": {"copy": None, name: {"preset": "tiny", "training": training}},
        "evaluation": {"metrics": [metric]},
    }
    file = tmp_path / "learning.yaml"
    file.write_text(yaml.safe_dump(content))
    summary = benchmark.run(file, executor="local")
    table = pd.read_parquet(summary.report.parent / "results.parquet")
    value = table[table["metric"] == metric].set_index("label")["value"]
    better = value[name] > value["copy"] if metric == "psnr" else value[name] < value["copy"]
    assert better, f"{metric}: {name} {value[name]:.4g}, copy {value['copy']:.4g}"

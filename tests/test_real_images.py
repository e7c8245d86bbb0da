"""All six methods on real photographs and drawings, paired side by side, paired by name, and unpaired."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("name", "unpaired"), [("facade-windows", False), ("emoji", False), ("emoji", True)])
def test_every_method_runs_on_real_images(shared_data: Path, tmp_path: Path, name: str, unpaired: bool) -> None:
    """The benchmark file that ships, with its budget cut to a few steps."""
    content = yaml.safe_load((ROOT / "benchmarks" / f"{name}.yaml").read_text(encoding="utf-8"))
    content |= {"training": {"steps": 3, "batch_size": 2}, "store": str(tmp_path / "runs"), "reports": str(tmp_path)}
    data = {"path": str(shared_data / name), "size": 64, "load_size": 72, "metrics": ["fid" if unpaired else "psnr"]}
    content["data"][name] |= data
    if unpaired:
        content["data"][name]["layout"] = "unpaired"
    for settings in content["methods"].values():
        if settings:
            settings.pop("training", None)
    file = tmp_path / "b.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    command = [sys.executable, "-m", "i2ibench", "run", str(file), "--executor", "local"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    table = pd.read_parquet(tmp_path / name / "results.parquet")
    states = table.groupby("label")["state"].first().to_dict()
    paired = {"vae", "cvae", "pix2pix"}
    assert {label for label, state in states.items() if state == "skipped"} == (paired if unpaired else set())
    assert {state for label, state in states.items() if label not in paired} == {"done"}

"""What a script meets: a package whose types its checker knows."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
from pathlib import Path

import numpy as np

import i2ibench

reveal_type(i2ibench.run(Path("b.yaml")).report)
reveal_type(i2ibench.results("b.yaml"))
model = i2ibench.load("vae")
reveal_type(model.translate("photo.jpg"))
reveal_type(model.translate(np.zeros((2, 8, 8, 3), np.uint8)).shape)
reveal_type(model.translate(["one.png", "two.png"])[0].shape)
i2ibench.run(3)
"""
TYPES = ("pathlib.Path | None", "DataFrame", "ndarray", "tuple[", "tuple[", 'incompatible type "int"')


def test_an_installation_is_marked_as_typed() -> None:
    assert (ROOT / "i2ibench/py.typed").exists()
    assert '"i2ibench" = ["py.typed"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_type_checker_knows_what_comes_back(tmp_path: Path) -> None:
    """Of an installation: from a path of sources it takes types whether or not they are marked."""
    pytest.importorskip("mypy")
    venv.create(tmp_path / "venv")
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "i2ibench").symlink_to(ROOT / "i2ibench")
    for needed in ("numpy", "PIL", "pandas", "pandas-stubs"):
        (site / needed).symlink_to(Path(sysconfig.get_path("purelib"), needed))
    (tmp_path / "script.py").write_text(SCRIPT)
    options = ["--follow-imports=silent", "--ignore-missing-imports", f"--python-executable={tmp_path}/venv/bin/python"]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    said = [line for line in run.stdout.splitlines() if line.startswith("script.py")]
    assert len(said) == len(TYPES), run.stdout
    assert all(expected in line for line, expected in zip(said, TYPES, strict=True)), run.stdout

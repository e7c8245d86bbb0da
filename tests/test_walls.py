"""The walls between the rooms: import-linter's contracts, and what a command really loads."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_import_contracts_hold() -> None:
    pytest.importorskip("importlinter", reason="import-linter belongs to the extra `dev`; CI has it")
    run = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import i2ibench", "torch ray pandas numpy pydantic typer"),
        ("import i2ibench.cli", "torch ray pandas numpy pydantic"),
        ("from i2ibench import benchmark; benchmark.load('benchmark.yaml')", "torch ray pandas seaborn numpy scipy"),
        ("import i2ibench.report, i2ibench.frames, i2ibench.statistics", "torch ray"),
        ("import i2ibench.trial", "ray pandas"),
    ],
)
def test_commands_load_only_what_they_need(code: str, forbidden: str) -> None:
    script = f"import sys; {code}; print(*sorted(set(sys.modules) & set('{forbidden}'.split())))"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []

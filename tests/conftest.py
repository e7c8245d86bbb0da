"""Helpers of the whole suite: throw-away benchmark files, and a cache that no test shares with the user."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from i2ibench import cli
from i2ibench.build import limit_threads

limit_threads(1)  # the tests run side by side, one process per core
# Ray's workers are as nice as can be, and would starve beside the other tests.
os.environ.setdefault("RAY_worker_niceness", "0")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"

TINY = """
    name: tiny
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data:
      glyphs: {{size: 16}}
    methods:
      copy:
      tiny: {{method: {tmp}/tiny.py}}
    training: {{steps: 6, batch_size: 4, log_every: 2, checkpoint_every: 2}}
    evaluation: {{metrics: [ssim, psnr]}}
"""

TINY_METHOD = '''
    """A network of one layer: trains in a moment, yet goes through everything that a real method does."""

    from i2ibench.method import Batch, Method, Task, Turn


    class Tiny(Method):
        paper = "none"
        pairing = "paired"
        players = ("generator",)

        class Params(Method.Params):
            lr: float = 0.01
            poison_at: int | None = None  # a NaN appears at this step

        def build(self, task: Task) -> None:
            import torch

            self.generator = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Dropout(0.1))
            self.steps = 0

        def step(self, batch: Batch, turn: Turn) -> None:
            self.steps += 1
            with turn("generator") as loss:
                loss.l1 = (self.generator(batch.a) - batch.b).abs().mean()
                if self.steps == self.params.poison_at:
                    loss.l1 = loss.l1 * float("nan")

        def translate(self, a, *, rng):
            return self.generator(a).clamp(-1, 1)
'''


@pytest.fixture
def benchmark_file(tmp_path: Path) -> Callable[..., Path]:
    """`benchmark_file()` writes the smallest real benchmark; `benchmark_file(text)` another one ({tmp} is its folder)."""

    def write(text: str = TINY, name: str = "benchmark.yaml") -> Path:
        (tmp_path / "tiny.py").write_text(textwrap.dedent(TINY_METHOD).lstrip(), encoding="utf-8")
        file = tmp_path / name
        file.write_text(textwrap.dedent(text).replace("{tmp}", str(tmp_path)).replace("{{", "{").replace("}}", "}"))
        return file

    return write


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images that lie beside the repository on the project's own machines."""
    if not SHARED.is_dir():
        pytest.skip("the folder shared/data is not beside this repository")
    return SHARED


@pytest.fixture
def command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: `command_line("score", ...)` gives exit code, standard output and error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["i2ibench", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        return int(left.value.code or 0), *capsys.readouterr()

    return call

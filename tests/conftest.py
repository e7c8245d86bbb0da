"""Helpers of the whole suite: throw-away benchmark files, the command line, and a browser."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(autouse=True)
def _no_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """`precision: auto` is fp32 within the tests' own process, so that their numbers hang on no processor."""
    import torch

    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)


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


class Browser:
    """Headless Chromium over a pipe: as much of the DevTools protocol as the test needs."""

    def __init__(self, program: str, profile: Path) -> None:
        (to_read, self._out), (self._in, to_write) = os.pipe(), os.pipe()
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
            "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",  # a webcam that nobody is asked for
            "--no-first-run", f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip
        script = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, program, *flags],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._rest, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        (page,) = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                ready, _, _ = select.select([self._in], [], [], 120)
                assert ready, f"the browser has not answered to {method} for two minutes"
                more = os.read(self._in, 1 << 16)
                assert more, "the browser has gone"
                self._rest += more
            line, self._rest = self._rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def value(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The value of an expression, as soon as it is one."""
        deadline = time.monotonic() + 90
        while not (value := self.value(expression)):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)
        return value

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        os.close(self._in)
        os.close(self._out)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    found = Browser(program, tmp_path / "profile")
    yield found
    found.close()

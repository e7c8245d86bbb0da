"""The live report: what is served, to whom, and that it is drawn again and ends when it is told to."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from i2ibench import benchmark
from i2ibench.errors import ConfigError
from i2ibench.serve import Drawer, listen, serve

LIMIT = 240  # seconds that anything may take on a machine that is busy


@pytest.fixture
def drawer(benchmark_file: Callable[..., Path], tmp_path: Path) -> Drawer:
    file = benchmark_file()
    folder = tmp_path / "served"
    folder.mkdir()
    return Drawer(file, *benchmark.load(file), folder, every=1.0)


@contextmanager
def served(drawer: Drawer) -> Iterator[Callable[..., tuple[int, str, http.client.HTTPResponse]]]:
    """A server in a thread; call what it gives with a path to get status, text and response."""
    with listen(drawer, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def ask(path: str, method: str = "GET", host: str | None = None) -> tuple[int, str, http.client.HTTPResponse]:
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=LIMIT)
            connection.request(method, path, headers={"Host": host} if host else {})
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
            connection.close()
            return response.status, text, response

        try:
            yield ask
        finally:
            server.shutdown()
            thread.join()


def finish(drawer: Drawer) -> None:
    for spec in drawer.plan.trials:
        trial, key = drawer.store.trial(spec.id), drawer.plan.key
        trial.write_result({"id": spec.id, "cost": {"parameters": 84}, "players": {}, "provenance": {}})
        stamp = {"name": "offline", "warnings": [], "metrics": {m: {"revision": 1} for m in ("ssim", "psnr")}}
        scores = {"key": key, "values": {"ssim": 0.5, "psnr": 11.0}, "protocol": stamp}
        trial.write_scores(key, scores, {"ssim": np.zeros(4)})


@pytest.mark.slow
def test_the_page_is_drawn_and_drawn_again_when_there_are_results(
    drawer: Drawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2ibench.serve.QUIET_SHARE", 1.0)  # no pause after a drawing
    with served(drawer) as ask:
        status, text, _ = ask("/")
        assert status == 200
        assert "appears here" in text
        with drawer:
            until(lambda: drawer.version == 1, drawer)
            first = ask("/")[1]
            assert "0 of 2 trials finished" in first
            assert 'src="progress?drawn=1"' in first
            assert "parent.location.reload" not in ask("/progress?drawn=1")[1]
            assert "Learning curves" not in first
            points = [{"step": step, "seconds": step / 9, "generator.l1": 1 / step} for step in (2, 4)]
            drawer.store.trial(drawer.plan.trials[1].id).write_curves(points)
            until(lambda: "Learning curves" in ask("/")[1], drawer)  # of a training that is under way
            finish(drawer)
            until(lambda: drawer.version > 1 and "2 of 2 trials finished" in ask("/")[1], drawer)
        assert "parent.location.reload" in ask("/progress?drawn=1")[1]
        assert ask("/leaderboard.csv")[1].startswith("data,")
    assert not (drawer.store.path.parent / "reports").exists()


def until(done: Callable[[], bool], drawer: Drawer) -> None:
    end = time.monotonic() + LIMIT
    while not done():
        assert not drawer.error
        assert time.monotonic() < end
        time.sleep(0.05)


def test_nothing_but_the_report_is_served_and_nothing_can_be_changed(drawer: Drawer) -> None:
    (drawer.folder / "leaderboard.csv").write_text("data\n")
    (drawer.folder / ".drawn-from").write_text("secret")
    (drawer.folder.parent / "secret").write_text("secret")
    with served(drawer) as ask:
        assert ask("/leaderboard.csv")[:2] == (200, "data\n")
        for path in (
            "/../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "//secret",
            "/secret",
            "/.drawn-from",
            "/%2edrawn-from",
            "/leaderboard%00.csv",
            "/%ed%a0%80",
        ):
            status, text, _ = ask(path)
            assert status in (301, 400, 403, 404), path
            assert "secret" not in text.replace(path, ""), path
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert ask("/leaderboard.csv", method)[0] == 501
        assert ask("/leaderboard.csv", "HEAD")[:2] == (200, "")
        assert ask("/progress")[2].headers["Cache-Control"] == "no-store"


def test_a_name_of_elsewhere_that_points_here_gets_nothing(drawer: Drawer) -> None:
    (drawer.folder / "leaderboard.csv").write_text("data\n")
    with served(drawer) as ask:
        for host in ("evil.example", "evil.example:80"):
            assert ask("/leaderboard.csv", host=host)[0] == 403
        for host in ("localhost:1", "127.0.0.1", "[::1]:3"):
            assert ask("/leaderboard.csv", host=host)[0] == 200


def test_progress_shows_who_failed_and_escapes_what_it_says(drawer: Drawer) -> None:
    drawer.store.trial(drawer.plan.trials[1].id).write_error("FAILED", "<script>alert(1)</script>")
    with served(drawer) as ask:
        text = ask("/progress")[1]
    assert "0 of 2 trials done" in text
    assert "1 failed" in text
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text


def test_an_address_that_is_taken_is_one_line(drawer: Drawer, benchmark_file: Callable[..., Path]) -> None:
    with (
        listen(drawer, "127.0.0.1", 0) as taken,
        pytest.raises(ConfigError, match=r"127.0.0.1:\d+: cannot be listened on \(.*\); choose another --port"),
    ):
        serve(benchmark_file(), port=taken.server_port)


def test_ctrl_c_ends_the_command_without_a_word(benchmark_file: Callable[..., Path]) -> None:
    command = [sys.executable, "-m", "i2ibench", "serve", str(benchmark_file()), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        assert re.fullmatch(r"tiny: http://127\.0\.0\.1:\d+/ \(Ctrl-C ends it\)\n", line), process.stderr.read()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(timeout=LIMIT) == 0
        finally:
            process.kill()
        assert process.stderr.read() == ""

"""The command line as a user meets it: real processes, their exit codes and their one-line errors."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from i2ibench import __version__
from i2ibench.cli import app

Write = Callable[..., Path]
COMMANDS = ("run", "plan", "status", "report", "evaluate", "methods", "datasets", "doctor", "assets")


def i2ibench(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "i2ibench", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def test_help_names_every_command() -> None:
    run = i2ibench("--help")
    assert run.returncode == 0
    for command in COMMANDS:
        assert command in run.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    run = i2ibench(command, "--help")
    assert run.returncode == 0
    assert "Usage" in run.stdout


def test_help_shows_no_type_beside_flags(command_line: Callable[..., tuple[int, str, str]]) -> None:
    named = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    for command in ((), ("data",), ("data", "fetch"), ("assets",), ("assets", "fetch"), *((name,) for name in named)):
        _, out, _ = command_line(*command, "--help")
        assert "--help" in out
        assert "<bool>" not in out, command


def test_version() -> None:
    assert i2ibench("--version").stdout.strip() == f"i2ibench {__version__}"


def test_run_plan_status_report(benchmark_file: Write, tmp_path: Path) -> None:
    file = benchmark_file()
    before = json.loads(i2ibench("plan", file, "--json").stdout)
    assert [trial["state"] for trial in before["trials"]] == ["waiting", "waiting"]
    run = i2ibench("run", file, "-x", "local")
    assert run.returncode == 0, run.stderr
    assert f"report: {tmp_path / 'reports' / 'tiny' / 'index.html'}" in run.stdout
    assert "2 cached, 0 to do" in i2ibench("plan", file).stdout
    assert i2ibench("status", file).stdout.count("done") == 2
    (tmp_path / "reports" / "tiny" / "leaderboard.csv").unlink()
    assert i2ibench("report", file).returncode == 0
    assert (tmp_path / "reports" / "tiny" / "leaderboard.csv").exists()


def test_failed_trials_exit_with_1(benchmark_file: Write) -> None:
    file = benchmark_file("""
        seeds: 1
        store: {tmp}/runs
        reports: {tmp}/reports
        data: {{glyphs: {{size: 16}}}}
        methods: {{bad: {{method: tiny.py, poison_at: 1}}}}
        training: {{steps: 2, batch_size: 2, log_every: 1}}
        evaluation: {{metrics: [psnr]}}
    """)
    run = i2ibench("run", file, "-x", "local")
    assert run.returncode == 1
    assert "1 of 1 trials failed" in run.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {{glyphs: }}\nmethods: {{pix2pics: }}", "did you mean 'pix2pix'"),
        ("data: {{glyphs: }}\nmethods: {{copy: }}\nstore: /proc/nowhere", "cannot be written"),
        ("data: {{glyphs: [}}\nmethods:", "not valid YAML"),
        ("data:\n\tglyphs:\nmethods: {{copy: }}", ":2: not valid YAML: a tab in the indentation; use spaces"),
        ("data: {{glyphs: {{size: [16, 32]}}}}\nmethods: {{copy: }}", "{grid: [16, 32]} tries each"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    benchmark_file: Write, tmp_path: Path, text: str, message: str
) -> None:
    run = i2ibench("run", benchmark_file(text), "-x", "local")
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert message in run.stderr
    assert run.stdout == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("place", ["a file", "/proc/nowhere"])
def test_a_plan_refuses_a_store_that_a_run_could_not_write(benchmark_file: Write, tmp_path: Path, place: str) -> None:
    file = benchmark_file()
    (tmp_path / "a file").touch()
    file.write_text(file.read_text().replace(str(tmp_path / "runs"), str(tmp_path / place)))
    before = sorted(tmp_path.rglob("*"))
    run, plan = (i2ibench(*command, file) for command in (("run", "-x", "local"), ("plan",)))
    assert plan.stderr.startswith(f"i2ibench: store {tmp_path / place}: cannot be written")
    assert (plan.returncode, plan.stdout, plan.stderr) == (run.returncode, run.stdout, run.stderr)
    assert plan.returncode == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_who_would_replace_the_report_of_another_file_is_told(benchmark_file: Write, tmp_path: Path) -> None:
    one = benchmark_file()
    two = one.with_name("two.yaml")
    two.write_text(one.read_text())
    told = (
        f"i2ibench: {tmp_path}/reports/tiny holds the report of {one}, which that of {two} replaces; "
        "to keep both, give one of the files another `name:`\n"
    )
    assert i2ibench("run", one, "-x", "local").stderr == ""
    assert (tmp_path / "reports" / "tiny" / ".drawn-from").read_text().endswith("\n../../benchmark.yaml\n")
    assert i2ibench("plan", one).stderr == ""
    plan = i2ibench("plan", two, "--json")
    assert (plan.returncode, plan.stderr) == (0, told)
    assert len(json.loads(plan.stdout)["trials"]) == 2
    run = i2ibench("run", two, "-x", "local")
    assert (run.returncode, run.stderr) == (0, told)
    assert (i2ibench("plan", two).stderr, i2ibench("plan", one).stderr.count("\n")) == ("", 1)


def test_ctrl_c_says_how_to_go_on(benchmark_file: Write, tmp_path: Path) -> None:
    file = benchmark_file()
    file.write_text(file.read_text().replace("steps: 6", "steps: 100000"))
    command = [sys.executable, "-m", "i2ibench", "run", str(file), "-x", "local"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "runs").glob("tiny-*/checkpoints/*.pt")) and time.monotonic() < deadline:
        time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "run the same command again to go on" in said


def test_the_keys_of_a_method_are_listed() -> None:
    assert "lambda_l1" in i2ibench("methods", "pix2pix").stdout
    assert "did you mean 'pix2pix'" in i2ibench("methods", "pix2pics").stderr


def test_unknown_executor_and_missing_file(benchmark_file: Write) -> None:
    assert "unknown executor 'rey'" in i2ibench("run", benchmark_file(), "-x", "rey").stderr
    assert i2ibench("run", "absent.yaml").returncode == 2
    assert "no such file" in i2ibench("run", "absent.yaml").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "i2ibench run: missing argument 'BENCHMARK'; see `i2ibench run --help`\n"),
        (["runn"], "i2ibench: no such command 'runn'. Did you mean 'run'? see `i2ibench --help`\n"),
        (["plan", "a.yaml", "--nodes", "4"], "i2ibench: --nodes counts only with --simulate\n"),
        (["run", "a.yaml", "--fast"], "i2ibench run: no such option: --fast; see `i2ibench run --help`\n"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(arguments: list[str], message: str) -> None:
    run = i2ibench(*arguments)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", message)


def test_evaluate_says_what_it_cannot_score_yet(benchmark_file: Write) -> None:
    run = i2ibench("evaluate", benchmark_file())
    assert run.returncode == 0, run.stderr
    assert "2 of 2 trials are not trained yet; `i2ibench run` trains them" in run.stderr


def test_missing_weights_say_how_to_get_them(benchmark_file: Write, tmp_path: Path) -> None:
    """The standard protocol's weights come from a release page that this test cuts off; the number must not be another one."""
    file = benchmark_file()
    file.write_text(file.read_text().replace("metrics: [ssim, psnr]", "metrics: [fid], protocol: standard"))
    run = i2ibench("run", file, "-x", "local", I2IBENCH_CACHE=str(tmp_path / "cache"), HTTPS_PROXY="http://127.0.0.1:9")
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "assets fetch --from" in run.stderr


def test_methods_as_json_has_the_papers_parameter_counts() -> None:
    listed = {entry["name"]: entry for entry in json.loads(i2ibench("methods", "--json").stdout)}
    assert listed["pix2pix"]["parameters"]["paper"] == {"generator": 54_413_955, "discriminator": 2_768_705}
    assert set(listed["cyclegan"]["parameters"]["paper"].values()) == {11_378_179, 2_764_737}
    assert listed["munit"]["multimodal"] is True
    assert listed["cyclegan"]["pairing"] == "unpaired"
    assert all({"tiny", "small", "paper"} <= set(e["parameters"]) for e in listed.values() if e["year"])


def test_doctor_and_lists_answer() -> None:
    assert "torch" in i2ibench("doctor").stdout
    assert "glyphs" in i2ibench("datasets").stdout
    assert "vgg16-features" in i2ibench("assets", "list").stdout

"""Scripts and settings without a cluster: one source of truth, and mistakes that are named before a job is queued."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2ibench import benchmark, config, lease
from i2ibench.errors import ConfigError
from i2ibench.slurm import submit
from i2ibench.slurm.checks import checks, file_system
from i2ibench.slurm.script import benchmark_of, defaults, render
from i2ibench.slurm.settings import Slurm, seconds

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of our own; the site's file is in it, once a test writes it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("I2IBENCH_SLURM", raising=False)
    return tmp_path / ".config" / "i2ibench" / "slurm.yaml"


@pytest.mark.parametrize("file", sorted(defaults()))
def test_the_committed_scripts_are_what_submit_writes(file: str) -> None:
    assert (ROOT / "slurm" / file).read_text() == defaults()[file], "run `python -m i2ibench.slurm.script slurm`"


@pytest.mark.parametrize(
    "slurm", [Slurm(nodes=2, memory="8G", options=("--mail-type=END",)), Slurm(array=3, wrapper="nice -n 1")]
)
def test_a_script_is_valid_shell(slurm: Slurm) -> None:
    text = render(slurm, name="a benchmark's name; rm -rf /", benchmark="it's $HOME/b c.yaml", path="/a b/bin")
    checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "#SBATCH --job-name=a-benchmark-s-name-rm-rf-\n" in text
    line = next(line for line in text.splitlines() if line.startswith("benchmark="))
    said = subprocess.run(["bash", "-c", f'{line}; printf %s "$benchmark"'], capture_output=True, text=True)
    assert said.stdout == benchmark_of(text) == "it's $HOME/b c.yaml"


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("file", sorted(defaults()))
def test_shellcheck_finds_nothing(file: str) -> None:
    done = subprocess.run(
        ["shellcheck", "--severity=warning", str(ROOT / "slurm" / file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_what_is_asked_for_stands_in_the_script() -> None:
    slurm = Slurm(nodes=3, gpus_per_node=4, gpu_type="a100", cpus_per_node=32, memory="100G", time="2-0", account="lab")
    lines = render(slurm).splitlines()
    wanted = ("nodes=3", "gres=gpu:a100:4", "cpus-per-task=32", "mem=100G", "time=2-0", "account=lab", "requeue")
    assert {f"#SBATCH --{option}" for option in wanted} <= set(lines)
    assert not any("partition" in line or "--array" in line for line in lines if line.startswith("#SBATCH"))


def test_without_gpus_none_is_asked_for_and_an_array_is_of_single_nodes() -> None:
    text = render(Slurm(gpus_per_node=0, array=5))
    assert "--gres" not in text
    assert "#SBATCH --array=0-4\n" in text
    assert "#SBATCH --nodes=1\n" in text


def test_the_command_goes_before_the_file_and_the_file_before_the_site(
    benchmark_file: Callable[..., Path], no_site: Path
) -> None:
    file = benchmark_file()
    no_site.parent.mkdir(parents=True)
    no_site.write_text("partition: site\naccount: site\nqos: site\ntime: 30\n")
    file.write_text(file.read_text() + "slurm: {partition: file, account: file}\n")
    chosen = submit.settings(config.load(file), {"partition": "command", "account": None, "options": ()})
    assert (chosen.partition, chosen.account, chosen.qos, chosen.time) == ("command", "file", "site", "30")
    assert chosen.notice_seconds == 120


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slurm: {node: 2}", "slurm.node: unknown key 'node'; did you mean 'nodes'"),
        ("slurm: {time: soon}", "slurm.time: should be a time such as 90 (minutes)"),
        ("slurm: {time: 0}", "slurm.time: a time limit of 0 means none at all to Slurm"),
        ("slurm: {partition: 'a b'}", "slurm.partition: "),
        ('slurm: {setup: ["a\\nb"]}', "slurm.setup.0: "),
        ("slurm: {options: [exclusive]}", "slurm.options: an option of sbatch begins with a dash"),
        ("slurm: {nodes: 2, array: 4}", "slurm: the jobs of an array have one node each"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(benchmark_file: Callable[..., Path], text: str, message: str) -> None:
    file = benchmark_file()
    file.write_text(file.read_text() + text + "\n")
    with pytest.raises(ConfigError, match=r"benchmark\.yaml:1[0-9]") as error:
        config.load(file)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nodes": 0}, "--nodes: "),
        ({"time": "1:2:3:4"}, "--time: should be a time"),
        ({"notice": 600, "time": "5"}, "notice of 600 s with a time limit of 5"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    benchmark_file: Callable[..., Path], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        submit.settings(config.load(benchmark_file()), options)
    assert message in str(error.value)


def test_a_dry_run_prints_the_script_and_needs_no_slurm(
    benchmark_file: Callable[..., Path], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = command_line("submit", benchmark_file(), "--array", 4, "--option=--exclusive", "--dry-run")
    assert code == 0
    assert out.startswith("#!/bin/bash\n")
    assert "#SBATCH --exclusive\n" in out


def test_without_slurm_submit_says_so(
    benchmark_file: Callable[..., Path],
    command_line: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, error = command_line("submit", benchmark_file())
    assert code == 2
    assert "there is no sbatch on this machine" in error


def test_doctor_finds_what_is_missing(
    benchmark_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("I2IBENCH_CACHE", str(tmp_path / "cache"))
    file = benchmark_file()
    file.write_text(file.read_text().replace("[ssim, psnr]", "[fid]"))
    found = {check.what: check for check in checks(file)}
    assert found["Slurm"].state == "wrong"
    assert found["plan and data"].state == "ok"
    assert found["weights vgg16-features"].state == "wrong"
    assert "i2ibench assets fetch vgg16-features" in found["weights vgg16-features"].found
    file.write_text(file.read_text().replace("tiny.py", "gone.py"))
    assert {check.what: check.state for check in checks(file)}["plan and data"] == "wrong"


def test_file_systems_are_told_by_the_longest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a / ext4 rw 0 0\nb {tmp_path} nfs4 rw 0 0\nc {tmp_path}/a\\040b lustre rw 0 0\n")
    assert file_system(tmp_path / "x", mounts) == "nfs4"
    assert file_system(tmp_path / "a b" / "c", mounts) == "lustre"
    assert file_system(tmp_path.parent, mounts) == "ext4"


@given(days=st.integers(0, 9), hours=st.integers(0, 23), minutes=st.integers(1, 59), rest=st.integers(0, 59))
def test_times_are_read_as_slurm_reads_them(days: int, hours: int, minutes: int, rest: int) -> None:
    total = ((days * 24 + hours) * 60 + minutes) * 60
    assert seconds(f"{days}-{hours:02}:{minutes:02}:{rest:02}") == total + rest
    assert seconds(f"{days}-{hours:02}:{minutes:02}") == total
    assert seconds(f"{days * 24 + hours}:{minutes:02}:{rest:02}") == total + rest
    assert seconds(f"{minutes}:{rest:02}") == 60 * minutes + rest
    assert seconds(str(minutes)) == 60 * minutes


def test_a_plan_is_simulated_on_fewer_and_fewer_nodes(
    benchmark_file: Callable[..., Path], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = command_line("plan", benchmark_file(), "--simulate", "--nodes", 4, "--gpus-per-node", 2)
    assert code == 0
    assert "2 trials on nodes of 2 GPUs and 8 cores" in out
    assert re.findall(r"^ *(\d+)  +\d+:", out, re.MULTILINE) == ["4", "2", "1"]
    assert "Of 1 training, 0 are taken to last" in out


def test_who_does_not_wait_leaves_what_others_work_on_and_the_report_to_them(
    benchmark_file: Callable[..., Path],
) -> None:
    file = benchmark_file()
    plan, store = benchmark.load(file)
    busy = next(spec for spec in plan.trials if spec.trained)
    held = lease.acquire(store.trial(busy.id).path)
    assert held is not None
    with held:
        summary = benchmark.run(file, executor="local", wait=False)
    assert summary.report is None
    assert sorted(summary.states.values()) == ["done", "running"]
    summary = benchmark.run(file, executor="local", wait=False)
    assert summary.report is not None
    assert set(summary.states.values()) == {"done"}


def test_only_the_local_executor_can_leave_early(benchmark_file: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="--no-wait"):
        benchmark.run(benchmark_file(), executor="ray", wait=False)

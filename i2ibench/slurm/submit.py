"""Submits a benchmark to Slurm: settles what to ask for, renders the script, and hands it to sbatch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from i2ibench import yamlfile
from i2ibench.config import Config
from i2ibench.errors import ConfigError
from i2ibench.slurm.script import benchmark_of, job_name, render
from i2ibench.slurm.settings import Slurm, site_file
from i2ibench.validation import validate


def settings(benchmark: Config, options: Mapping[str, Any]) -> Slurm:
    """What to ask Slurm for: the site's file, under the benchmark's `slurm:`, under the options of the command.

    Args:
        benchmark: the checked file.
        options: by the names of the keys; None and () stand for what was not given.

    Raises:
        ConfigError: with the place in the file, or the option.
    """
    values: dict[str, Any] = {}
    site = site_file()
    if site is not None:
        _, document = yamlfile.read(site)
        content = document.content
        if not isinstance(content, dict):
            raise ConfigError(f"{site}: a site's file is a mapping of the keys of `slurm:`")
        values |= _set(validate(Slurm, content, document, ()))
    values |= _set(benchmark.header.slurm)
    try:
        values |= _set(Slurm(**{key: value for key, value in options.items() if value not in (None, ())}))
    except ValidationError as failure:
        error = failure.errors(include_url=False)[0]
        name = f"--{str(error['loc'][0]).replace('_', '-')}: " if error["loc"] else ""
        raise ConfigError(f"{name}{error['msg'].removeprefix('Value error, ')}, got {error['input']!r}") from None
    chosen = Slurm.model_construct(**values)  # each part was checked; an array on the command line replaces nodes
    chosen.notice_seconds  # noqa: B018 - raises where it does not go with the time limit
    return chosen


def script(benchmark: Config, chosen: Slurm) -> str:
    """The job's script, which finds this very installation on the nodes unless setup or a wrapper says how."""
    path = str(Path(sys.executable).parent)
    return render(chosen, name=benchmark.name, benchmark=str(benchmark.file), path=path)


def sbatch(text: str, *options: str) -> str:
    """Hand a script to sbatch; returns what it prints.

    Raises:
        ConfigError: Slurm is not here, or refuses the job.
    """
    try:
        done = subprocess.run(["sbatch", *options], input=text, capture_output=True, text=True)
    except FileNotFoundError:
        raise ConfigError("there is no sbatch on this machine: submit from a login node of the cluster") from None
    if done.returncode:
        raise ConfigError(f"Slurm refuses the job: {' '.join((done.stderr or done.stdout).split())}")
    return (done.stdout + done.stderr).strip()


def hindrance(benchmark: Config, chosen: Slurm) -> str:
    """Why Slurm could not start the job as things are; "" if it could. It may queue it all the same, to wait."""
    try:
        sbatch(script(benchmark, chosen), "--test-only")
    except ConfigError as error:
        return str(error).rpartition(": ")[2]
    return ""


def others(benchmark: Config) -> dict[str, str]:
    """Jobs of this user that do this benchmark already, oldest first: id -> "pending", "running" or both of an array.

    They have its name, their script names its file, and they see its store from where they were submitted.
    """
    chosen = (f"--name={job_name(benchmark.name)}", "--states=PENDING,RUNNING", "--sort=i")
    states: dict[tuple[str, str], set[str]] = {}  # of a job, which may be an array, with its folder
    for line in (ask("squeue", "--me", "--noheader", "--format=%F|%T|%Z", *chosen) or "").splitlines():
        job, state, folder = line.split("|", 2)
        states.setdefault((job, folder), set()).add(state.lower())
    return {
        job: " and ".join(sorted(found)) for (job, folder), found in states.items() if _does(benchmark, job, folder)
    }


def _does(benchmark: Config, job: str, folder: str) -> bool:
    """Whether a job, submitted in a folder, does a benchmark in its store."""
    file = benchmark_of(ask("scontrol", "write", "batch_script", job, "-") or "")
    same = ((Path(file), benchmark.file), (Path(benchmark.header.store).expanduser(),) * 2)
    return all(Path(folder, theirs).resolve() == ours.resolve() for theirs, ours in same)


def submit(benchmark: Config, chosen: Slurm) -> tuple[str, str]:
    """Queue the job; returns its id and the pattern of the files that it writes to."""
    job = sbatch(script(benchmark, chosen), "--parsable").splitlines()[0].partition(";")[0]
    log = next(line for line in script(benchmark, chosen).splitlines() if line.startswith("#SBATCH --output="))
    pattern = log.partition("--output=")[2].replace("%j", job).replace("%A", job).replace("%a", "*")
    return job, pattern


def ask(*command: str) -> str | None:
    """What a command prints; None if it is not there, or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _set(layer: Slurm) -> dict[str, Any]:
    """The keys that a layer sets itself."""
    return {key: getattr(layer, key) for key in layer.model_fields_set}

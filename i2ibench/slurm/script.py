"""Renders the job scripts; `python -m i2ibench.slurm.script slurm` writes those in `slurm/`, with the defaults."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from i2ibench.slurm.settings import Slurm

KINDS = ("ray", "array")


def render(slurm: Slurm, *, name: str = "i2ibench", benchmark: str = "benchmark.yaml", path: str = "") -> str:
    """The script of a job: one Ray cluster, or, where `slurm.array` says so, many jobs without Ray.

    Args:
        slurm: what to ask for.
        name: of the job.
        benchmark: the file to run, if the script is given none.
        path: a folder that goes before PATH on the nodes, unless setup or a wrapper says how to get at i2ibench.
    """
    setup = list(slurm.setup)
    if path and not setup and not slurm.wrapper:
        setup = [f"export PATH={shlex.quote(path)}:$PATH"]
    kind = "array" if slurm.array else "ray"
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        comment_start_string="<#",  # bash's ${#array[@]} is no comment
        comment_end_string="#>",
        autoescape=False,  # shell, not HTML: what is filled in was checked, or is quoted
    )
    text = environment.get_template(f"{kind}.sbatch.j2").render(
        slurm=slurm,
        array=bool(slurm.array),
        name=job_name(name),
        benchmark=shlex.quote(benchmark),
        setup=setup,
        options="--executor local --no-wait" if slurm.array else "",
    )
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def job_name(benchmark: str) -> str:
    """What the job of a benchmark is called, by the benchmark's name."""
    return re.sub(r"[^\w.]+", "-", benchmark) or "i2ibench"


def benchmark_of(script: str) -> str:
    """The benchmark file that a script runs if it is given none; "" if it is no script of ours."""
    found = re.search(r"^benchmark=\$\{1:-(.*)\}$", script, re.MULTILINE)
    return "".join(shlex.split(found[1])) if found else ""


def defaults() -> dict[str, str]:
    """The committed scripts: file name -> text."""
    return {"ray.sbatch": render(Slurm()), "array.sbatch": render(Slurm(array=8))}


if __name__ == "__main__":
    for file, text in defaults().items():
        (Path(sys.argv[1]) / file).write_text(text, encoding="utf-8")

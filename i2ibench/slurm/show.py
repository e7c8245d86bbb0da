"""What the commands print that have to do with Slurm: submit, doctor --slurm, plan --simulate."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2ibench import benchmark, config, jobs
from i2ibench.errors import I2IBenchError, counted
from i2ibench.monitor import duration
from i2ibench.show import console, table
from i2ibench.simulate import simulate
from i2ibench.slurm import submit
from i2ibench.slurm.checks import checks
from i2ibench.slurm.requeue import require_progress


def submitted(file: Path, options: Mapping[str, Any], *, dry_run: bool) -> None:
    """Submit a benchmark, or with `dry_run` print the script that would be."""
    read = config.load(file)
    chosen = submit.settings(read, options)
    if dry_run:
        print(submit.script(read, chosen), end="")
        return
    the_plan, store = benchmark.load(file)  # a mistake shows here and not when the job begins
    left = len(benchmark.unfinished(the_plan, store))
    if not left:
        print(f"all {len(the_plan.trials)} trials are in {store.path} already; `i2ibench report` draws them")
        return
    others = submit.others(read)
    hindrance = submit.hindrance(read, chosen)  # before the job itself counts in the user's limits
    job, log = submit.submit(read, chosen)
    name = shlex.quote(str(file))
    print(
        f"job {job}: {left} of {len(the_plan.trials)} trials to do\n"
        f"  squeue -j {job}              where it stands in the queue, and why it waits\n"
        f"  tail -F {log}      what it says\n"
        f"  i2ibench status {name}       how far each trial is\n"
        f"  scancel {job}                end it; submit again to go on"
    )
    for other, state in others.items():
        print(f"job {other} is {state} for this benchmark already: they share its trials, and none is done twice")
    if hindrance:
        print(
            f"Slurm would not start it as things are ({hindrance}): `i2ibench doctor --slurm` says what the nodes have"
        )


def requeued(file: Path, job: str, restarts: int) -> None:
    """Raise TrialError if a job that begins again did not get any further in its last runs."""
    try:
        the_plan, store = benchmark.load(file)
    except I2IBenchError:  # for the run to say; or data are still to be fetched, which it does
        return
    require_progress(the_plan, store, job, restarts)


def doctor(file: Path) -> bool:
    """Say what a job of this benchmark would miss on the cluster; False if it could not run."""
    found = list(checks(file))
    marks = {"ok": "", "perhaps": "?", "wrong": "x"}
    table(("", "what", "found"), ((marks[check.state], check.what, check.found) for check in found))
    wrong = sum(check.state == "wrong" for check in found)
    if any(check.state == "perhaps" for check in found):
        console.print("?: see for yourself")
    console.print(f"x: {wrong} would keep the job from running" if wrong else "nothing speaks against submitting it")
    return not wrong


def simulated(file: Path, options: Mapping[str, Any]) -> None:
    """How long what is left of a benchmark would take on so many nodes, and on fewer."""
    read = config.load(file)
    chosen = submit.settings(read, options)
    the_plan, store = benchmark.load(file)
    left = benchmark.unfinished(the_plan, store)
    if not left:
        print(f"all {len(the_plan.trials)} trials are in {store.path} already: nothing is left to simulate")
        return
    work = jobs.make(the_plan, store, left)
    estimates = jobs.Estimates(store)
    nodes = max(chosen.nodes, chosen.array)
    rows = []
    while nodes:
        found = simulate(work, nodes=nodes, cpus=chosen.cpus_per_node, gpus=chosen.gpus_per_node)
        spent = nodes * chosen.gpus_per_node * found.makespan / 3600
        used = f"{100 * found.utilisation:.0f}% of {found.resource}s"
        rows.append((nodes, duration(found.makespan), duration(found.bound), used, f"{spent:,.2f}"))
        nodes //= 2
    console.print(
        f"{counted(len(left), 'trial')} on nodes of {counted(chosen.gpus_per_node, 'GPU')} and "
        f"{counted(chosen.cpus_per_node, 'core')}:"
    )
    header = ("nodes", "makespan", "at least", "in use", "GPU hours")
    table(header, rows, right=header)
    trained = [spec for spec in left if spec.trained]
    measured = sum(estimates.measured(spec) for spec in trained)
    guessed = " The others are guessed: run a few trials first." if measured < len(trained) else ""
    console.print(
        f"No number of nodes takes less than {duration(found.critical_path)}, the longest chain of jobs. "
        f"Of {counted(len(trained), 'training')}, {measured} are taken to last as long as their like did in this "
        f"store, on whatever machine.{guessed}",
        soft_wrap=True,
    )

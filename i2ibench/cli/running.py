"""Commands that run benchmarks, and those that look at running ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from i2ibench.cli.arguments import (
    AsJson,
    BenchmarkFile,
    CpusOption,
    ExecutorName,
    GpusOption,
    NodesOption,
    ProtocolName,
    RayAddress,
    app,
    only_with,
)
from i2ibench.errors import TrialError, counted

if TYPE_CHECKING:
    from i2ibench.benchmark import Summary

command = partial(app.command, rich_help_panel="Run benchmarks")


@command()
def run(
    file: BenchmarkFile,
    executor: ExecutorName = "ray",
    ray_address: RayAddress = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="With --executor local: leave when others work on all that is left.")
    ] = False,
) -> None:
    """Do what is missing of a benchmark (train, translate, score) and write its report.

    Run it again at will: finished trials come from the store, interrupted ones go on from their last checkpoint.
    """
    only_with("--executor local", executor == "local", no_wait=no_wait)
    _run(file, executor=executor, ray_address=ray_address, wait=not no_wait)


@command()
def plan(
    file: BenchmarkFile,
    as_json: AsJson = False,
    simulate: Annotated[
        bool,
        typer.Option("--simulate", help="Say instead how long what is left would take on a cluster."),
    ] = False,
    nodes: NodesOption = None,
    gpus_per_node: GpusOption = None,
    cpus_per_node: CpusOption = None,
) -> None:
    """Show the trials of a benchmark, and which of them are in the store already. Runs nothing.

    --nodes, --gpus-per-node and --cpus-per-node are those of the cluster of --simulate.
    """
    from i2ibench import benchmark, show

    cluster = {"nodes": nodes, "gpus_per_node": gpus_per_node, "cpus_per_node": cpus_per_node}
    only_with("--simulate", simulate, **{name: value is not None for name, value in cluster.items()})
    if simulate:
        from i2ibench.slurm import show as slurm

        slurm.simulated(file, cluster)
        return
    the_plan, store = benchmark.load(file)
    print(json.dumps(show.plan_json(the_plan, store), indent=1)) if as_json else show.plan(the_plan, store)


@command()
def submit(
    file: BenchmarkFile,
    nodes: NodesOption = None,
    gpus_per_node: GpusOption = None,
    cpus_per_node: CpusOption = None,
    time: Annotated[
        str | None, typer.Option(help="Time limit, such as 12:00:00; a longer run is queued again.")
    ] = None,
    notice: Annotated[
        int | None, typer.Option(help="Seconds before the time limit at which trials write checkpoints.")
    ] = None,
    array: Annotated[int | None, typer.Option(help="Jobs of one node each, without Ray, in place of one job.")] = None,
    partition: Annotated[str | None, typer.Option(help="Partition of the cluster to run in.")] = None,
    account: Annotated[str | None, typer.Option(help="Account that pays.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Any other option of sbatch, such as --option=--exclusive; once for each.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the script, and submit nothing.")] = False,
) -> None:
    """Submit a benchmark to Slurm: as one job with Ray over its nodes, or as an array of small jobs.

    What is asked for stands in the file's `slurm:` too, or for all benchmarks in ~/.config/i2ibench/slurm.yaml.
    """
    from i2ibench.slurm import show

    options = {
        "nodes": nodes,
        "gpus_per_node": gpus_per_node,
        "cpus_per_node": cpus_per_node,
        "time": time,
        "notice": notice,
        "array": array,
        "partition": partition,
        "account": account,
        "options": tuple(option or ()),
    }
    show.submitted(file, options, dry_run=dry_run)


@command(hidden=True)
def requeued(file: BenchmarkFile, job: str, restarts: int) -> None:
    """For the scripts of `submit`: exit code 1 for a job that Slurm has queued again and again, and came no further."""
    from i2ibench.slurm import show

    try:
        show.requeued(file, job, restarts)
    except TrialError as error:
        print(f"i2ibench: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


@command()
def status(file: BenchmarkFile) -> None:
    """Show how far each trial is: from another terminal, or another machine that sees the store."""
    from i2ibench import benchmark, show

    show.status(*benchmark.load(file))


@command()
def stop(
    file: BenchmarkFile,
    trials: Annotated[
        list[str] | None,
        typer.Argument(metavar="TRIAL", help="Which, by label or by the beginning of the id; default: all."),
    ] = None,
) -> None:
    """Ask trials to write a checkpoint and leave: from another terminal, or another machine that sees the store.

    A run without any trial left ends. The next `i2ibench run` goes on from the checkpoints.
    """
    from i2ibench import benchmark, show

    show.stop(*benchmark.load(file), trials or [])


@command()
def adopt(file: BenchmarkFile) -> None:
    """Take what other code has finished of a benchmark, before an update say, in place of training it anew.

    Those are trials of the store whose settings, data and seed are the very same. Their rows carry the flag "other
    code" from then on, in every report.
    """
    from i2ibench import benchmark, show

    show.adopted(*benchmark.load(file))


@command()
def logs(
    trial: Annotated[
        str, typer.Argument(metavar="TRIAL", help="The beginning of a trial's id, its label, or its folder.")
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows, until the trial ends.")] = False,
    store: Annotated[str, typer.Option(help="The folder of the trials.")] = "runs",
) -> None:
    """Print the log of a trial: its losses, its warnings, and the whole story of a failure."""
    from i2ibench import show
    from i2ibench.store import Store

    show.logs(Store(store), trial, follow=follow)


@command()
def evaluate(
    file: BenchmarkFile,
    protocol: ProtocolName = None,
    force: Annotated[
        bool, typer.Option("--force", help="Score again what has scores under this protocol already.")
    ] = False,
    executor: ExecutorName = "local",
    ray_address: RayAddress = None,
) -> None:
    """Score what is trained, without training: under another protocol, or with metrics added to the file."""
    _run(file, executor=executor, ray_address=ray_address, protocol=protocol, train=False, rescore=force)


@command()
def chaos(
    trials: Annotated[int, typer.Option(help="Trials of that benchmark.")] = 8,
    minutes: Annotated[float, typer.Option(help="Minutes for which they are disturbed.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Seed of what happens when.")] = 0,
) -> None:
    """Kill workers, nodes and drivers of a small benchmark at random; check that nothing is lost, or done twice."""
    import tempfile

    from i2ibench.chaos import Chaos

    with tempfile.TemporaryDirectory(prefix="i2ibench-chaos-", ignore_cleanup_errors=True) as folder:
        Chaos(Path(folder), trials=trials, seed=seed).run(minutes)


def _run(file: Path, **options: Any) -> None:
    from i2ibench import benchmark

    ended(lambda: benchmark.run(file, **options))


def ended(run: Callable[[], Summary]) -> None:
    """Run a benchmark, say where its report is, and leave with the exit code that its trials deserve."""
    try:
        summary = run()
    except KeyboardInterrupt as why:
        from i2ibench.stopping import EXIT_CODES

        print("i2ibench: interrupted; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(EXIT_CODES.get(getattr(why, "signal", 0), 130)) from None
    if summary.report:
        say(summary.report)
    else:
        print("others work on what is left, and write the report")
    if summary.failed:
        print(
            f"{len(summary.failed)} of {len(summary.states)} trials failed; the report and the lines above say why",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    if summary.stopped:
        print(f"{counted(len(summary.stopped), 'trial')} stopped; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(130)
    if untrained := sum(state in ("waiting", "interrupted") for state in summary.states.values()):
        print(
            f"{untrained} of {len(summary.states)} trials are not trained yet; `i2ibench run` trains them",
            file=sys.stderr,
        )


def say(page: Path) -> None:
    """Print who leads, as the head of the page has it, and where the page is."""
    summary = page.with_name("summary.txt")
    print(f"{summary.read_text(encoding='utf-8') if summary.exists() else ''}report: {page}")

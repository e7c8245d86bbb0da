"""The command line: parse, call, print. No logic of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from i2ibench import __version__
from i2ibench.errors import I2IBenchError

app = typer.Typer(
    help="Compare image-to-image translation methods on equal terms: one YAML, one command, one leaderboard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
assets_app = typer.Typer(help="Pretrained weights that the metrics need.", no_args_is_help=True)
app.add_typer(assets_app, name="assets")
data_app = typer.Typer(
    help="Data sets: bring them onto this machine, and look at what is in them.", no_args_is_help=True
)
app.add_typer(data_app, name="data")

BenchmarkFile = Annotated[Path, typer.Argument(metavar="BENCHMARK", help="The benchmark file, such as benchmark.yaml.")]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor", "-x", help="`ray` (parallel, the default) or `local` (one after the other, in this process)."
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(envvar="RAY_ADDRESS", help="host:port of a running Ray cluster; default: one of this machine's own."),
]
ProtocolName = Annotated[
    str | None, typer.Option("--protocol", "-p", help="Score under this protocol in place of the file's.")
]
NodesOption = Annotated[int | None, typer.Option(help="Nodes of the job; default: what the file's `slurm:` says.")]
GpusOption = Annotated[int | None, typer.Option(help="GPUs of each node; 0 asks for none.")]
CpusOption = Annotated[int | None, typer.Option(help="CPU cores of each node.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def run(
    file: BenchmarkFile,
    executor: ExecutorName = "ray",
    ray_address: RayAddress = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="With `local`: leave when others work on all that is left.")
    ] = False,
) -> None:
    """Do what is missing of a benchmark (train, translate, score) and write its report.

    Run it again at will: finished trials come from the store, interrupted ones go on from their last checkpoint.
    """
    _run(file, executor=executor, ray_address=ray_address, wait=not no_wait)


@app.command()
def plan(
    file: BenchmarkFile,
    as_json: AsJson = False,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Say how long what is left would take on a cluster instead.")
    ] = False,
    nodes: NodesOption = None,
    gpus_per_node: GpusOption = None,
    cpus_per_node: CpusOption = None,
) -> None:
    """Show the trials of a benchmark, and which of them are in the store already. Runs nothing."""
    from i2ibench import benchmark, show

    if simulate:
        from i2ibench.slurm import show as slurm

        slurm.simulated(file, {"nodes": nodes, "gpus_per_node": gpus_per_node, "cpus_per_node": cpus_per_node})
        return
    the_plan, store = benchmark.load(file)
    print(json.dumps(show.plan_json(the_plan, store), indent=1)) if as_json else show.plan(the_plan, store)


@app.command()
def submit(
    file: BenchmarkFile,
    nodes: NodesOption = None,
    gpus_per_node: GpusOption = None,
    cpus_per_node: CpusOption = None,
    time: Annotated[
        str | None, typer.Option(help="Time limit, such as 12:00:00; a longer run is queued again.")
    ] = None,
    notice: Annotated[int | None, typer.Option(help="Seconds before it at which trials write checkpoints.")] = None,
    array: Annotated[int | None, typer.Option(help="So many jobs of one node without Ray, in place of one.")] = None,
    partition: Annotated[str | None, typer.Option(help="Of the cluster.")] = None,
    account: Annotated[str | None, typer.Option(help="That pays.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Any other of sbatch's, such as --option=--exclusive.")
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


@app.command()
def status(file: BenchmarkFile) -> None:
    """Show how far each trial is: from another terminal, or another machine that sees the store."""
    from i2ibench import benchmark, show

    show.status(*benchmark.load(file))


@app.command()
def stop(
    file: BenchmarkFile,
    trials: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TRIAL]...", help="Which, by label or by the beginning of the id; default: all."),
    ] = None,
) -> None:
    """Ask trials to write a checkpoint and leave: from another terminal, or another machine that sees the store.

    A run without any trial left ends. The next `i2ibench run` goes on from the checkpoints.
    """
    from i2ibench import benchmark, show

    show.stop(*benchmark.load(file), trials or [])


@app.command()
def logs(
    trial: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows, until the trial ends.")] = False,
    store: Annotated[str, typer.Option(help="The folder of the trials.")] = "runs",
) -> None:
    """Print the log of a trial: its losses, its warnings, and the whole story of a failure."""
    from i2ibench import show
    from i2ibench.store import Store

    show.logs(Store(store), trial, follow=follow)


@app.command()
def report(file: BenchmarkFile, protocol: ProtocolName = None) -> None:
    """Write the report again from what the store holds, finished or not."""
    from i2ibench import benchmark

    the_plan, store = benchmark.load(file, protocol=protocol)
    print(f"report: {benchmark.report(the_plan, store, protocol=protocol, redraw=True)}")


@app.command()
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


@app.command()
def score(
    generated: Annotated[Path, typer.Option("--generated", "-g", help="Folder of the images to score.")],
    real: Annotated[Path, typer.Option("--real", "-r", help="Folder of the real images to score them against.")],
    paired: Annotated[
        bool, typer.Option("--paired", help="Images of equal names (endings aside) belong together.")
    ] = False,
    protocol: Annotated[
        str, typer.Option("--protocol", "-p", help="A protocol's name, or a YAML file that spells one out.")
    ] = "offline",
    metrics: Annotated[
        str | None, typer.Option("--metrics", "-m", help="Such as fid,kid; default: those that the folders allow.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score any folder of images against another, with the stamp that a benchmark's scores have.

    Files are scored as they decode to RGB of 8 bits, at their own sizes; folders inside a folder are not entered.
    """
    from i2ibench import show_scores

    show_scores.score(generated, real, protocol, metrics, paired=paired, as_json=as_json)


@app.command()
def compare(
    files: Annotated[list[Path], typer.Argument(metavar="BENCHMARK...", help="Two benchmark files or more.")],
    to: Annotated[Path, typer.Option(help="The folder of the joint report.")] = Path("reports/compared"),
) -> None:
    """Put the results of several benchmarks on one board, and say what differs between their rows of equal name.

    Refused where their protocols or data sets differ. Runs nothing.
    """
    from i2ibench import joint, show_changes

    page, changes = joint.compare(files, to)
    show_changes.changes(changes)
    print(f"report: {page}")


@app.command()
def chaos(
    trials: Annotated[int, typer.Option(help="How many.")] = 8,
    minutes: Annotated[float, typer.Option(help="How long to disturb them.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Of what happens when.")] = 0,
) -> None:
    """Kill workers, nodes and drivers of a small benchmark at random; check that nothing is lost, or done twice."""
    import tempfile

    from i2ibench.chaos import Chaos

    with tempfile.TemporaryDirectory(prefix="i2ibench-chaos-", ignore_cleanup_errors=True) as folder:
        Chaos(Path(folder), trials=trials, seed=seed).run(minutes)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="Show the keys of this method instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the methods: their papers, what they need and what they can do; or the keys of one of them."""
    from i2ibench import show

    if name is not None:
        show.method_keys(name)
    else:
        print(json.dumps(show.methods_json(), indent=1)) if as_json else show.methods()


@app.command()
def datasets(as_json: AsJson = False) -> None:
    """List the kinds of data set and their keys, the sets known by name, and the tasks made from images."""
    from i2ibench import show_data

    print(json.dumps(show_data.datasets_json(), indent=1, ensure_ascii=False)) if as_json else show_data.datasets()


@app.command()
def doctor(
    slurm: Annotated[
        Path | None,
        typer.Option(metavar="BENCHMARK", help="Say instead, on a login node, what its job would miss on the cluster."),
    ] = None,
) -> None:
    """Say what is installed, which devices there are, and which weights are cached."""
    from i2ibench import show

    if slurm is None:
        show.doctor()
        return
    from i2ibench.slurm import show as of_slurm

    if not of_slurm.doctor(slurm):
        raise typer.Exit(1)


@assets_app.command("list")
def assets_list(as_json: AsJson = False) -> None:
    """List the weights: which protocol needs them, where they come from, their checksum, and whether they are here."""
    from i2ibench import show_assets

    print(json.dumps(show_assets.as_json(), indent=1, ensure_ascii=False)) if as_json else show_assets.listing()


@assets_app.command("fetch")
def assets_fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; default: those of the offline protocol.")
    ] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", "-p", help="All that this protocol needs.")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A file that was downloaded elsewhere, in place of the network.")
    ] = None,
) -> None:
    """Fetch weights ahead of time: on a login node, say, for compute nodes without network.

    They are kept in ~/.cache/i2ibench, or in the folder that I2IBENCH_CACHE names.
    """
    from i2ibench import show_assets

    show_assets.fetch(names or [], protocol, source)


@assets_app.command("verify")
def assets_verify() -> None:
    """Read every cached file through; exit code 1 if one is truncated or another file than it should be."""
    from i2ibench import show_assets

    if not show_assets.verify():
        raise typer.Exit(1)


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="A folder of images or of tar shards, or a list (.csv, .jsonl).")],
) -> None:
    """Look at every image: broken files, test images that training has seen, sizes and colours; and the YAML to use it.

    The exit code is 1 if something is wrong.
    """
    from i2ibench import show_data

    if not show_data.check(path):
        raise typer.Exit(1)


@data_app.command("fetch")
def data_fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Such as facades; `i2ibench datasets` lists them.")
    ],
    source: Annotated[
        Path | None, typer.Option("--from", help="The archive, downloaded elsewhere, in place of the network.")
    ] = None,
) -> None:
    """Fetch data sets ahead of time: checked, and unpacked into ~/.cache/i2ibench/data (or I2IBENCH_CACHE).

    I2IBENCH_MIRROR names a folder or a URL that has the archives, in place of their publishers.
    """
    from i2ibench import show_data

    show_data.fetch(names, source)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        print(f"i2ibench {__version__}")
        raise typer.Exit


def _run(file: Path, **options: Any) -> None:
    """Run a benchmark, say where its report is, and leave with the exit code that its trials deserve."""
    from i2ibench import benchmark

    try:
        summary = benchmark.run(file, **options)
    except KeyboardInterrupt as why:
        from i2ibench.stopping import EXIT_CODES

        print("i2ibench: interrupted; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(EXIT_CODES.get(getattr(why, "signal", 0), 130)) from None
    print(f"report: {summary.report}" if summary.report else "others work on what is left, and write the report")
    if summary.failed:
        print(
            f"{len(summary.failed)} of {len(summary.states)} trials failed; the report and the lines above say why",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    if summary.stopped:
        print(f"{len(summary.stopped)} trials were stopped; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(130)


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit code 2."""
    try:
        app()
    except I2IBenchError as error:
        print(f"i2ibench: {' '.join(str(error).splitlines())}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()

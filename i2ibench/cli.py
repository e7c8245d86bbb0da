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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def run(file: BenchmarkFile, executor: ExecutorName = "ray", ray_address: RayAddress = None) -> None:
    """Do what is missing of a benchmark (train, translate, score) and write its report.

    Run it again at will: finished trials come from the store, interrupted ones go on from their last checkpoint.
    """
    _run(file, executor=executor, ray_address=ray_address)


@app.command()
def plan(file: BenchmarkFile, as_json: AsJson = False) -> None:
    """Show the trials of a benchmark, and which of them are in the store already. Runs nothing."""
    from i2ibench import benchmark, show

    the_plan, store = benchmark.load(file)
    print(json.dumps(show.plan_json(the_plan, store), indent=1)) if as_json else show.plan(the_plan, store)


@app.command()
def status(file: BenchmarkFile) -> None:
    """Show how far each trial is: from another terminal, or another machine that sees the store."""
    from i2ibench import benchmark, show

    show.status(*benchmark.load(file))


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
def datasets() -> None:
    """List the kinds of data set and their keys."""
    from i2ibench import show

    show.datasets()


@app.command()
def doctor() -> None:
    """Say what is installed, which devices there are, and which weights are cached."""
    from i2ibench import show

    show.doctor()


@assets_app.command("list")
def assets_list() -> None:
    """List the weights: what needs them, whether they are here, and where they belong."""
    from i2ibench import show

    show.assets()


@assets_app.command("fetch")
def assets_fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; default: those of the offline protocol.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A file that was downloaded elsewhere, in place of the network.")
    ] = None,
) -> None:
    """Fetch weights ahead of time: on a login node, say, for compute nodes without network."""
    from i2ibench import show

    show.fetch(names or [], source)


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
    except KeyboardInterrupt:
        print("i2ibench: interrupted; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(130) from None
    print(f"report: {summary.report}")
    if summary.failed:
        print(
            f"{len(summary.failed)} of {len(summary.states)} trials failed; the report and the lines above say why",
            file=sys.stderr,
        )
        raise typer.Exit(1)


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit code 2."""
    try:
        app()
    except I2IBenchError as error:
        print(f"i2ibench: {' '.join(str(error).splitlines())}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()

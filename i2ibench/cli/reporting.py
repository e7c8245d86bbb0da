"""Commands that score and report what is done."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from i2ibench.cli.arguments import AsJson, BenchmarkFile, Port, ProtocolName, app, only_with
from i2ibench.cli.running import say

command = partial(app.command, rich_help_panel="Read results")


@command()
def report(
    file: BenchmarkFile,
    protocol: ProtocolName = None,
    figures: Annotated[
        int | None, typer.Option(min=0, help="Draw the figures of so many data sets; default: all of up to 8, else 2.")
    ] = None,
) -> None:
    """Write the report again from what the store holds, finished or not."""
    from i2ibench import benchmark

    the_plan, store = benchmark.load_scored(file, protocol)
    benchmark.warn_of_clash(the_plan)
    say(benchmark.report(the_plan, store, protocol=protocol, redraw=True, figures=figures))


@command()
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


@command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Two or more: benchmark files, FILE@STORE, or folders of reports."),
    ],
    to: Annotated[Path, typer.Option(help="The folder of the joint report.")] = Path("reports/compared"),
) -> None:
    """Put the results of several runs on one board, and say what differs: settings, software, scores, costs.

    A run is a benchmark file, such a file with another store than its own (file.yaml@runs-of-old), or a report's folder
    (reports/name), which needs neither. Refused where protocols or data sets differ. Runs nothing.
    """
    from i2ibench import joint, show_changes

    page, changes = joint.compare(runs, to)
    show_changes.changes(changes)
    print(f"report: {page}")


@command()
def export(
    source: Annotated[
        str,
        typer.Argument(metavar="BENCHMARK|TRIAL", help="A benchmark file; with --format, a trial or model folder."),
    ],
    to: Annotated[Path, typer.Option(help="The table: .csv, .md, .tex, .parquet or .json; with --format, a folder.")],
    protocol: ProtocolName = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="torchscript or onnx: a trial's networks; once for each.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="With --format: the folder of the trials; default: runs.")] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="With --format: run the method file that a packed folder brings.")
    ] = False,
) -> None:
    """Write the leaderboards as one table; or, with --format, the networks of a trial for other programs.

    What is exported is held against eager PyTorch at several sizes (1e-4 at most), and timed beside it on this machine.
    """
    only_with("--format", formats, store=store, trust_code=trust_code)
    if formats:
        from i2ibench.use import show

        show.export(source, to, formats, store or "runs", trust_code=trust_code)
        return
    from i2ibench import export as exporting

    print(f"table: {exporting.export(Path(source), to, protocol)}")


@command()
def merge(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE", help="Folders of trials, such as runs.")],
    to: Annotated[Path, typer.Option(help="The store that gets what it lacks.")],
) -> None:
    """Bring the stores of several machines into one: trials that it lacks or has not finished, scores, and answers.

    Refused, before anything is written, where two of them hold different results of one trial, or different answers of
    one rater of a study.
    """
    from i2ibench import merge as merging

    done = merging.merge(stores, to)
    answers = f", {done.answers} answers of studies new" if done.answers else ""
    print(
        f"{done.new} trials new, {done.finished} finished elsewhere, {done.scored} with more scores, "
        f"{done.known} known{answers}"
    )


@command()
def serve(
    file: BenchmarkFile,
    port: Port = 8000,
    host: Annotated[str, typer.Option(help="The address to listen at; the default is seen by this machine alone.")] = (
        "127.0.0.1"
    ),
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks at the store.")] = 10.0,
) -> None:
    """Show the report of a benchmark in a browser while it runs: progress, what is scored so far, and curves.

    Reads the store, and changes nothing. Ctrl-C ends it.
    """
    from i2ibench import serve as serving

    serving.serve(file, host, port, every)

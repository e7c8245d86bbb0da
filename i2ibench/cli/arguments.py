"""What commands share: the application they belong to, and the arguments that several of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Compare image-to-image translation methods on equal terms: one YAML, one command, one leaderboard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BenchmarkFile = Annotated[Path, typer.Argument(metavar="BENCHMARK", help="The benchmark file, such as benchmark.yaml.")]
ExecutorName = Annotated[
    str,
    typer.Option("--executor", "-x", help="`ray` (in parallel) or `local` (one after the other, in this process)."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(envvar="RAY_ADDRESS", help="host:port of a running Ray cluster; default: one of this machine's own."),
]
ProtocolName = Annotated[
    str | None, typer.Option("--protocol", "-p", help="Scores under this protocol, in place of the file's.")
]
NodesOption = Annotated[int | None, typer.Option(help="Nodes of the job; default: what the file's `slurm:` says.")]
GpusOption = Annotated[int | None, typer.Option(help="GPUs of each node; 0 asks for none.")]
CpusOption = Annotated[int | None, typer.Option(help="CPU cores of each node.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

"""What commands share: the application they belong to, and the arguments that several of them take."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from i2ibench.errors import ConfigError


class _Flags:
    """Shows no type beside flags, which take no value: Typer prints <bool> there."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class Command(_Flags, TyperCommand):
    """A command."""


class Group(_Flags, TyperGroup):
    """A command that has others below it."""


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
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")]


def only_with(option: str, given: object, **others: Any) -> None:
    """Raise ConfigError if any of the `others` is said without the option that they depend on."""
    for name, value in others.items():
        if value and not given:
            raise ConfigError(f"--{name.replace('_', '-')} counts only with {option}")


def tidy_help(group: typer.Typer) -> None:
    """Let the help of a group's commands wrap as the terminal does (Typer keeps our line ends in later paragraphs), and
    show no type beside flags."""
    group.info.cls = Group
    for each in group.registered_commands:
        each.cls = Command
        each.help = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(each.callback) or "")

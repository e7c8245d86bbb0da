"""The command line: parse, call, print. No logic of its own."""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated, Any

import typer

from i2ibench import __version__
from i2ibench.cli.arguments import app, tidy_help
from i2ibench.errors import I2IBenchError

# isort: off
# Each module adds its commands, in the order in which the help shows them.
from i2ibench.cli import running, reporting, looking, models  # noqa: F401

# isort: on
for group in (app, looking.assets_app, looking.data_app):
    tidy_help(group)

UsageError: Any = typer.BadParameter.__base__  # Typer exports no name for it


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        print(f"i2ibench {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit code 2."""
    gc.set_threshold(50_000)  # to start makes many objects and leaves few to collect: a tenth of the time of `plan`
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it reads all packages' metadata to look for some
    try:
        code = app(
            prog_name="i2ibench", standalone_mode=False
        )  # in the other mode Typer draws a box of five lines around a mistake
    except UsageError as error:
        command = error.ctx.command_path if error.ctx else "i2ibench"
        message = error.format_message().rstrip(".")
        if not message:  # no arguments at all: the help has been printed
            raise SystemExit(2) from None
        stop = "" if message.endswith("?") else ";"
        print(f"{command}: {message[:1].lower()}{message[1:]}{stop} see `{command} --help`", file=sys.stderr)
        raise SystemExit(2) from None
    except I2IBenchError as error:
        print(f"i2ibench: {' '.join(str(error).splitlines())}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(code if isinstance(code, int) else 0)

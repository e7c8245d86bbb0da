"""Commands that say what there is: methods, data sets, weights, and this machine."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from i2ibench.cli.arguments import AsJson, app, only_with

PANEL = "Look around"  # of the help
command = partial(app.command, rich_help_panel=PANEL)
assets_app = typer.Typer(help="Pretrained weights that the metrics need.", no_args_is_help=True)
app.add_typer(assets_app, name="assets", rich_help_panel=PANEL)
data_app = typer.Typer(
    help="Data sets: bring them onto this machine, and look at what is in them.", no_args_is_help=True
)
app.add_typer(data_app, name="data", rich_help_panel=PANEL)


@command()
def methods(
    name: Annotated[str | None, typer.Argument(metavar="METHOD", help="Show the keys of this method instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the methods: their papers, what they need and what they can do; or the keys of one of them."""
    from i2ibench import show

    if name is not None:
        show.method_keys(name)
    else:
        print(json.dumps(show.methods_json(), indent=1)) if as_json else show.methods()


@command()
def datasets(as_json: AsJson = False) -> None:
    """List the kinds of data set and their keys, the sets known by name, and the tasks made from images."""
    from i2ibench import show_data

    print(json.dumps(show_data.datasets_json(), indent=1, ensure_ascii=False)) if as_json else show_data.datasets()


@command()
def doctor(
    slurm: Annotated[
        Path | None,
        typer.Option(metavar="BENCHMARK", help="Say instead, on a login node, what its job would miss on the cluster."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Say instead where the time of its training step goes.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="With --profile: default paper on a GPU, tiny on a CPU.")] = None,
) -> None:
    """Say what is installed, which devices there are, and which weights are cached."""
    from i2ibench import show

    only_with("--profile", profile, preset=preset)
    if profile is not None:
        show.profile(profile, preset)
        return
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
        list[str] | None, typer.Argument(metavar="NAME", help="Which; default: those of the offline protocol.")
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
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder of images or of tar shards, or a list (.csv, .jsonl).")
    ],
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
        list[str], typer.Argument(metavar="NAME", help="Such as facades; `i2ibench datasets` lists them.")
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

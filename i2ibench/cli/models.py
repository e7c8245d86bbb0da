"""Commands that use what is trained: translate images, pack a model, try it in a browser, watch its inputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from i2ibench.cli.arguments import app

TrialName = Annotated[
    str,
    typer.Argument(metavar="TRIAL", help="The beginning of a trial's id, its label, or its folder."),
]
StoreFolder = Annotated[str, typer.Option(help="The folder of the trials.")]
DeviceName = Annotated[str | None, typer.Option(help="Such as cpu or cuda:1; default: the GPU, if there is one.")]
TrustCode = Annotated[bool, typer.Option("--trust-code", help="Run the method file that a packed folder brings.")]


@app.command()
def translate(
    trial: TrialName,
    source: Annotated[str, typer.Argument(metavar="IN", help="An image, a folder, or - for paths on standard input.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder; or, for one image, a file.")],
    n: Annotated[
        int | None, typer.Option("--n", "-n", help="Translations of each image, by a method that draws noise.")
    ] = None,
    style_from: Annotated[
        list[Path] | None, typer.Option(help="An image whose style to take; once for each style.")
    ] = None,
    direction: Annotated[
        str | None, typer.Option(help="AtoB or BtoA, where the method goes both ways; default: the trial's.")
    ] = None,
    fit: Annotated[
        str, typer.Option(help="For sizes that the network does not take: pad, tile, resize; auto pads where it can.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    store: StoreFolder = "runs",
    device: DeviceName = None,
    trust_code: TrustCode = False,
) -> None:
    """Translate images of any size with a trained method: names kept, originals untouched.

    Outputs are PNG files in OUT. Run it again at will: what is there already is left alone.
    """
    from i2ibench.use import show

    try:
        whole = show.translate(
            trial,
            source,
            out,
            n=n,
            style_from=style_from or (),
            direction=direction,
            fit=fit,
            seed=seed,
            store=store,
            device=device,
            trust_code=trust_code,
        )
    except KeyboardInterrupt:
        print("i2ibench: interrupted; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(130) from None
    if not whole:
        raise typer.Exit(1)


@app.command()
def pack(
    trial: TrialName,
    to: Annotated[Path, typer.Option(help="The folder to write; it must not be there, or be empty.")],
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="torchscript or onnx: export the networks besides; once for each."),
    ] = None,
    store: StoreFolder = "runs",
) -> None:
    """Pack a trained trial into a folder that stands alone: weights, settings, and a model card with its scores.

    `i2ibench.load(FOLDER)` reads it in Python, and `translate` and `demo` take it too.
    """
    from i2ibench.use import show

    show.pack(trial, to, formats or (), store)


@app.command()
def demo(
    trials: Annotated[
        list[str], typer.Argument(metavar="TRIAL...", help="Trials, by the beginning of their ids, or packed folders.")
    ],
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8080,
    host: Annotated[str, typer.Option(help="The address to listen on; others can see it if it is not loopback.")] = (
        "127.0.0.1"
    ),
    store: StoreFolder = "runs",
    device: DeviceName = None,
    trust_code: TrustCode = False,
) -> None:
    """Open a page on this machine to try models side by side: drop, draw or photograph an image. Needs no network."""
    from i2ibench.use import show

    show.demo(trials, store, port, host, device, trust_code=trust_code)


@app.command()
def watch(
    trial: TrialName,
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="The folder of incoming images, read in order of names.")
    ],
    window: Annotated[int, typer.Option(help="Images that are judged together.")] = 50,
    protocol: Annotated[
        str, typer.Option("--protocol", "-p", help="Whose network looks at the images: a name or a YAML file.")
    ] = "offline",
    figure: Annotated[Path | None, typer.Option(help="Draw the readings into this file (.png, .svg or .pdf).")] = None,
    store: StoreFolder = "runs",
    device: DeviceName = None,
) -> None:
    """Say whether incoming images, or the outputs for them, drift from what a trial knows: a JSON line for each window.

    KID of each window against the training images, with a threshold that one window in a hundred without drift
    passes. The exit code is 1 if any has drifted.
    """
    from i2ibench.use import show

    if not show.watch(trial, source, window, protocol, figure, store, device):
        raise typer.Exit(1)

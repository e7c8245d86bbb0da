"""Commands that use what is trained: translate images, pack a model, try it, ask people, watch, train further."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from i2ibench.cli.arguments import AsJson, ExecutorName, Port, app

command = partial(app.command, rich_help_panel="Use trained models")
TrialName = Annotated[
    str,
    typer.Argument(metavar="TRIAL", help="The beginning of a trial's id, its label, or its folder."),
]
StoreFolder = Annotated[str, typer.Option(help="The folder of the trials.")]
DeviceName = Annotated[str | None, typer.Option(help="Such as cpu or cuda:1; default: the GPU, if there is one.")]
TrustCode = Annotated[bool, typer.Option("--trust-code", help="Run the method file that a packed folder brings.")]


@command()
def translate(
    trial: TrialName,
    source: Annotated[str, typer.Argument(metavar="IN", help="An image, a folder, or - for paths on standard input.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A folder; for one image, a file; - for a pipe of images.")
    ],
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
    seed: Annotated[int, typer.Option(help="Seed of the noise that a method draws.")] = 0,
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


@command()
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


@command()
def demo(
    trials: Annotated[
        list[str], typer.Argument(metavar="TRIAL", help="Trials, by the beginning of their ids, or packed folders.")
    ],
    port: Port = 8080,
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


@command()
def study(
    benchmark: Annotated[
        Path, typer.Argument(metavar="BENCHMARK", help="A benchmark file that was run, or the folder of its trials.")
    ],
    results: Annotated[bool, typer.Option("--results", help="Print what the answers say, and serve nothing.")] = False,
    as_json: AsJson = False,
    forget: Annotated[
        str | None, typer.Option(metavar="CODE", help="Remove a rater with all answers, and serve nothing.")
    ] = None,
    ask: Annotated[
        str, typer.Option(help="better (of two translations), real (an image or an output), or both.")
    ] = "better",
    data: Annotated[list[str] | None, typer.Option(help="A data set, once for each; default: all.")] = None,
    images: Annotated[int, typer.Option(min=1, help="Test images of each data set, evenly spaced.")] = 20,
    questions: Annotated[int, typer.Option(min=1, max=1000, help="Questions to each rater, besides checks.")] = 40,
    practice: Annotated[
        int, typer.Option(min=0, max=100, help="Questions to begin with, after which the answer is told; not counted.")
    ] = 10,
    exposure: Annotated[
        float | None, typer.Option(min=0.05, max=60, help="Seconds for which images are shown that may be real.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order of the questions.")] = 0,
    consent: Annotated[
        Path | None, typer.Option(help="A text file to agree to, in place of the page's own words.")
    ] = None,
    port: Port = 8090,
    host: Annotated[str, typer.Option(help="The address to listen on; others can see it if it is not loopback.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Ask people which translation is better, or which image is real, on a page of this machine; or print the results.

    Raters may leave and come back by a code. Answers are kept in the store, and stand in the next report.
    """
    from i2ibench.study import show

    if forget is not None:
        show.forget(benchmark, forget)
        return
    if results or as_json:
        show.results(benchmark, data or (), as_json=as_json)
        return
    show.serve(
        benchmark,
        ask=ask,
        data=data or (),
        images=images,
        questions=questions,
        practice=practice,
        exposure=exposure,
        seed=seed,
        consent=consent,
        port=port,
        host=host,
    )


@command()
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

    KID of each window against the training images, with thresholds that one window in a hundred without drift exceeds.
    The exit code is 1 if any has drifted.
    """
    from i2ibench.use import show

    if not show.watch(trial, source, window, protocol, figure, store, device):
        raise typer.Exit(1)


@command()
def retrain(
    trial: TrialName,
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="New images in the form of the trial's own (a folder, say); or a YAML file with those keys of a data "
            "set that are other.",
        ),
    ],
    to: Annotated[
        Path | None, typer.Option(help="The benchmark file to write; default: retrain-ID.yaml in this folder.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps on them; default: the trial's own.")] = None,
    protocol: Annotated[str, typer.Option("--protocol", "-p", help="Score under this protocol.")] = "offline",
    store: StoreFolder = "runs",
    executor: ExecutorName = "ray",
) -> None:
    """Train a trial further on new data, and say what it gained there, and forgot of the old.

    Writes a benchmark file with the trial as it is, the trial retrained, and that back on the old data, and runs it.
    """
    from i2ibench.cli.running import ended
    from i2ibench.use import show

    ended(lambda: show.retrain(trial, data, to, steps=steps, protocol=protocol, store=store, executor=executor))

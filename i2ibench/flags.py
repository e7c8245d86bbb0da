"""Troubles that let a training end and a score be computed, and yet leave a poor model: each with its reason.

They are looked for when a trial has translated its test images, kept in its result, and shown beside its row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from i2ibench.data.ragged import Ragged

Flag = dict[str, str]  # {"flag": its name, "reason": one line}

# A discriminator that cannot tell real from fake has a loss of 0.25 (least squares) to 1.4 (cross-entropy); below 0.01
# it is right by 0.93 or more of the distance between the labels, or to 99 %, and its gradient says next to nothing.
WON_LOSS = 0.01
WON_SHARE = 0.25  # of the curve, its end: a discriminator that was ahead early and was caught up with has not won
WON_POINTS = 3  # and at least so many: one or two points may be chance

# The outputs' deviation from their mean, as a share of the targets'. Averages of what is likely, such as the blurred
# images of a VAE, keep a half or more; a fifth is left by a generator that hardly looks at its input.
COLLAPSE_SHARE = 0.2
COMPARED = 64  # pixels, of images of several sizes


def find(
    curves: Sequence[Mapping[str, float]],
    players: Sequence[str],
    outputs: np.ndarray | Ragged,
    targets: np.ndarray | Ragged,
    weight: float = 1.0,
) -> list[Flag]:
    """What is wrong with a finished training.

    Args:
        curves: its points, with the mean of each loss under "player.term".
        players: of the method; those after the first are taken for discriminators. None: a reference row, not judged.
        outputs, targets: uint8 (N, H, W, 3), not necessarily as many of both.
        weight: of the discriminators' losses (`Method.verdict_weight`).
    """
    if not players:
        return []
    reasons = [("discriminator has won", won(curves, player, weight)) for player in players[1:]]
    reasons.append(("collapse", collapsed(outputs, targets)))
    return [{"flag": flag, "reason": reason} for flag, reason in reasons if reason is not None]


def divided(batch_size: int, micro_batches: int, ranks: int, mixes: bool) -> list[Flag]:
    """That batches did not go through whole, where it can show in the result.

    Args:
        batch_size: images in a batch.
        micro_batches: parts that it was divided into for want of memory.
        ranks: processes, each on a GPU, that it was divided over before.
        mixes: whether the method normalises over a batch.
    """
    found: list[Flag] = []
    normalised = "; batch normalisation and other statistics are those of a part" if mixes else ""
    if micro_batches > 1:
        reason = f"a batch of {batch_size} did not fit into memory and went through in {micro_batches} parts, whose "
        found.append({"flag": "micro-batch", "reason": f"{reason}gradients are added up{normalised}"})
    if ranks > 1 and mixes:
        reason = f"each batch of {batch_size} was divided over {ranks} GPUs{normalised}"
        found.append({"flag": "data-parallel", "reason": reason})
    return found


def not_compiled(why: str) -> list[Flag]:
    """That networks ran as they are written though they were to be compiled, and why; empty: they did not."""
    return [{"flag": "not compiled", "reason": f"training.compile: eager mode in its place: {why}"}] if why else []


def won(curves: Sequence[Mapping[str, float]], player: str, weight: float = 1.0) -> str | None:
    """Why this discriminator has won, if it has: its adversarial loss stays next to zero at the end of the curve.

    It is judged without its `weight`, which would make a discriminator at chance look like one that errs no more.

    Losses that go below zero (a Wasserstein critic's) are no distance from a perfect verdict and are not judged.
    """
    penalty, least = f"{player}.r1_penalty", WON_LOSS * weight
    totals = [
        (point["step"], sum(terms))
        for point in curves
        if (terms := [value for name, value in point.items() if name.startswith(f"{player}.") and name != penalty])
    ]
    window = totals[-max(WON_POINTS, round(WON_SHARE * len(totals))) :]
    if len(window) < WON_POINTS or not all(0 <= loss < least for _, loss in window):
        return None
    mean = sum(loss for _, loss in window) / len(window)
    return (
        f"the loss of {player} stays below {least:g} from step {window[0][0]:.0f} on (mean {mean:.2g}), so the "
        "generator learns little from it; try training.r1, training.spectral_norm or a smaller training.ttur"
    )


def collapsed(outputs: np.ndarray | Ragged, targets: np.ndarray | Ragged) -> str | None:
    """Why these outputs are a collapse, if they are: over different inputs they differ far less than the targets do.

    Images of several sizes are compared at one.
    """
    ours, theirs = (spread(i.squashed(COMPARED) if isinstance(i, Ragged) else i) for i in (outputs, targets))
    if len(outputs) < 2 or len(targets) < 2 or ours >= COLLAPSE_SHARE * theirs:
        return None
    return (
        f"outputs for different inputs deviate from their mean image by {ours:.1f} grey levels of 255 and targets by "
        f"{theirs:.1f}, so the inputs hardly count; train longer, or change the learning rate or the loss weights"
    )


def spread(images: np.ndarray) -> float:
    """Root mean square deviation of images (N, H, W, C) from their mean image: how much they differ at each place.

    It is the root mean square difference between two of them, drawn at random with replacement, over the root of 2.
    """
    total, squares = np.zeros(images.shape[1:]), np.zeros(images.shape[1:])
    for image in images:  # one by one: they may be memory-mapped
        value = image.astype(np.float64)
        total += value
        squares += value**2
    return float(np.sqrt(np.maximum(squares / len(images) - (total / len(images)) ** 2, 0).mean()))

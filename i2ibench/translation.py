"""Puts images through a trained method, and lets nothing pass that is not an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

from i2ibench.anysize import fitted, least_multiple
from i2ibench.data.batches import to_float, to_uint8
from i2ibench.data.ragged import Ragged
from i2ibench.errors import TrialError
from i2ibench.method import Method

TRANSLATE_BATCH = 32


Pictures = TypeVar("Pictures", np.ndarray, "np.ndarray | Ragged")


def translate(method: Method, images: Pictures, seed: int, device: torch.device, *, backward: bool = False) -> Pictures:
    """Translate uint8 images (N, H, W, 3), from A to B or backward.

    Noise, and dropout where the method keeps it on, come from the seed.
    A method whose batch statistics stay on sees one image at a time, so that an output depends on its input alone; so
    does every method where images have sizes of their own, and meets them as `anysize.fitted` lays them before it.

    Raises:
        TrialError: the method gave no image, one of another shape, or values that are not finite and in [-1, 1].
    """
    if isinstance(images, Ragged):
        return _of_own_sizes(method, images, seed, device, backward)
    return _run(_way(method, seed, device, backward), method, seed, device, images)


def _of_own_sizes(method: Method, images: Ragged, seed: int, device: torch.device, backward: bool) -> Ragged:
    def run(suited: np.ndarray) -> np.ndarray:
        return _run(_way(method, seed, device, backward), method, seed, device, suited)[:, None]

    size = method.task.size
    multiple = least_multiple(run, size)
    return Ragged.of([fitted(run, image[None], size, multiple)[0, 0] for image in images])


def translate_styles(
    method: Method, images: np.ndarray, n: int, seed: int, device: torch.device, *, backward: bool = False
) -> np.ndarray:
    """`n` translations of each of M images by a multimodal method: uint8 (M, n, H, W, 3).

    Each has noise of its own, drawn from the seed one after the other.

    Raises:
        TrialError: as for `translate`.
    """
    rows = np.repeat(np.arange(len(images)), n)
    outputs = _run(_way(method, seed, device, backward), method, seed, device, images, rows=rows)
    return outputs.reshape(len(images), n, *images.shape[1:])


def translate_like(
    method: Method, images: np.ndarray, references: np.ndarray, device: torch.device, *, backward: bool = False
) -> np.ndarray:
    """Translate uint8 images (N, H, W, 3) in the styles of `references` (N of them, or 1 for all), images of the target
    domain; by a method that takes `exemplars`.

    Raises:
        TrialError: as for `translate`.
    """
    go = method.translate_back_like if backward else method.translate_like
    styles = np.broadcast_to(references, images.shape)
    return _run(go, method, 0, device, images, styles)


def reconstruct(
    method: Method, images: np.ndarray, outputs: np.ndarray, seed: int, device: torch.device, *, backward: bool = False
) -> np.ndarray:
    """Translate `outputs`, which `translate` made of `images`, back: uint8 (N, H, W, 3), at best `images` again.

    What a method that takes `exemplars` drops of an image is its style, so it goes back in that image's own: the
    style-augmented cycle of MUNIT (its section 3). `backward` says how the outputs were made, as for `translate`.

    Raises:
        TrialError: as for `translate`.
    """
    if method.exemplars:
        return translate_like(method, outputs, images, device, backward=not backward)
    return translate(method, outputs, seed, device, backward=not backward)


def _way(method: Method, seed: int, device: torch.device, backward: bool) -> Callable[..., Any]:
    rng = torch.Generator(device).manual_seed(seed)
    go: Any = method.translate_back if backward else method.translate
    return lambda batch: go(batch, rng=rng)


def _run(
    go: Callable[..., Any],
    method: Method,
    seed: int,
    device: torch.device,
    *arrays: np.ndarray,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """What `go` makes of the rows of the arrays, in batches: uint8, one output for each row."""
    torch.manual_seed(seed)
    size = 1 if method.inference == "train" else TRANSLATE_BATCH
    for module in method.modules().values():
        module.train(method.inference == "train")
    rows = np.arange(len(arrays[0])) if rows is None else rows
    outputs = np.empty((len(rows), *arrays[0].shape[1:]), np.uint8)
    with torch.inference_mode():
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            batch, *others = (to_float(array[chosen], device) for array in arrays)
            outputs[start : start + size] = to_uint8(_checked(go(batch, *others), batch, int(chosen[0])))
    return outputs


def _checked(output: Any, batch: torch.Tensor, first: int) -> torch.Tensor:
    """The output of a method, if it is one image in [-1, 1] for each of the batch's."""
    if not isinstance(output, torch.Tensor) or output.shape != batch.shape:
        got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise TrialError(f"translate() gave {got} for images of shape {tuple(batch.shape)}; one image each, please")
    if not torch.isfinite(output).all():
        raise TrialError(f"translate() gave NaN or infinite values for a test image from number {first} on")
    low, high = float(output.min()), float(output.max())
    if low < -1.001 or high > 1.001:  # a hair beyond is rounding
        raise TrialError(f"translate() gave values from {low:.3g} to {high:.3g}; images lie in [-1, 1] (tanh or clamp)")
    return output

"""The FCN-score's segmentation network where the protocol names none: a small U-Net trained on a data set's real pairs.

It learns which class each pixel of a real target has from the training pairs, and then judges what methods made of the
label maps of the test images, in the role of the FCN-8s of Isola et al. (CVPR 2017, section 4.1; its weights were for
Cityscapes). A score compares with others of the same data set only; on the real test images it is the ceiling.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from i2ibench.metrics.features import full_precision
from i2ibench.metrics.kept import kept

WIDTH = 16
BATCH = 8
LEARNING_RATE = 3e-3
SEED = 0
VERSION = 1  # of the network and its training: raise it when either changes
SETTINGS = {
    "segmenter": f"U-Net of 3 levels from half the resolution, {WIDTH} to {4 * WIDTH} channels, group norm, ReLU",
    "segmenter_version": VERSION,
    "segmenter_optimiser": f"Adam, learning rate {LEARNING_RATE}, linear to 0; batches of {BATCH}, half mirrored",
    "segmenter_seed": SEED,
}


class UNet(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] to logits (N, classes, H, W), of any size from 8 pixels."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        w = WIDTH
        self.down = nn.ModuleList([_block(3, w, stride=2), _block(w, 2 * w, stride=2), _block(2 * w, 4 * w, stride=2)])
        self.up = nn.ModuleList([_block(4 * w + 2 * w, 2 * w), _block(2 * w + w, w)])
        self.head = nn.Conv2d(w, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Each level up joins what was seen at its resolution on the way down."""
        size, seen = x.shape[-2:], []
        for block in self.down:
            x = block(x)
            seen.append(x)
        for block, beside in zip(self.up, reversed(seen[:-1]), strict=True):
            x = block(torch.cat([interpolate(x, beside.shape[-2:], mode="nearest"), beside], dim=1))
        return interpolate(self.head(x), size, mode="bilinear")


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """Group norm: outputs of a method must not be judged by the company that they are in."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(8, after), nn.ReLU(),
        nn.Conv2d(after, after, 3, 1, 1), nn.GroupNorm(8, after), nn.ReLU(),
    )  # fmt: skip


def trained(
    images: np.ndarray, labels: np.ndarray, classes: int, size: int, steps: int, cache: Path | None
) -> np.ndarray:
    """The weights of the network that learned from real pairs, float32 (parameters,); kept in `cache`.

    It learns on the CPU, always: on a GPU bilinear enlarging learns otherwise each time, and every machine would have a
    judge of its own.

    Args:
        images, labels: uint8 (N, H, W, 3) and the class of each of their pixels, uint8 (N, H, W).
        size: edge in pixels of the test images, to which these are resized.
    """
    about = SETTINGS, classes, size, steps, torch.__version__
    learn = partial(_learned, images, labels, classes, size, steps)
    return kept(cache, "segmenter", about, (images, labels), learn)


def segmented(weights: np.ndarray, images: np.ndarray, classes: int, device: str) -> np.ndarray:
    """The class of each pixel of uint8 images (N, H, W, 3): uint8 (N, H, W)."""
    with torch.no_grad(), full_precision():
        with torch.random.fork_rng(devices=[]):
            network = UNet(classes).to(device).eval()
        vector_to_parameters(torch.from_numpy(np.array(weights)).to(device), network.parameters())
        starts = range(0, len(images), BATCH)
        parts = [network(_seen(images[i : i + BATCH], device)).argmax(dim=1).to(torch.uint8).cpu() for i in starts]
    return torch.cat(parts).numpy()


def _learned(images: np.ndarray, labels: np.ndarray, classes: int, size: int, steps: int) -> np.ndarray:
    """The same on every call: weights, batches and mirrors come from a fixed seed; the caller's random state stays."""
    with torch.random.fork_rng(devices=[]), full_precision(), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(SEED)
        network = UNet(classes)
        optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
        decay = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
        for rows, mirrored in _batches(len(images), steps):
            x = interpolate(_seen(images[rows], "cpu"), (size, size), mode="bilinear", antialias=True)
            y = interpolate(torch.from_numpy(labels[rows])[:, None], (size, size), mode="nearest-exact")
            flip = torch.from_numpy(mirrored)[:, None, None, None]
            x, y = torch.where(flip, x.flip(-1), x), torch.where(flip, y.flip(-1), y)
            optimiser.zero_grad()
            cross_entropy(network(x), y[:, 0].long()).backward()
            optimiser.step()
            decay.step()
        return parameters_to_vector(network.parameters()).detach().cpu().numpy()


def _seen(images: np.ndarray, device: str) -> Tensor:
    """uint8 (N, H, W, 3) as the network sees it: float (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def _batches(count: int, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of each step's batch, from shuffled epochs one after the other, and which of them are mirrored."""
    rng = np.random.default_rng(SEED)
    rows = np.empty(0, np.int64)
    for _ in range(steps):
        while len(rows) < BATCH:
            rows = np.concatenate([rows, rng.permutation(count)])
        yield np.sort(rows[:BATCH]), rng.random(BATCH) < 0.5
        rows = rows[BATCH:]

"""Domain adaptation: how well a classifier that learned from translated images reads real ones of the target domain.

A small network is trained on training images of A, translated to B, with A's labels, and tested on the real test images
of B. The same network trained on A as it is ("source only") is the floor, and on real training images of B the ceiling,
as in the comparisons of Hoffman et al. (CyCADA, ICML 2018) and Bousmalis et al. (PixelDA, CVPR 2017). Between them
stands what needs no translation: the network trained on A as it is, while its features adapt to B (`dann`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from i2ibench.metrics import dann
from i2ibench.metrics.features import full_precision
from i2ibench.metrics.kept import kept
from i2ibench.metrics.material import Labelled

IMAGES = 2000  # of each domain to learn from, at most; evenly spaced over the training set
EDGE = 32  # pixels that the classifier sees
WIDTH = 16
BATCH = 64
LEARNING_RATE = 2e-3
SEED = 0
VERSION = 1  # of the classifier and its training: raise it when either changes
SETTINGS = {
    "classifier": f"3 x (convolution, maximum of 2 x 2, group norm, ReLU) of {WIDTH} to {4 * WIDTH} channels, linear",
    "version": VERSION,
    "training_images": f"at most {IMAGES} of a domain, evenly spaced",
    "input_size": EDGE,
    "resize": "bilinear, antialiased (torch.nn.functional.interpolate)",
    "optimiser": f"Adam, learning rate {LEARNING_RATE}, linear to 0; batches of {BATCH}",
    "seed": SEED,
}


def adaptation_values(
    labelled: Labelled, test: np.ndarray, steps: int, device: str, cache: Path | None
) -> dict[str, np.ndarray]:
    """Which test images (N, H, W, 3) are recognised, 1.0 or 0.0 each, float64 (N,), after learning from ...

    ... "translated" images, the "source" domain as it is, that and the "target" domain without labels ("dann"), and the
    "target" domain itself. All are kept in `cache`, so that the last three are computed once for all trials of a data
    set.
    """
    domains: dict[str, tuple[np.ndarray, ...]] = {
        "translated": (labelled.translated, labelled.source_labels),
        "source": (labelled.source, labelled.source_labels),
        "dann": (labelled.source, labelled.source_labels, labelled.target),
        "target": (labelled.target, labelled.target_labels),
    }
    about = SETTINGS, labelled.classes, steps, torch.device(device).type, torch.__version__
    found = {}
    for name, (images, labels, *unlabelled) in domains.items():
        learn = partial(
            recognised, images, labels, test, labelled.test_labels, labelled.classes, steps, device, *unlabelled
        )
        of = images, labels, *unlabelled, test, labelled.test_labels
        found[name] = kept(cache, "adaptation", (*about, dann.SETTINGS) if unlabelled else about, of, learn)
    return found


def recognised(
    images: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    classes: int,
    steps: int,
    device: str,
    unlabelled: np.ndarray | None = None,
) -> np.ndarray:
    """Train on `images`, and say for each test image whether its class was found: float64 (N,) of 1 and 0.

    Where there are `unlabelled` images of the target domain, the features adapt to them (`dann`).
    The same on every call: weights and batches come from a fixed seed, and the caller's random state is left alone.
    """
    cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), full_precision(), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(SEED)
        network = classifier(classes).to(device)
        adapted = dann.Loss(network).to(device) if unlabelled is not None else None
        x, y = _seen(images, device), torch.from_numpy(labels).to(device)
        of_target = x if unlabelled is None else _seen(unlabelled, device)
        optimiser = torch.optim.Adam((adapted or network).parameters(), LEARNING_RATE)
        decay = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
        batches = zip(_batches(len(x), steps), _batches(len(of_target), steps, SEED + 1), strict=True)
        for step, (rows, others) in enumerate(batches):
            optimiser.zero_grad()
            if adapted is None:
                loss = cross_entropy(network(x[rows]), y[rows])
            else:
                loss = adapted(x[rows], y[rows], of_target[others], step / steps)
            loss.backward()
            optimiser.step()
            decay.step()
        with torch.no_grad():
            found = torch.cat([network(part).argmax(dim=1) for part in _seen(test, device).split(BATCH)])
    return (found.cpu().numpy() == test_labels).astype(np.float64)


def classifier(classes: int) -> nn.Sequential:
    """Images (N, 3, 32, 32) in [-1, 1] to logits (N, classes). Group norm: a change of domain has no old statistics."""
    widths = (3, WIDTH, 2 * WIDTH, 4 * WIDTH)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(2), nn.GroupNorm(8, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * (EDGE // 8) ** 2, classes))


def _seen(images: np.ndarray, device: str) -> Tensor:
    """uint8 (N, H, W, 3) as the classifier sees it: float (N, 3, 32, 32) in [-1, 1]."""
    parts = []
    for start in range(0, len(images), BATCH):
        x = torch.from_numpy(np.array(images[start : start + BATCH])).to(device).permute(0, 3, 1, 2).float()
        parts.append(interpolate(x, (EDGE, EDGE), mode="bilinear", antialias=True) / 127.5 - 1)
    return torch.cat(parts)


def _batches(count: int, steps: int, seed: int = SEED) -> Iterator[np.ndarray]:
    """Rows of each step's batch: shuffled epochs one after the other."""
    rng = np.random.default_rng(seed)
    rows = np.empty(0, np.int64)
    for _ in range(steps):
        while len(rows) < BATCH:
            rows = np.concatenate([rows, rng.permutation(count)])
        yield rows[:BATCH]
        rows = rows[BATCH:]

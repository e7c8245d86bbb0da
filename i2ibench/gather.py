"""Gathers what the scores of a trial need besides its outputs: styles, cycles and labelled images, made when asked for.

They come from the trained networks in the store, with noise from the trial's seed, so that re-scoring never retrains.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from i2ibench.build import make_method
from i2ibench.data.images import Images, ImageSet, centre, evenly_spaced
from i2ibench.dataset import source_of, source_params
from i2ibench.disk import atomic_write
from i2ibench.errors import TrialError, absent
from i2ibench.metrics.adaptation import IMAGES as MOST_TRAINING
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.evaluate import Scores, evaluate
from i2ibench.metrics.material import Labelled, Material, RealPairs
from i2ibench.metrics.protocol import Protocol
from i2ibench.metrics.stamp import TRIAL
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.translation import reconstruct, translate, translate_styles

if TYPE_CHECKING:
    from i2ibench.data.labels import ClassLabels
    from i2ibench.method import Method

KEPT_STYLES = 8  # of each input, for the report


def scored(
    spec: TrialSpec,
    store: Store,
    images: Images,
    outputs: ImageSet,
    metrics: Sequence[str],
    protocol: Protocol,
    device: torch.device,
    origin: Mapping[str, str] = TRIAL,
) -> Scores:
    """The scores of a trial's outputs, uint8 (H, W, 3) each: at the end of its training, or on the way there.

    Raises TrialError as `material` does.
    """
    return evaluate(
        outputs,
        images.test_b,
        metrics,
        protocol,
        paired=images.scores_pairs and spec.scores_pairs,
        device=device,
        cache=store.feature_cache,
        origin=origin,
        material=material(spec, store, images, outputs, metrics, protocol, device),
    )


def material(
    spec: TrialSpec,
    store: Store,
    images: Images,
    outputs: ImageSet,
    metrics: Collection[str],
    protocol: Protocol,
    device: torch.device,
) -> Material:
    """What `metrics` need. Styles (a few) and cycles are kept in the trial's directory for the report.

    Args:
        images: the data set, in the direction that the trial translates in.
        outputs: the translated test images.

    Raises:
        TrialError: the trained networks are missing, or what they give is no image.
    """
    needs = frozenset[str]().union(*(METRICS[name].needs for name in metrics))
    scale = source_params(spec).scale
    if not needs - {"pairs"}:
        return Material(scale=scale)
    # Of images of several sizes nothing more is asked (`scored`).
    assert isinstance(images.test_a, np.ndarray)
    assert isinstance(outputs, np.ndarray)
    source = source_of(spec)
    method = trained(spec, store, device) if needs & {"styles", "cycle", "labels"} else None
    styles = cycled = labelled = truths = None
    folder, backward = store.trial(spec.id).path, spec.backward
    if method and "styles" in needs:
        chosen = evenly_spaced(len(images.test_a), protocol.diversity_inputs)
        inputs = images.test_a[chosen]
        styles = translate_styles(method, inputs, 2 * protocol.diversity_pairs, spec.seed, device, backward=backward)
        _keep(folder / "styles.npy", styles[:, :KEPT_STYLES])
        truths = source.truths(chosen) if "truths" in needs else None
    if method and "cycle" in needs:
        cycled = reconstruct(method, images.test_a, outputs, spec.seed, device, backward=backward)
        _keep(folder / "cycled.npy", cycled)
    if method and "labels" in needs and (labels := source.class_labels()) is not None:
        labelled = _labelled(spec, images, labels, method, device)
    pairs = None
    if "scorer" in needs and images.paired:
        chosen = evenly_spaced(len(images.train_a), MOST_TRAINING)
        pairs = RealPairs(images.train_a[chosen], images.train_b[chosen])
    return Material(styles, images.test_a, cycled, source.palette, labelled, truths, pairs, scale)


def trained(spec: TrialSpec, store: Store, device: torch.device) -> Method:
    """The method of a trial with its trained networks.

    Raises:
        TrialError: they are not in the store.
    """
    method = make_method(spec, store, device)
    file = store.trial(spec.trained_as).path / "weights.pt"
    try:
        method.load_state_dict(torch.load(file, map_location=device, weights_only=True))
    except FileNotFoundError:
        raise TrialError(f"{absent(file)}; delete its directory and the trial's to have it made again") from None
    return method


def _labelled(spec: TrialSpec, images: Images, labels: ClassLabels, method: Method, device: torch.device) -> Labelled:
    a, b = (evenly_spaced(len(domain), MOST_TRAINING) for domain in (images.train_a, images.train_b))
    size = method.task.size
    source = centre(images.train_a[a], size)
    return Labelled(
        classes=len(labels.classes),
        source=source,
        translated=translate(method, source, spec.seed, device, backward=spec.backward),
        source_labels=labels.train_a[a],
        target=centre(images.train_b[b], size),
        target_labels=labels.train_b[b],
        test_labels=labels.test_b,
    )


def _keep(file: Path, images: np.ndarray) -> None:
    with atomic_write(file, "wb") as stream:
        np.save(stream, images, allow_pickle=False)

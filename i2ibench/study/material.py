"""The images that a study shows: the outputs of trained trials, their inputs, real images, and noise."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from i2ibench.data.images import Images, ImageSet, evenly_spaced, same_shapes
from i2ibench.data.ragged import Ragged
from i2ibench.dataset import load_images
from i2ibench.errors import ConfigError
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.study.design import NOISE, REAL, Cell


class Material:
    """What there is to show of each data set.

    rows: data set -> row of the leaderboard -> ids of its trained trials.
    unrelated: rows whose outputs have nothing to do with the input.
    """

    def __init__(self, specs: Sequence[TrialSpec], store: Store, only: Sequence[str] = ()) -> None:
        """Open the outputs of all trained trials but the reference rows'.

        Args:
            only: labels of data sets; default: all.

        Raises:
            ConfigError: there is nothing to compare, or a data set of two kinds under one label.
        """
        self.rows: dict[str, dict[str, list[str]]] = {}
        self._images: dict[str, Images] = {}
        self._outputs: dict[str, ImageSet] = {}
        unknown = set(only) - {spec.data for spec in specs}
        if unknown:
            known = ", ".join(sorted({spec.data for spec in specs}))
            raise ConfigError(f"--data {min(unknown)}: there is no such data set; choose from {known}")
        of_label: dict[str, TrialSpec] = {}
        for spec in specs:
            trial = store.trial(spec.id)
            if spec.reference or (only and spec.data not in only) or trial.result() is None:
                continue
            first = of_label.setdefault(spec.data, spec)
            if (first.fingerprint, first.source_params) != (spec.fingerprint, spec.source_params):
                raise ConfigError(
                    f"{store.path}: has two data sets called '{spec.data}'; name a benchmark file in place of the store"
                )
            images = self._images.get(spec.data) or load_images(spec, store)
            outputs = trial.outputs()
            if outputs is None or not same_shapes(outputs, images.test_a):
                continue
            if isinstance(images.test_a, Ragged) and not images.scores_pairs:
                raise ConfigError(f"{spec.data}: sizes of real images (`test_size: own`) would tell them from outputs")
            self._images[spec.data] = images
            self._outputs[spec.id] = outputs
            ids = self.rows.setdefault(spec.data, {}).setdefault(spec.label, [])
            if spec.id not in ids:
                ids.append(spec.id)
        self.unrelated = frozenset(spec.label for spec in specs if not spec.scores_pairs)
        if not self.rows:
            raise ConfigError(f"{store.path}: has no trained trials to show; `i2ibench run` the benchmark first")

    @property
    def paired(self) -> frozenset[str]:
        """The data sets whose real images are what the inputs should become."""
        return frozenset(data for data, images in self._images.items() if images.paired)

    def chosen(self, count: int, practice: int = 0) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Test images of each data set to ask about, and others to practise on: evenly spaced, by no one's looks.

        Where there are not enough for both, a fifth of all is for practice.
        """
        asked, practised = {}, {}
        for data, images in self._images.items():
            every = len(images.test_a)
            aside = min(practice, max(every - count, every // 5))
            asked[data] = evenly_spaced(every, min(count, every - aside)).tolist()
            others = sorted(set(range(every)) - set(asked[data]))
            practised[data] = [others[i] for i in evenly_spaced(len(others), aside)]
        return asked, practised

    def shown(self, cell: Cell) -> tuple[bytes, bytes, bytes | None]:
        """The images `a` and `b` of a cell, and the input where the question is about it; as `encoded`.

        Raises:
            KeyError: the cell is about a trial or a data set that is not here.
        """
        images = self._images[cell.data]
        asked_of = encoded(images.test_a[cell.image]) if cell.kind == "better" else None
        return (
            encoded(self._image(images, cell.a, cell.image)),
            encoded(self._image(images, cell.b, cell.image)),
            asked_of,
        )

    def _image(self, images: Images, which: str, at: int) -> np.ndarray:
        real = images.test_b[at % len(images.test_b)]
        if which == REAL:
            return real
        if which == NOISE:
            return np.random.default_rng(at).integers(0, 256, real.shape, np.uint8)
        return self._outputs[which][at]


def encoded(image: np.ndarray) -> bytes:
    """A PNG that is not compressed and holds pixels alone: of one size, all have the same number of bytes."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(file, "PNG", compress_level=0)
    return file.getvalue()


def of_store(store: Store) -> list[TrialSpec]:
    """All trials that lie in a store. Raises StoreError if one is damaged or of another version."""
    return [TrialSpec.of(store.trial(path.parent.name)) for path in sorted(store.path.glob("*/spec.json"))]

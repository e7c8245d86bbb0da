"""shapes: rendered scenes of which all is known. `fill`: one outline, several true colourings; `sim2real`: flat to lit.

The colour law of `fill`: an image's mode m is drawn from 0 .. colours - 1, evenly and whatever the outline; a shape of
kind k then has the colour number (k + m) modulo `colours`. So each outline has exactly `colours` true answers, all
equally likely, and `truths` renders them: how many of them a method finds can be counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from i2ibench.data.images import Allocate, Images, Progress, in_memory
from i2ibench.data.source import Pairing, Source, SourceParams
from i2ibench.lazy import np

VERSION = 1  # part of the fingerprint: raise it when anything below changes a pixel
KINDS = ("circle", "triangle", "square", "hexagon")
COLOURS = (  # far from each other, from white and from black
    (214, 60, 60),
    (60, 160, 75),
    (65, 90, 200),
    (235, 190, 50),
    (160, 75, 175),
    (70, 185, 200),
    (240, 130, 45),
    (120, 120, 120),
)
LINE = 0.025  # width of an outline over the image size
MOST_SHAPES = 3


class ShapeParams(SourceParams):
    kind: Literal["fill", "sim2real"] = Field(
        "fill",
        description="fill: outlines to colourings, several true ones each; sim2real: flat colours to lit texture",
    )
    colours: int = Field(6, ge=2, le=len(COLOURS), description="fill: how many true answers each outline has")
    train_images: int = Field(1000, ge=2, description="pairs to train on")
    test_images: int = Field(200, ge=2, description="pairs to test on; other scenes than those")


class Shape(NamedTuple):
    """One shape of a scene, in units of the image size: a regular polygon with its corners on a circle, or a circle."""

    kind: int
    x: float
    y: float
    radius: float
    angle: float


class Scene(NamedTuple):
    """What an image shows. `light` is a direction on the image plane; `seed` is that of textures and noise."""

    shapes: tuple[Shape, ...]
    mode: int
    light: float
    seed: int


class Shapes(Source):
    """Scenes that depend on nothing but their number and the split, at any size."""

    name = "shapes"
    description = "rendered scenes with known truth: outlines to one of several colourings, or flat to lit and textured"
    Params = ShapeParams

    @property
    def pairing(self) -> Pairing:
        return "paired"

    def summary(self) -> dict[str, int]:
        train, test = self.params.train_images, self.params.test_images
        return {"train_a": train, "train_b": train, "test_a": test, "test_b": test}

    def fingerprint(self, cache_dir: Path | None = None) -> str:
        p = self.params
        content = [VERSION, p.kind, p.colours if p.kind == "fill" else None, p.train_images, p.test_images]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def decode(self, allocate: Allocate = in_memory, progress: Progress | None = None) -> Images:
        counts = {"train": self.params.train_images, "test": self.params.test_images}
        sizes = {"train": self.params.train_size, "test": self.params.size}
        arrays = {
            f"{split}_{domain}": allocate(f"{split}_{domain}", (counts[split], sizes[split], sizes[split], 3))
            for split in counts
            for domain in "ab"
        }
        first, second = "ab" if self.params.direction == "AtoB" else "ba"
        done, total = 0, sum(counts.values())
        for split, count in counts.items():
            for i in range(count):
                scene, size = self.scene(split, i), sizes[split]
                arrays[f"{split}_{first}"][i], arrays[f"{split}_{second}"][i] = self._pair(scene, size)
                done += 1
                if progress and (done % 50 == 0 or done == total):
                    progress(done, total)
        names = tuple(f"scene-{i:04}" for i in range(counts["test"]))
        return Images(**arrays, test_names=names, paired=True, fingerprint=self.fingerprint(), hidden_pairs=False)

    def scene(self, split: Literal["train", "test"] | str, number: int) -> Scene:
        """Scene `number` of a split: one to three shapes that do not touch."""
        rng = np.random.default_rng([VERSION, split == "test", number])
        shapes: list[Shape] = []
        wanted = rng.integers(1, MOST_SHAPES, endpoint=True)
        for _ in range(200):
            radius = rng.uniform(0.12, 0.28)
            x, y = rng.uniform(radius + 0.03, 1 - radius - 0.03, 2)
            if all(np.hypot(x - s.x, y - s.y) > radius + s.radius + 0.04 for s in shapes):
                shapes.append(Shape(int(rng.integers(len(KINDS))), x, y, radius, rng.uniform(0, 2 * np.pi)))
                if len(shapes) == wanted:
                    break
        mode = int(rng.integers(self.params.colours)) if self.params.kind == "fill" else int(rng.integers(len(COLOURS)))
        return Scene(tuple(shapes), mode, rng.uniform(0, 2 * np.pi), int(rng.integers(2**31)))

    def truths(self, chosen: Sequence[int] | np.ndarray | None = None) -> np.ndarray | None:
        """Every true answer to test images (default: all), for `kind: fill` from A to B; else None.

        Each answer is equally likely. Entry [m, i] is that of mode m; test_b holds one of them for each i.
        """
        if self.params.kind != "fill" or self.params.direction != "AtoB":
            return None
        numbers = range(self.params.test_images) if chosen is None else chosen
        scenes = [self.scene("test", int(i)) for i in numbers]
        return np.stack(
            [
                np.stack(
                    [_filled(scene._replace(mode=mode), self.params.size, self.params.colours) for scene in scenes]
                )
                for mode in range(self.params.colours)
            ]
        )

    def _pair(self, scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
        if self.params.kind == "fill":
            return _outline(scene, size), _filled(scene, size, self.params.colours)
        return _flat(scene, size), _lit(scene, size)


def _outline(scene: Scene, size: int) -> np.ndarray:
    ink = np.zeros((size, size))
    for shape in scene.shapes:
        ink = np.maximum(ink, _covered(np.abs(_distance(shape, size)) - LINE / 2, size))
    return _bytes(255 * (1 - ink[..., None]) * np.ones(3))


def _filled(scene: Scene, size: int, colours: int) -> np.ndarray:
    image = np.full((size, size, 3), 255.0)
    for shape in scene.shapes:
        distance = _distance(shape, size)
        colour = np.array(COLOURS[(shape.kind + scene.mode) % colours], np.float64)
        inside = _covered(distance, size)[..., None]
        line = _covered(np.abs(distance) - LINE / 2, size)[..., None]
        image = image * (1 - inside) + colour * inside
        image = image * (1 - line)
    return _bytes(image)


def _flat(scene: Scene, size: int) -> np.ndarray:
    """Plain colours on a plain ground, as a simple simulator draws them."""
    image = np.full((size, size, 3), 1.0) * _ground(scene)
    for i, shape in enumerate(scene.shapes):
        inside = _covered(_distance(shape, size), size)[..., None]
        image = image * (1 - inside) + _own_colour(scene, i) * inside
    return _bytes(image)


def _lit(scene: Scene, size: int) -> np.ndarray:
    """The same scene as a camera would see it: textured ground, shapes that bulge in the light, shadows, and noise."""
    rng = np.random.default_rng(scene.seed)
    toward = np.array([np.cos(scene.light), np.sin(scene.light)])
    y, x = _grid(size)
    falloff = 1 + 0.35 * ((x - 0.5) * toward[0] + (y - 0.5) * toward[1])
    image = _ground(scene) * (falloff * (1 + 0.28 * _texture(rng, size)))[..., None]
    for shape in scene.shapes:
        away = shape._replace(x=shape.x - 0.045 * toward[0], y=shape.y - 0.045 * toward[1])
        image *= 1 - 0.5 * np.clip(0.5 - _distance(away, size) / 0.05, 0, 1)[..., None]
    for i, shape in enumerate(scene.shapes):
        distance = _distance(shape, size)
        down, right = np.gradient(distance, 1 / size)
        steep = np.clip(1 + distance / (0.6 * shape.radius), 0, 1)  # 1 at the rim, 0 in the middle
        facing = steep * (right * toward[0] + down * toward[1])
        shade = 0.75 + 0.4 * facing + 0.25 * np.clip(facing, 0, 1) ** 8
        body = _own_colour(scene, i) * (shade * falloff * (1 + 0.16 * _texture(rng, size)))[..., None]
        inside = _covered(distance, size)[..., None]
        image = image * (1 - inside) + body * inside
    return _bytes(image + rng.normal(0, 5, image.shape))


def _ground(scene: Scene) -> np.ndarray:
    return np.array([[205, 200, 190], [150, 165, 140], [165, 175, 195]][scene.seed % 3], np.float64)


def _own_colour(scene: Scene, i: int) -> np.ndarray:
    return np.array(COLOURS[(scene.mode + 3 * i) % len(COLOURS)], np.float64)


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise of four scales, (size, size), mean 0 and about 1 at most; of the same form at any size."""
    from PIL import Image

    total = np.zeros((size, size))
    for cells, weight in ((4, 0.3), (8, 0.3), (16, 0.25), (32, 0.15)):
        grid = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
        total += weight * np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))
    return 1.6 * total


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    centres = (np.arange(size) + 0.5) / size
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return y, x


def _distance(shape: Shape, size: int) -> np.ndarray:
    """(size, size): how far each pixel is outside the shape's edge (negative inside), over the image size."""
    y, x = _grid(size)
    x, y = x - shape.x, y - shape.y
    if KINDS[shape.kind] == "circle":
        return np.hypot(x, y) - shape.radius
    sides = {"triangle": 3, "square": 4, "hexagon": 6}[KINDS[shape.kind]]
    angles = shape.angle + 2 * np.pi * np.arange(sides) / sides
    return np.max([x * np.cos(a) + y * np.sin(a) for a in angles], axis=0) - shape.radius * np.cos(np.pi / sides)


def _covered(distance: np.ndarray, size: int) -> np.ndarray:
    """Share of each pixel that lies inside: its edge is drawn over one pixel."""
    return np.clip(0.5 - distance * size, 0, 1)


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)

"""Tasks made from any image set: from one image its pair (input, target), the same for every method and run."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag

from i2ibench.data import resize
from i2ibench.data.labels import Palette
from i2ibench.data.labels import colours as read_colours
from i2ibench.errors import did_you_mean
from i2ibench.lazy import np
from i2ibench.settings import Settings

VERSION = 1  # part of every fingerprint: raise it when a task below makes other pixels
GREY = 128  # what is missing: the middle of the range, 0 in what a network sees
COLOURS = {  # of `segment`: basic colour terms (Berlin and Kay 1969) in the shades that photographs have
    "black": (20, 20, 20),
    "grey": (128, 128, 128),
    "white": (240, 240, 240),
    "red": (190, 40, 40),
    "orange": (230, 140, 50),
    "brown": (110, 75, 50),
    "yellow": (230, 215, 90),
    "green": (70, 130, 60),
    "blue": (40, 85, 170),
    "purple": (130, 70, 150),
    "pink": (235, 165, 175),
}


class Task(Settings):
    """A rule that makes a pair from one image. Its fields are the keys that a benchmark file may set."""

    name: str
    target: ClassVar[str] = "the image itself"

    @property
    def multiple(self) -> int:
        """What the edges of its images must be multiples of."""
        return 1

    def pair(self, image: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Input and target, uint8 (H, W, 3) each, of an image of that form; chance comes from `seed` alone."""
        return self.degraded(image, np.random.default_rng(seed)), image

    def degraded(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} defines neither pair() nor degraded()")

    def hindrance(self, size: int) -> str | None:
        """Why the task cannot be made at this image size, and what to do; None if it can."""
        return None

    @property
    def palette(self) -> Palette | None:
        """The classes of its targets, where they are label maps."""
        return None

    def fingerprint(self) -> str:
        """All that decides a pixel, besides the image."""
        from importlib.metadata import version

        library = version("scikit-image") if self.name in ("edges", "deblur", "segment") else None
        return hashlib.sha256(json.dumps([VERSION, self.model_dump(mode="json"), library]).encode()).hexdigest()


class Colorize(Task):
    """Grey to colour: the input is the luma of ITU-R 601 in all three channels."""

    name: Literal["colorize"] = "colorize"

    def degraded(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.repeat(_grey(image).round().astype(np.uint8)[..., None], 3, axis=2)


class Inpaint(Task):
    """Fill a hole, grey in the input: strokes of a brush (Yu et al., ICCV 2019, section 3.5), or boxes."""

    name: Literal["inpaint"] = "inpaint"
    mask: Literal["free-form", "box"] = Field("free-form", description="strokes of a brush, or boxes")
    share: float = Field(0.25, gt=0, lt=0.9, description="at least this share of each image is missing")

    def degraded(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        missing = (_boxes if self.mask == "box" else _strokes)(rng, height, width, self.share)
        return np.where(missing[..., None], np.uint8(GREY), image)


class SuperResolve(Task):
    """Sharpen: the image shrunk by `scale` and enlarged again to its size, both as MATLAB's bicubic imresize does."""

    name: Literal["super-resolve"] = "super-resolve"
    scale: Literal[2, 4, 8] = Field(4, description="how many times smaller the image was made")

    @property
    def multiple(self) -> int:
        return self.scale

    def degraded(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        small = resize.imresize(image, (height // self.scale, width // self.scale))
        return resize.imresize(small, (height, width))

    def hindrance(self, size: int) -> str | None:
        if size % self.scale:
            return f"{size} pixels cannot be divided by {self.scale}: choose another size (and load_size) or scale"
        return None


class Denoise(Task):
    """Remove white Gaussian noise, rounded and clipped to 8 bits."""

    name: Literal["denoise"] = "denoise"
    sigma: float = Field(25.0, gt=0, description="standard deviation of the noise in grey levels of 0 to 255")

    def degraded(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _bytes(image + rng.normal(0, self.sigma, image.shape))


class Deblur(Task):
    """Undo a blur: of motion along a line (its direction by chance), or Gaussian."""

    name: Literal["deblur"] = "deblur"
    blur: Literal["motion", "gaussian"] = Field("motion", description="a line in a direction by chance, or a Gaussian")
    extent: float = Field(
        0.06, gt=0, le=0.5, description="length of the line, or four standard deviations, over the image size"
    )

    def degraded(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        from scipy.signal import fftconvolve
        from skimage.filters import gaussian

        extent = self.extent * min(image.shape[:2])
        if self.blur == "gaussian":
            return _bytes(255 * gaussian(image / 255, extent / 4, mode="mirror", channel_axis=2))
        kernel = _line(rng, extent)[..., None]
        edge = len(kernel) // 2
        return _bytes(fftconvolve(np.pad(image, ((edge, edge), (edge, edge), (0, 0)), "reflect"), kernel, mode="valid"))


class Edges(Task):
    """Draw the image that has these edges, black on white as in edges2shoes."""

    name: Literal["edges"] = "edges"
    detector: Literal["canny", "soft"] = Field(
        "canny", description="lines of one pixel (Canny 1986), or the strength of edges over two scales, as HED's look"
    )
    sigma: float = Field(1.5, gt=0, description="blur before edges are looked for, in pixels")

    def degraded(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        from skimage import feature, filters

        grey = _grey(image) / 255
        if self.detector == "canny":
            ink = feature.canny(grey, sigma=self.sigma).astype(np.float64)
        else:
            scales = [filters.sobel(filters.gaussian(grey, self.sigma * k)) * k for k in (1, 2)]
            strength = np.mean(scales, axis=0)
            ink = np.clip(strength / max(float(np.percentile(strength, 98)), 1 / 255), 0, 1)
        return np.repeat(_bytes(255 * (1 - ink))[..., None], 3, axis=2)


class Segment(Task):
    """Divide an image into regions of named colours: a label map whose truth is known for any image."""

    name: Literal["segment"] = "segment"
    target: ClassVar[str] = "a label map in the colours of the palette"
    colours: Annotated[dict[str, tuple[int, int, int]], BeforeValidator(read_colours)] = Field(
        COLOURS, description="class: [r, g, b]; each region has the class whose colour is nearest (CIELAB)"
    )
    smooth: float = Field(0.03, ge=0, le=0.25, description="width of the median filter before, over the image size")

    def pair(self, image: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        from scipy import ndimage
        from skimage.color import rgb2lab

        window = 2 * round(self.smooth * min(image.shape[:2]) / 2) + 1
        calm = ndimage.median_filter(image, size=(window, window, 1), mode="mirror")
        palette = np.array(list(self.colours.values()), np.uint8)
        distance = np.linalg.norm(rgb2lab(calm)[:, :, None] - rgb2lab(palette[None])[0], axis=-1)
        return image, palette[distance.argmin(axis=-1)]

    @property
    def palette(self) -> Palette | None:
        return Palette(tuple(self.colours), tuple(self.colours.values()), "b")


TASKS: dict[str, type[Task]] = {
    "colorize": Colorize,
    "inpaint": Inpaint,
    "super-resolve": SuperResolve,
    "denoise": Denoise,
    "deblur": Deblur,
    "edges": Edges,
    "segment": Segment,
}


def _by_name(value: Any) -> Any:
    """`task: colorize` stands for `task: {name: colorize}`; an unknown name is answered with the known ones."""
    given = {"name": value} if isinstance(value, str) else value
    name = given.get("name") if isinstance(given, dict) else getattr(given, "name", None)
    if name not in TASKS:
        raise ValueError(
            f"unknown task; {did_you_mean(str(name), TASKS)} (as task: NAME, or task: {{name: NAME, ...}})"
        )
    return given


def _name(value: Any) -> str:
    return str(value["name"] if isinstance(value, dict) else value.name)


# A callable in place of discriminator="name", which pydantic refuses for a field with a validator (of Settings).
AnyTask: TypeAlias = Annotated[
    Annotated[Colorize, Tag("colorize")]
    | Annotated[Inpaint, Tag("inpaint")]
    | Annotated[SuperResolve, Tag("super-resolve")]
    | Annotated[Denoise, Tag("denoise")]
    | Annotated[Deblur, Tag("deblur")]
    | Annotated[Edges, Tag("edges")]
    | Annotated[Segment, Tag("segment")],
    Discriminator(_name),
    BeforeValidator(_by_name),
]


def _grey(image: np.ndarray) -> np.ndarray:
    return image @ np.array([0.299, 0.587, 0.114])


def _bytes(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _boxes(rng: np.random.Generator, height: int, width: int, share: float) -> np.ndarray:
    """Boxes whose sides are a quarter to a half of the image's, until they cover the share."""
    missing = np.zeros((height, width), bool)
    edges = np.array([height, width])
    while missing.mean() < share:
        down, across = rng.integers(edges // 4, edges // 2, endpoint=True)
        top, left = rng.integers(0, height - down, endpoint=True), rng.integers(0, width - across, endpoint=True)
        missing[top : top + down, left : left + across] = True
    return missing


def _strokes(rng: np.random.Generator, height: int, width: int, share: float) -> np.ndarray:
    """Strokes of a round brush that turns to and fro, until they cover the share."""
    from PIL import Image, ImageDraw

    canvas, size = Image.new("1", (width, height)), min(height, width)
    draw = ImageDraw.Draw(canvas)
    while np.asarray(canvas).mean() < share:
        point, angle = rng.uniform(0, (width, height)), rng.uniform(0, 2 * np.pi)
        thick = rng.uniform(size / 20, size / 8)
        for turn in range(rng.integers(4, 12)):
            # Each vertex turns back by about 2/5 of a circle (the paper's mean angle), so that a stroke stays together.
            angle += (1 if turn % 2 else -1) * rng.normal(2 * np.pi / 5, np.pi / 15) + np.pi * (turn % 2)
            stroke = rng.uniform(size / 16, size / 4) * np.array([np.cos(angle), np.sin(angle)])
            end = np.clip(point + stroke, 0, (width, height))
            draw.line([*point, *end], fill=1, width=round(thick))
            for x, y in (point, end):
                draw.ellipse([x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2], fill=1)
            point = end
    return np.asarray(canvas)


def _line(rng: np.random.Generator, length: float) -> np.ndarray:
    """The kernel of a motion along a straight line of so many pixels, in a direction by chance; sums to 1."""
    reach = int(np.ceil(length / 2)) + 1
    angle = rng.uniform(0, np.pi)
    along = np.linspace(-length / 2, length / 2, 16 * reach)
    y, x = reach + along * np.sin(angle), reach + along * np.cos(angle)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for dy in (0, 1):  # each point of the line is shared by the four pixels around it
        for dx in (0, 1):
            row, column = np.floor(y).astype(int) + dy, np.floor(x).astype(int) + dx
            np.add.at(kernel, (row, column), (1 - np.abs(y - row)) * (1 - np.abs(x - column)))
    return kernel / kernel.sum()

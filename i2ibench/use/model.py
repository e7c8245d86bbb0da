"""A trained method as a function of images: any size, several styles, either direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, overload

import numpy as np
import torch

from i2ibench.anysize import FITS, Fit, fitted, least_multiple, resized, tiled
from i2ibench.data import pixels
from i2ibench.errors import ConfigError, DataError, TrialError
from i2ibench.memory import is_out_of_memory
from i2ibench.translation import TRANSLATE_BATCH, translate, translate_like, translate_styles
from i2ibench.use.ask import Ask, Direction

if TYPE_CHECKING:
    from PIL.Image import Image

    from i2ibench.method import Method

Picture: TypeAlias = "np.ndarray | Image | Path | str"


@dataclass
class Model:
    """A method with its trained networks, and what is needed to use them.

    Attributes:
        name: of the trial.
        size: width and height of the images that it was trained on.
        directions: those that it can go, in the data set's words; the first is its own.
        forward: the direction that `method.translate` goes.
        multiples: direction -> the number that image edges must be multiples of; None: it takes its own size alone.
            Filled in when first asked for (`multiple`).
        about: what else is known of it: method, data, how it was trained.
    """

    name: str
    method: Method
    size: int
    directions: tuple[Direction, ...]
    forward: Direction
    device: torch.device
    multiples: dict[Direction, int | None] = field(default_factory=dict)
    about: dict[str, object] = field(default_factory=dict)

    @overload
    def translate(  # type: ignore[overload-overlap]  # a str is a path, and not a sequence of them
        self,
        images: Picture,
        *,
        n: int | None = None,
        style_from: Picture | Sequence[Picture] | None = None,
        direction: Direction | None = None,
        fit: Fit = "auto",
        seed: int = 0,
    ) -> np.ndarray: ...

    @overload
    def translate(
        self,
        images: Sequence[Picture],
        *,
        n: int | None = None,
        style_from: Picture | Sequence[Picture] | None = None,
        direction: Direction | None = None,
        fit: Fit = "auto",
        seed: int = 0,
    ) -> list[np.ndarray]: ...

    def translate(
        self,
        images: Picture | Sequence[Picture],
        *,
        n: int | None = None,
        style_from: Picture | Sequence[Picture] | None = None,
        direction: Direction | None = None,
        fit: Fit = "auto",
        seed: int = 0,
    ) -> np.ndarray | list[np.ndarray]:
        """Translate images of any sizes. What comes out for an image hangs on it, the seed and nothing else.

        Args:
            images: one image or several. One is uint8 (H, W, 3) in RGB, a PIL image, or the path of a file (decoded
                as data sets are: EXIF rotation honoured, alpha laid over white). Several are uint8 (N, H, W, 3) or a
                sequence of any of those.
            n: so many translations of each image, with noise drawn from the seed (multimodal methods).
            style_from: an image, or several, of the target domain whose style to take (methods with exemplars).
            direction: "AtoB" or "BtoA", as in the data set; default: what the trial was trained for.
            fit: what is done with a size that the network cannot take: "pad" mirrors the image at its borders up to
                the next multiple, and to the size of training at least; "tile" cuts it into overlapping tiles of that
                size; "resize" squashes it to that size, as training did, and enlarges the output; "auto" pads where
                the network takes other sizes than its own, and tiles where it does not.
            seed: of the noise.

        Returns:
            uint8 (H, W, 3) for one image, (N, H, W, 3) for an array of them, a list for a sequence. With `n`, or with
            several images in `style_from`, each image gives (n, H, W, 3).

        Raises:
            ConfigError: the method cannot do what is asked for.
            DataError: a file that does not decode, or an array of another form.
            TrialError: it gave no image, or there is not enough memory.
        """
        styles = () if style_from is None else tuple(as_arrays(style_from))
        ask = Ask(n, styles, direction, fit, seed)
        self.require(ask)
        arrays = as_arrays(images)
        outputs = self.outputs(arrays, ask)
        made = outputs if ask.several else [output[0] for output in outputs]
        if isinstance(images, np.ndarray):
            return np.stack(made) if images.ndim == 4 and made else made[0] if images.ndim == 3 else images.copy()
        return made if isinstance(images, Sequence) and not isinstance(images, str) else made[0]

    def require(self, ask: Ask) -> None:
        """Raise ConfigError if the method cannot do what is asked for."""
        if ask.fit not in FITS:
            raise ConfigError(f"fit: '{ask.fit}' is none of {', '.join(FITS)}")
        if ask.direction not in (None, "AtoB", "BtoA"):
            raise ConfigError(f"direction: '{ask.direction}' is neither AtoB nor BtoA")
        if ask.direction and ask.direction not in self.directions:
            raise ConfigError(f"{self.name} goes {self.directions[0]} only: train it with `direction: {ask.direction}`")
        for name, number in (("n", 1 if ask.n is None else ask.n), ("seed", ask.seed)):
            if not isinstance(number, Integral) or isinstance(number, bool):
                raise ConfigError(f"{name} is {number!r}: it is a whole number")
        if ask.n is not None and ask.n < 1:
            raise ConfigError(f"n is {ask.n}: ask for one translation or more")
        if ask.n is not None and ask.style_from:
            raise ConfigError("a style comes from an image or by chance: leave out n or style_from")
        if (ask.n or 1) > 1 and not self.method.multimodal:
            raise ConfigError(f"{self.name} gives one translation of an image, whatever the noise: leave n out")
        if ask.style_from and not self.method.exemplars:
            raise ConfigError(f"{self.name} does not take the style of an image: leave style_from out")

    def outputs(
        self, arrays: Sequence[np.ndarray], ask: Ask, done: Callable[[int], None] = lambda count: None
    ) -> list[np.ndarray]:
        """The translations (k, H, W, 3) of each image (H, W, 3), in batches of one size; `done(n)` when n more are.

        Raises:
            TrialError: the method gave no image, or there is not enough memory.
        """
        by_size: dict[tuple[int, ...], list[int]] = {}
        for i, array in enumerate(arrays):
            by_size.setdefault(array.shape, []).append(i)
        outputs: list[np.ndarray] = [np.empty(0)] * len(arrays)
        for (height, width, _), rows in by_size.items():
            # As much memory as a batch of scoring takes.
            batch = max(1, TRANSLATE_BATCH * self.size**2 // (max(height, self.size) * max(width, self.size)))
            for start in range(0, len(rows), batch):
                chosen = rows[start : start + batch]
                with _memory(height, width):
                    made = self._any_size(np.stack([arrays[i] for i in chosen]), ask)
                for i, output in zip(chosen, made, strict=True):
                    outputs[i] = output
                done(len(chosen))
        return outputs

    def multiple(self, direction: Direction | None = None) -> int | None:
        """What image edges must be multiples of; None: the network takes the size of its training alone."""
        going = direction or self.directions[0]
        if going not in self.multiples:
            ask = Ask(direction=going)
            self.multiples[going] = least_multiple(lambda images: self._run(images, ask), self.size)
        return self.multiples[going]

    def _any_size(self, images: np.ndarray, ask: Ask) -> np.ndarray:
        """uint8 (N, H, W, 3) -> (N, k, H, W, 3)."""

        def run(suited: np.ndarray) -> np.ndarray:
            return self._run(suited, ask)

        if images.shape[1:3] == (self.size, self.size):
            return run(images)
        if ask.fit == "resize":
            return resized(run, images, self.size)
        if ask.fit == "tile":
            return tiled(run, images, self.size, self.multiple(ask.direction))
        multiple = self.multiple(ask.direction)
        if multiple is None and ask.fit == "pad":
            raise ConfigError(f"{self.name} takes {self.size} x {self.size} pixels alone: use fit tile or resize")
        return fitted(run, images, self.size, multiple)

    def _run(self, images: np.ndarray, ask: Ask) -> np.ndarray:
        """Images of a size that the network takes, uint8 (N, H, W, 3) -> (N, k, H, W, 3)."""
        method, device = self.method, self.device
        backward = (ask.direction or self.directions[0]) != self.forward
        if ask.style_from:
            height, width = images.shape[1:3]
            references = [_filling(style, height, width)[None] for style in ask.style_from]
            made = [translate_like(method, images, style, device, backward=backward) for style in references]
            return np.stack(made, axis=1)
        if method.multimodal or method.inference == "train":  # each image meets the same noise, alone or among others
            each = [
                translate_styles(method, image[None], ask.n or 1, ask.seed, device, backward=backward)
                for image in images
            ]
            return np.concatenate(each)
        return translate(method, images, ask.seed, device, backward=backward)[:, None]


def device_of(name: str | None) -> torch.device:
    """A device by its name. Raises ConfigError if this machine has none such."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device '{name}': {reason.rstrip('.')}; leave it out to take the GPU if there is one, else the CPU"
        ) from None
    return device


def as_arrays(images: Picture | Sequence[Picture]) -> list[np.ndarray]:
    """Each image as uint8 (H, W, 3).

    Raises:
        DataError: what is given is no image.
    """
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return [_as_array(image) for image in images]
    if isinstance(images, Sequence) and not isinstance(images, str):
        return [_as_array(image) for image in images]
    return [_as_array(images)]


def _as_array(image: object) -> np.ndarray:
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise DataError(f"an image is uint8 (H, W, 3), in RGB; this array is {image.dtype} {image.shape}")
        return image
    if isinstance(image, str | Path):
        return np.asarray(pixels.read(Path(image)))
    from PIL.Image import Image

    if isinstance(image, Image):
        try:
            return np.asarray(pixels.as_rgb(image))
        except ValueError as error:
            raise DataError(f"this image cannot be used: {error}") from None
    raise DataError(f"an image is a uint8 array, a PIL image or a path, not {type(image).__name__}")


def _filling(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image's central part of this shape, at this size: what gives a style is seen at the size of what takes it."""
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.BICUBIC))


@contextmanager
def _memory(height: int, width: int) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrialError(
            f"not enough memory to translate {width} x {height} pixels at once: use fit tile or resize"
        ) from None

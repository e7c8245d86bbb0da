"""Read one image file as square RGB pixels: rotation honoured, alpha laid over white, 16 bits brought to 8."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from i2ibench.errors import DataError, absent
from i2ibench.lazy import np

if TYPE_CHECKING:
    from PIL.Image import Image

ORIENTATION = 0x0112  # the EXIF tag
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def read(path: Path) -> Image:
    """The file as an RGB image. Raises DataError, with the path, if it does not decode to the last row."""
    return _decoded(path, str(path))


def decode(content: bytes, place: str) -> Image:
    """The bytes of an image file as an RGB image. Raises DataError, with `place`, if they do not decode."""
    return _decoded(io.BytesIO(content), place)


def extent(file: Path | io.BytesIO, place: str) -> tuple[int, int]:
    """Height and width of an image file, once its rotation is applied; reads its header alone. Raises DataError."""
    from PIL import Image

    with _readable(file, place), Image.open(file) as image:
        # Lies on its side; of a TIFF, Pillow says the size as it will be.
        turned = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) >= 5
        return image.size if turned else image.size[::-1]


def fitted(image: Image, size: int, fit: Literal["squash", "crop", "window"], *, label_map: bool = False) -> np.ndarray:
    """uint8 (size, size, 3): the whole image squashed, or its central square, resampled (bicubic, antialiased).

    A label map takes the nearest pixel instead: a blend of two classes' colours may be the colour of a third. A window
    is the pixels in the middle as they are. Raises DataError if the image is too small for it.
    """
    from PIL import Image

    width, height = image.size
    side = size if fit == "window" else min(width, height)
    if side > min(width, height):
        raise DataError(f"its {width} x {height} pixels are too few for a window of {size}; choose another fit")
    left, top = (width - side) // 2, (height - side) // 2
    box = None if fit == "squash" else (left, top, left + side, top + side)
    rule = Image.Resampling.NEAREST if label_map else Image.Resampling.BICUBIC
    return np.asarray(image.resize((size, size), rule, box=box))


def half(image: Image, side: str | None, place: str) -> Image:
    """The left ("a") or right ("b") half of two images side by side; None: the image as it is."""
    if side is None:
        return image
    width, height = image.size
    if width % 2:
        raise DataError(f"{place}: is {width} pixels wide; two images side by side need an even width")
    middle = width // 2
    return image.crop((0, 0, middle, height) if side == "a" else (middle, 0, width, height))


def as_rgb(image: Image) -> Image:
    """An image that is open already, by the same rules. Raises ValueError if its pixels have no fixed range."""
    from PIL import ImageOps

    return _rgb(ImageOps.exif_transpose(image))


def _decoded(file: Path | io.BytesIO, place: str) -> Image:
    from PIL import Image

    with _readable(file, place), Image.open(file) as image:
        return as_rgb(image)


@contextmanager
def _readable(file: Path | io.BytesIO, place: str) -> Iterator[None]:
    """Turn what can go wrong while an image file is read into one line."""
    from PIL import UnidentifiedImageError

    try:
        if isinstance(file, Path) and not file.is_file():  # of a pipe, Pillow would wait for the end
            raise FileNotFoundError
        yield
    except FileNotFoundError:
        raise DataError(absent(Path(place))) from None
    except Exception as error:  # Pillow's readers raise nearly anything on a damaged file
        known = "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)
        reason = " ".join(known.replace(repr(str(file)), "it").split()) or type(error).__name__
        raise DataError(f"{place}: does not decode as an image ({reason}): repair or remove it") from None


def _rgb(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.float32) / 257).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of 32 bits, mode {image.mode}, have no fixed range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")

"""Read one image file as square RGB pixels: rotation honoured, alpha laid over white, 16 bits brought to 8."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from i2ibench.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def read(path: Path) -> Image:
    """The file as an RGB image. Raises DataError, with the path, if it does not decode to the last row."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            return _rgb(ImageOps.exif_transpose(file))
    except Exception as error:  # Pillow's readers raise nearly anything on a damaged file
        reason = " ".join(str(error).replace(repr(str(path)), "it").split()) or type(error).__name__
        raise DataError(f"{path}: does not decode as an image ({reason}): repair or remove it") from None


def fitted(image: Image, size: int, fit: Literal["squash", "crop"]) -> np.ndarray:
    """uint8 (size, size, 3): the whole image squashed, or its central square, resampled (bicubic, antialiased)."""
    from PIL import Image

    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side) if fit == "crop" else None
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box))


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

"""The bicubic floor of super-resolution on a folder of images at their own sizes, as papers report it.

python benchmarks/bicubic.py FOLDER --scale 4

Each image is cropped to a multiple of the scale, shrunk and enlarged again as MATLAB's imresize does, and compared with
itself, a border of `scale` pixels cut off. The first line is the row "bicubic" of published tables, which goes back to
SRCNN's code: luminance alone, rounded to 8 bits before it is shrunk and again when it is enlarged, but not between;
grey files as they are. On Set5 it is theirs to the last digit: 33.66 / 0.9299 at x2, 30.39 / 0.8682 at x3 and
28.42 / 0.8104 at x4 (EDSR, table 2). The second is what `metrics: [psnr_y, ssim_y]` give on the task `super-resolve`:
RGB images of 8 bits, and their luminance not rounded, as RCAN's scripts score the methods of those tables. It is up to
0.02 dB and 0.001 higher, and by 1.3 dB for grey images, whose RGB is squeezed into 16 to 235.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from i2ibench.data import pixels
from i2ibench.data.files import existing
from i2ibench.data.folder import image_files
from i2ibench.data.resize import imresize, resample, to_bytes
from i2ibench.errors import I2IBenchError
from i2ibench.metrics.images import psnr_values, ssim_values
from i2ibench.metrics.luminance import luminance, psnr, psnr_y_values, ssim_y_values
from i2ibench.metrics.ssim import ssim

GREY = ("1", "L", "I;16")  # Pillow's modes of files with one channel


def cropped(image: np.ndarray, scale: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The image (H, W, ...) cropped to a multiple of the scale, and its size when shrunk."""
    height, width = (edge // scale for edge in image.shape[:2])
    return image[: height * scale, : width * scale], (height, width)


def of_tables(file: Path, scale: int) -> tuple[float, float]:
    """PSNR and SSIM of an image file as in published tables."""
    image = np.asarray(pixels.read(file))
    with Image.open(file) as opened:
        plane = image[..., 0] if opened.mode in GREY else to_bytes(luminance(image, 0))
    original, small = cropped(plane, scale)
    enlarged = to_bytes(resample(resample(original, small), original.shape[:2]))
    inside = (slice(scale, -scale),) * 2
    return psnr(enlarged[inside], original[inside]), ssim(enlarged[inside], original[inside])


def pair(file: Path, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """(enlarged, original), uint8 (H, W, 3) each, of an image file."""
    original, small = cropped(np.asarray(pixels.read(file)), scale)
    return imresize(imresize(original, small), original.shape[:2]), original


def floors(folder: Path, scale: int) -> dict[str, tuple[float, float]]:
    """Mean PSNR and SSIM over the images of a folder, by what is compared and how.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    files = image_files(existing(folder))
    enlarged, originals = zip(*(pair(file, scale) for file in files), strict=True)
    values = {
        "tables": np.array([of_tables(file, scale) for file in files]).T,
        "luminance": (psnr_y_values(enlarged, originals, scale), ssim_y_values(enlarged, originals, scale)),
        "RGB": (psnr_values(enlarged, originals), ssim_values(enlarged, originals)),
    }
    return {name: (float(np.mean(psnrs)), float(np.mean(ssims))) for name, (psnrs, ssims) in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=int, default=4)
    arguments = parser.parse_args()
    try:
        found = floors(arguments.folder, arguments.scale)
    except I2IBenchError as error:
        parser.error(str(error))
    for name, (of_psnr, of_ssim) in found.items():
        print(f"{name:9} x{arguments.scale}: PSNR {of_psnr:.2f} dB, SSIM {of_ssim:.4f}")


if __name__ == "__main__":
    main()

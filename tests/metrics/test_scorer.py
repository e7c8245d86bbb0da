"""The pluggable segmentation network: what it gets, what it must give, and what is said of one that does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from i2ibench.errors import ConfigError, TrialError
from i2ibench.metrics import scorer
from i2ibench.metrics.protocol import Protocol, resolve

SPLIT = "def segment(images):\n    assert images.dtype.name == 'uint8'\n    return (images[..., 0] > 127).astype(int)\n"
IMAGES = np.random.default_rng(0).integers(0, 256, (2 * scorer.BATCH + 3, 4, 5, 3), np.uint8)


def write(folder: Path, text: str) -> str:
    file = folder / "segment.py"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_it_gets_every_image_once_and_in_order(tmp_path: Path) -> None:
    found = scorer.segmented(write(tmp_path, SPLIT), IMAGES, 2)
    np.testing.assert_array_equal(found, IMAGES[..., 0] > 127)
    assert found.dtype == np.uint8


def test_a_tensor_is_as_good_and_a_network_is_made_once(tmp_path: Path) -> None:
    text = "import torch\ncalls = []\ncalls.append(1)\ndef segment(images):\n    return torch.full(images.shape[:3], len(calls))\n"
    assert (scorer.segmented(write(tmp_path, text), IMAGES, 2) == 1).all()
    assert (scorer.segmented(write(tmp_path, text), IMAGES, 2) == 1).all()


def test_another_text_is_another_scorer(tmp_path: Path) -> None:
    before = scorer.segmented(write(tmp_path, SPLIT), IMAGES, 2)
    after = scorer.segmented(write(tmp_path, SPLIT.replace("> 127", "<= 127")), IMAGES, 2)
    np.testing.assert_array_equal(before, 1 - after)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def segment(images):\n    return images\n", r"gave uint8 \(16, 4, 5, 3\) .* whole numbers of shape \(16, 4, 5\)"),
        ("def segment(images):\n    return images[..., 0] / 255\n", "gave float64"),
        ("def segment(images):\n    return images[:-1, :, :, 0]\n", r"gave uint8 \(15, 4, 5\)"),
        ("def segment(images):\n    return images[..., 0] * 0 + 2\n", "gave classes from 2 to 2; the palette's 2 classes are 0 to 1"),
        ("def segment(images):\n    return images[..., 0].astype(int) * 0 - 1\n", "gave classes from -1 to -1"),
        ("def segment(images):\n    raise ValueError('no\\nweights')\n", "failed: ValueError: no weights"),
        ("def segment(images):\n    raise SystemExit(3)\n", "failed: SystemExit: 3"),
    ],
)  # fmt: skip
def test_what_is_no_segmentation(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(TrialError, match=problem) as error:
        scorer.segmented(write(tmp_path, text), IMAGES, 2)
    assert "\n" not in str(error.value)
    assert "segment.py" in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "import not_there_at_all\ndef segment(images):\n    return images\n",
            "cannot be imported: ModuleNotFoundError",
        ),
        ("raise SystemExit\ndef segment(images):\n    return images\n", "cannot be imported: SystemExit"),
    ],
)
def test_a_file_that_does_not_import(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        scorer.segmented(write(tmp_path, text), IMAGES, 2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def segments(images):\n    return images\n", r"defines no function segment\(images\)"),
        ("def segment(images)\n    return images\n", "is not valid Python"),
        (None, "cannot be read"),
    ],
)
def test_a_protocol_is_refused_before_anything_runs(tmp_path: Path, text: str | None, problem: str) -> None:
    if text is not None:
        write(tmp_path, text)
    with pytest.raises(ConfigError, match=problem) as error:
        resolve({"extractor": "vgg16-relu5_3", "scorer": "segment.py"}, tmp_path)
    assert "\n" not in str(error.value)


def test_the_key_follows_the_files_text_and_not_its_place(tmp_path: Path) -> None:
    def protocol(folder: Path, text: str = SPLIT) -> Protocol:
        folder.mkdir(exist_ok=True)
        write(folder, text)
        return resolve({"extractor": "vgg16-relu5_3", "scorer": "segment.py"}, folder)

    first, elsewhere = protocol(tmp_path / "a"), protocol(tmp_path / "b")
    assert Path(str(first.scorer)).is_absolute(), "a worker has another working directory"
    assert first.key() == elsewhere.key() == Protocol.model_validate(first.model_dump(mode="json")).key()
    assert first.key() != resolve({"extractor": "vgg16-relu5_3"}).key()
    assert protocol(tmp_path / "b", SPLIT + "\n# other weights\n").key() != first.key()


def test_looking_at_a_scorer_runs_nothing_and_needs_no_torch(tmp_path: Path) -> None:
    file = write(tmp_path, "raise RuntimeError\ndef segment(images):\n    return images\n")
    code = f"import sys; from i2ibench.metrics import scorer; scorer.check({file!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

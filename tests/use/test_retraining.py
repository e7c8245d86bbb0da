"""`i2ibench retrain`: a benchmark that trains a trial further, beside the trial as it was, on new data and on the old."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import i2ibench
from i2ibench import benchmark
from i2ibench.errors import ConfigError
from i2ibench.store import Store
from i2ibench.use import retraining, trials

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def own(store: Path, tmp_path: Path) -> Store:
    """A store that a test may add to."""
    shutil.copytree(store, tmp_path / "runs")
    return Store(tmp_path / "runs")


def test_retrain_on_the_command_line(
    command_line: Run, own: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On darker images, which one layer learns quickly, and forgets the lighter ones over."""
    monkeypatch.chdir(tmp_path)
    trial = trials.find("plain", own)
    (tmp_path / "new.yaml").write_text("{kind: sim2real}")
    code, said, error = command_line("retrain", "plain", "new.yaml", "--steps", 60, "--executor", "local")
    assert code == 0, error
    file = tmp_path / f"retrain-{trial.id}.yaml"
    assert f"benchmark: {file.name}" in said
    assert "PSNR" in said
    table = i2ibench.results(file)
    scores = table[table["kind"] == "score"].set_index(["data", "label", "metric"])["value"]
    assert set(scores.index.droplevel("metric")) == {
        ("new", "before"), ("new", "after"), ("old", "before"), ("old", "after, on old"),
    }  # fmt: skip
    (key,) = {path.stem for path in (trial.path / "scores").glob("*.json")}
    for metric, value in (trial.scores(key) or {})["values"].items():
        assert scores["old", "before", metric] == pytest.approx(value, rel=1e-6), "the trial as it is"
    assert scores["new", "after", "psnr"] > scores["new", "before", "psnr"], "gained"
    assert scores["old", "after, on old", "psnr"] < scores["old", "before", "psnr"], "forgotten"

    page = (tmp_path / "reports" / file.stem / "index.html").read_text(encoding="utf-8")
    assert "has the best mean place" not in page, "the only row on both boards leads nobody"
    the_plan, store = benchmark.load(file)

    def kernel(of: str) -> torch.Tensor:
        return torch.load(store.trial(of).path / "weights.pt", weights_only=True)["generator"]["weight"]

    kernels = {spec.label: kernel(spec.trained_as) for spec in the_plan.trials}
    assert torch.equal(kernels["before"], kernel(trial.id))
    assert torch.equal(kernels["after"], kernels["after, on old"])
    assert not torch.equal(kernels["after"], kernels["before"])

    again = command_line("retrain", trial.id, "new.yaml", "--steps", 60, "--executor", "local")
    assert again[0] == 0, "gone on with: all is there"
    code, _, error = command_line("retrain", trial.id, "new.yaml", "--steps", 61)
    assert (code, error.count("\n")) == (2, 1)
    assert "is there already, and is another" in error


def test_the_file_says_what_is_not_default_and_no_more(own: Store, tmp_path: Path) -> None:
    munit = trials.find("munit", own)
    (tmp_path / "new.yaml").write_text("{train_images: 9}\n")
    assert retraining.write(munit, tmp_path / "new.yaml", tmp_path / "f.yaml", steps=3) == []
    the_plan, _ = benchmark.load(tmp_path / "f.yaml")
    before, spec = trials.spec_of(munit), {spec.label: spec for spec in the_plan.trials}["after"]
    assert spec.params == before.params
    assert spec.source_params == before.source_params | {"train_images": 9}
    assert spec.training == before.training | {"steps": 3}
    text = (tmp_path / "f.yaml").read_text()
    assert "beta2" not in text
    assert "hang_seconds" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("[1, 2]", "should hold keys of a data set"),
        ("{", "cannot be read"),
        ("folder", "is not a folder; give the keys"),
        ("{train_imges: 3}", "did you mean 'train_images'"),
    ],
)
def test_data_that_cannot_be_used_is_one_line(own: Store, tmp_path: Path, content: str | None, message: str) -> None:
    data = tmp_path / "new.yaml"
    if content == "folder":
        data = tmp_path
    elif content is not None:
        data.write_text(content)
    else:
        data = tmp_path / "absent"
    with pytest.raises(ConfigError, match=message) as error:
        retraining.write(trials.find("plain", own), data, tmp_path / "f.yaml")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "f.yaml").exists()


def test_another_file_or_a_folder_in_its_place_is_left_alone(own: Store, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("{train_images: 8}")
    (tmp_path / "f.yaml").write_bytes(b"\xff not ours")
    for place in (tmp_path / "f.yaml", tmp_path):
        with pytest.raises(ConfigError, match="is there already, and is another"):
            retraining.write(trials.find("plain", own), tmp_path / "new.yaml", place)
    assert (tmp_path / "f.yaml").read_bytes() == b"\xff not ours"


def test_a_folder_stands_in_for_the_old_one(tmp_path: Path) -> None:
    settings = {"source": "folder", "layout": "by-name", "path": "/old", "size": 32}
    assert retraining._new(tmp_path, settings) == settings | {"path": str(tmp_path)}
    (tmp_path / "new.yaml").write_text("{source: list, path: pairs.csv}")
    (tmp_path / "pairs.csv").write_text("a,b\n")
    other = retraining._new(tmp_path / "new.yaml", settings)
    assert other == {"source": "list", "path": str(tmp_path / "pairs.csv"), "size": 32}

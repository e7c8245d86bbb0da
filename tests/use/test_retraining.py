"""`i2ibench retrain`: a benchmark that trains a trial further, beside the trial as it was, on new data and on the old."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import i2ibench
from i2ibench import benchmark
from i2ibench.errors import ConfigError
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial
from i2ibench.study.material import Material, of_store
from i2ibench.use import retraining, trials

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def own(store: Path, tmp_path: Path) -> Store:
    """A store that a test may add to."""
    shutil.copytree(store, tmp_path / "runs")
    return Store(tmp_path / "runs")


def write(trial: Trial, data: Path, to: Path, steps: int | None = None) -> list[str]:
    return retraining.write(trial, data, to, retraining.Names.of(trial, data), steps=steps)


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
    (forgotten,) = (line.rstrip() for line in said.splitlines() if line.startswith("shapes  SSIM"))
    assert forgotten.endswith("  before is better")
    assert len(forgotten) < 80, "one line on the narrowest terminal"
    table = i2ibench.results(file)
    scores = table[table["kind"] == "score"].set_index(["data", "label", "metric"])["value"]
    assert set(scores.index.droplevel("metric")) == {
        ("new", "plain before"), ("new", "plain after new"),
        ("shapes", "plain before"), ("shapes", "plain after new, on shapes"),
    }  # fmt: skip
    (key,) = {path.stem for path in (trial.path / "scores").glob("*.json")}
    for metric, value in (trial.scores(key) or {})["values"].items():
        assert scores["shapes", "plain before", metric] == pytest.approx(value, rel=1e-6), "the trial as it is"
    assert scores["new", "plain after new", "psnr"] > scores["new", "plain before", "psnr"], "gained"
    assert scores["shapes", "plain after new, on shapes", "psnr"] < scores["shapes", "plain before", "psnr"], (
        "forgotten"
    )

    page = (tmp_path / "reports" / file.stem / "index.html").read_text(encoding="utf-8")
    assert "has the best mean place" not in page, "the only row on both boards leads nobody"
    the_plan, store = benchmark.load(file)

    def kernel(of: str) -> torch.Tensor:
        return torch.load(store.trial(of).path / "weights.pt", weights_only=True)["generator"]["weight"]

    kernels = {spec.label: kernel(spec.trained_as) for spec in the_plan.trials}
    assert torch.equal(kernels["plain before"], kernel(trial.id))
    assert torch.equal(kernels["plain after new"], kernels["plain after new, on shapes"])
    assert not torch.equal(kernels["plain after new"], kernels["plain before"])

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "new.yaml").write_text("{kind: sim2real, test_images: 4}")
    retrained = retraining.retrained(file, retraining.Names.of(trial, tmp_path / "new.yaml"))
    assert f"retrained: {retrained}\n" in said
    code, said, error = command_line(
        "retrain", retrained, "other/new.yaml", "--to", "second.yaml", "--steps", 1, "--executor", "local"
    )
    assert code == 0, error
    every = of_store(own)
    rows = {
        (spec.data, spec.label): {other.id for other in every if (other.data, other.label) == (spec.data, spec.label)}
        for spec in every
    }
    assert all(len(ids) == 1 for ids in rows.values()), "each name is of one trial, however often the store is added to"
    assert {data for data, _ in rows} == {"shapes", "new", "new 2"}
    Material(every, own)  # refuses two data sets of one name

    again = command_line("retrain", trial.id, "new.yaml", "--steps", 60, "--executor", "local")
    assert again[0] == 0, "gone on with: all is there"
    code, _, error = command_line("retrain", trial.id, "new.yaml", "--steps", 61)
    assert (code, error.count("\n")) == (2, 1)
    assert "is there already, and is another" in error


def test_the_file_says_what_is_not_default_and_no_more(own: Store, tmp_path: Path) -> None:
    munit = trials.find("munit", own)
    (tmp_path / "new.yaml").write_text("{train_images: 9}\n")
    assert write(munit, tmp_path / "new.yaml", tmp_path / "f.yaml", steps=3) == []
    the_plan, _ = benchmark.load(tmp_path / "f.yaml")
    before, spec = TrialSpec.of(munit), {spec.label: spec for spec in the_plan.trials}["munit after new"]
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
        ("{", "not valid YAML"),
        ("# nothing", "should hold keys of a data set"),
        ("train_images: no", r"train_images.*'no'"),
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
        write(trials.find("plain", own), data, tmp_path / "f.yaml")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "f.yaml").exists()


def test_another_file_or_a_folder_in_its_place_is_left_alone(own: Store, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("{train_images: 8}")
    (tmp_path / "f.yaml").write_bytes(b"\xff not ours")
    for place in (tmp_path / "f.yaml", tmp_path):
        with pytest.raises(ConfigError, match="is there already, and is another"):
            write(trials.find("plain", own), tmp_path / "new.yaml", place)
    assert (tmp_path / "f.yaml").read_bytes() == b"\xff not ours"


def test_a_folder_stands_in_for_the_old_one(tmp_path: Path) -> None:
    settings = {"source": "folder", "layout": "by-name", "path": "/old", "size": 32}
    assert retraining._new(tmp_path, settings) == settings | {"path": str(tmp_path)}
    (tmp_path / "new.yaml").write_text("{source: list, path: pairs.csv}")
    (tmp_path / "pairs.csv").write_text("a,b\n")
    other = retraining._new(tmp_path / "new.yaml", settings)
    assert other == {"source": "list", "path": str(tmp_path / "pairs.csv"), "size": 32}


MANY = """
    name: many
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data:
      hues: {source: folder, path: hues, layout: domains, size: 32}
    methods:
      stargan: {preset: tiny, training: {steps: 2, batch_size: 2}}
    evaluation: {metrics: [kid]}
"""


def hues(folder: Path, least: int) -> None:
    """Three domains: images of one hue each."""
    rng = np.random.default_rng(least)
    for d, domain in enumerate(("cyan", "pink", "teal")):
        for split, count in (("train", 4), ("test", 3)):
            (folder / split / domain).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 60, (32, 32, 3)) + least * (np.arange(3) == d)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / domain / f"{i}.png")


@pytest.mark.slow
def test_a_trial_of_several_domains_is_trained_further_on_all_of_them(
    command_line: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hues(tmp_path / "hues", least=180)
    hues(tmp_path / "darker", least=90)
    Path("many.yaml").write_text(textwrap.dedent(MANY).replace("{tmp}", str(tmp_path)), encoding="utf-8")
    assert command_line("run", "many.yaml", "--executor", "local")[0] == 0
    old = next(spec for spec in of_store(Store(tmp_path / "runs")) if spec.data == "hues teal to pink")
    code, said, error = command_line("retrain", old.id, "darker", "--steps", 2, "--executor", "local")
    assert code == 0, error
    the_plan, store = benchmark.load(f"retrain-{old.id}.yaml")
    assert list(the_plan.data) == ["darker", "hues teal to pink"]
    after = next(spec for spec in the_plan.trials if spec.label == "stargan after darker")
    assert (after.source_params["pair"], after.source_params["direction"]) == (["pink", "teal"], "BtoA")
    assert len(after.group) == 2, "it learned from the first domain with each other"
    assert f"retrained: {after.id}\n" in said
    weights = [
        torch.load(store.trial(of).path / "weights.pt", weights_only=True) for of in (old.trained_as, after.trained_as)
    ]
    assert weights[0]["generator"].keys() == weights[1]["generator"].keys()
    assert any(not torch.equal(one, weights[1]["generator"][key]) for key, one in weights[0]["generator"].items())
    shutil.rmtree("darker/train/cyan")
    code, _, error = command_line("retrain", old.id, "darker", "--to", "second.yaml", "--executor", "local")
    assert (code, error.count("\n")) == (2, 1)
    assert "train has no folder 'cyan'" in error

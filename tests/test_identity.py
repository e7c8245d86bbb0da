"""What trials are called: those that differ only in what they are tested on share a training."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2ibench import benchmark, jobs, monitor, registry, show
from i2ibench.data import cache, fetch, recipes
from i2ibench.errors import DivergedError, StoreError, TrialError
from i2ibench.executors.local import LocalExecutor
from i2ibench.job import Outcome
from i2ibench.merge import merge
from i2ibench.plan import Plan
from i2ibench.stopping import Stop
from i2ibench.store import Store
from i2ibench.training import Loop
from i2ibench.use import trials

FILE = """
    seeds: [0]
    store: {tmp}/runs
    data:
      sr:
        source: div2k
        test_on: {{grid: TESTS}}
        test_size: own
        task: {{name: super-resolve, scale: 2}}
        size: 16
        metrics: [psnr]
    methods:
      srcnn: {{preset: tiny, width: 8}}
      cyclegan: {{preset: tiny, width: 4}}
    training: {{steps: 2, batch_size: 2, checkpoint_every: 1}}
"""
Load = Callable[..., tuple[Plan, Store]]


@pytest.fixture
def load(benchmark_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Plans to learn from four photographs, and to be tested on the two of each of several sets."""
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetch, "home", lambda name: tmp_path / name)
    for name, counts in {"div2k": (4, 2), "set5": (0, 2), "bsd100": (0, 2)}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / fetch.DONE).touch()
        folders = recipes.recipes()[name].folders
        for split, count in zip(("train", "test"), counts, strict=True):
            for i in range(count):
                (tmp_path / name / folders[split]).mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(0, 256, (20 + 2 * i, 24, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / folders[split] / f"{i}.png")

    def load(tests: str = "[set5, bsd100]", own: str = "own") -> tuple[Plan, Store]:
        return benchmark.load(benchmark_file(FILE.replace("TESTS", tests).replace(": own", f": {own}")))

    return load


def train(the_plan: Plan, store: Store, method: str) -> dict[str, np.ndarray]:
    """Train and translate; what the first test image of each set became."""
    specs = [spec for spec in the_plan.trials if spec.label == method]
    work = [job for job in jobs.make(the_plan, store, specs) if job.kind == "train"]
    assert {outcome.state for _, outcome in LocalExecutor().run(work, Stop())} == {"done"}
    return {spec.data: store.trial(spec.id).outputs()[0] for spec in specs}


def test_one_training_serves_all_the_sets_that_it_is_tested_on(load: Load) -> None:
    the_plan, store = load()
    on_five, on_hundred = (spec for spec in the_plan.trials if spec.label == "srcnn")
    assert on_five.trained_as == on_hundred.trained_as
    assert on_five.id != on_hundred.id
    outputs = train(the_plan, store, "srcnn")
    assert [path.parent.name for path in store.path.glob("*/weights.pt")] == [on_five.trained_as]
    for tests, label in (("set5", on_five.data), ("bsd100", on_hundred.data)):
        alone, other = load(f"[{tests}]")
        store.path.rename(store.path.with_name(f"before-{tests}"))
        (found,) = train(alone, other, "srcnn").values()
        np.testing.assert_array_equal(found, outputs[label])


def test_a_plan_says_how_many_trainings_its_trials_take(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    show.plan(*load())
    assert "4 trials: 0 cached, 4 to do (3 trainings); " in capsys.readouterr().out, (
        "CycleGAN's depend on the whole set"
    )
    show.plan(*load("[set5]"))
    assert "2 trials: 0 cached, 2 to do; " in capsys.readouterr().out


def test_other_sizes_of_the_test_images_are_another_trial_of_the_same_training(load: Load) -> None:
    own, fitted = (load("[set5]", size)[0].trials[0] for size in ("own", "null"))
    assert own.trained_as == fitted.trained_as
    assert own.id != fitted.id


def test_what_is_taught_counts_and_the_sets_own_test_images_do_not(load: Load, tmp_path: Path) -> None:
    before = load()[0].trials[0]
    for split, other in (("test", False), ("train", True)):
        file = tmp_path / "div2k" / recipes.recipes()["div2k"].folders[split] / "0.png"
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
        assert (load()[0].trials[0].trained_as != before.trained_as) == other


def test_a_method_without_pairs_learns_from_halves_that_hang_on_the_whole_set(load: Load) -> None:
    one, other = (spec for spec in load()[0].trials if spec.label == "cyclegan")
    assert one.trained_as == one.id != other.trained_as == other.id


def test_a_training_that_fails_is_not_tried_again_for_each_set(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def diverge(loop: Loop) -> None:
        begun.append(loop)
        raise DivergedError("a loss is NaN")

    monkeypatch.setattr(Loop, "run", diverge)
    the_plan, store = load()
    work = [job for job in jobs.make(the_plan, store, the_plan.trials) if job.kind == "train" and "srcnn" in job.name]
    errors = {outcome.error for _, outcome in LocalExecutor().run(work, Stop())}
    assert len(begun) == 1
    assert any("their training failed: see there" in error for error in errors)


def test_a_training_that_was_left_is_interrupted_for_all_sets(load: Load) -> None:
    the_plan, store = load()
    specs = [spec for spec in the_plan.trials if spec.label == "srcnn"]
    checkpoints = store.trial(specs[0].trained_as).path / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "1-0.pt").touch()
    rows = {row.spec.id: row for row in monitor.rows(the_plan, store)}
    assert [(rows[spec.id].state, rows[spec.id].step) for spec in specs] == [("interrupted", 1)] * 2


def test_a_merge_brings_the_networks_that_trials_share(load: Load, tmp_path: Path) -> None:
    the_plan, store = load()
    train(the_plan, store, "srcnn")
    merged = merge([store.path], tmp_path / "all")
    assert merged.new == 2, "networks are no trial"
    one = next(spec for spec in the_plan.trials if spec.label == "srcnn")
    assert trials.load(one.id, store=tmp_path / "all").name
    assert merge([store.path], tmp_path / "all").known == 2
    # Elsewhere a row is called as its networks are: it comes whole, though those are here.
    there = tmp_path / "elsewhere" / one.trained_as
    shutil.copytree(store.trial(one.trained_as).path, there)
    for name in ("spec.json", "result.json", "outputs.npy", "outputs-shapes.npy"):
        shutil.copy(store.trial(one.id).path / name, there)
    assert merge([there.parent], tmp_path / "all").finished == 1
    assert (tmp_path / "all" / one.trained_as / "result.json").exists()
    assert merge([store.path], tmp_path / "all").known == 2, "and its networks alone do not replace it"
    assert (tmp_path / "all" / one.trained_as / "result.json").exists()
    (weights,) = store.path.glob("*/weights.pt")
    weights.write_bytes(b"another")
    with pytest.raises(StoreError, match=r"weights.pt .* differ: the trial was trained twice"):
        merge([store.path], tmp_path / "all")


MINE = """
    from typing import Any

    from i2ibench.method import Method


    class Mine(Method):
        paper = "none"

        def translate(self, a: Any, *, rng: Any) -> Any:
            from nets.parts import FACTOR  # not before it is needed

            return a * FACTOR
"""
BESIDE = {
    "mine.py": textwrap.dedent(MINE),
    "nets/__init__.py": "",
    "nets/parts.py": "from .more import FACTOR",
    "nets/more.py": "FACTOR = 1",
    "nets/other.py": "FACTOR = 2",
    "i2ibench/method.py": "raise SystemError",  # a clone of the project: it counts otherwise
}


@pytest.fixture
def mine(benchmark_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A benchmark of a method of several files."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(registry, "_OWNERS", {})
    for name, text in BESIDE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    yield benchmark_file(
        "seeds: [0]\nstore: {tmp}/runs\ndata: {glyphs: {size: 16} }\nmethods: {mine: {method: {tmp}/mine.py} }\n"
    )
    for module in [module for module in sys.modules if module.partition(".")[0] == "nets"]:
        del sys.modules[module]


def test_what_a_method_imports_from_beside_it_is_part_of_its_name(mine: Path) -> None:
    def name() -> str:
        return benchmark.load(mine)[0].trials[0].id

    before, nets = name(), mine.parent / "nets"
    (nets / "other.py").write_text("FACTOR = 3")
    (nets / "more.py").write_text("FACTOR = 1  # as published")
    assert name() == before, "what it does not import, and comments, do not count"
    (nets / "more.py").write_text("FACTOR = -1")
    assert name() != before


def test_a_method_of_several_files_is_trained_and_used_and_a_comment_changes_nothing(mine: Path) -> None:
    the_plan, store = benchmark.load(mine)
    (spec,) = the_plan.trials
    work = [job for job in jobs.make(the_plan, store, [spec]) if job.kind == "train"]
    assert [outcome for _, outcome in LocalExecutor().run(work, Stop())] == [Outcome("done")]
    assert benchmark.load(mine)[0].trials[0].id == spec.id, "whatever was imported by now"
    with (mine.parent / "mine.py").open("a") as file:
        file.write("# a remark\n")
    image = np.full((16, 16, 3), 200, np.uint8)
    np.testing.assert_array_equal(trials.from_trial(store.trial(spec.id), "cpu").translate(image), image)
    (mine.parent / "nets" / "more.py").write_text("FACTOR = -1.0")
    with pytest.raises(TrialError, match="or what it imports"):
        trials.from_trial(store.trial(spec.id), "cpu")


def test_how_images_are_decoded_is_part_of_a_trials_name(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load()[0].trials[0]
    monkeypatch.setattr(cache, "VERSION", 99)
    assert load()[0].trials[0].trained_as != before.trained_as

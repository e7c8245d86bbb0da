"""Stores made one: what is copied, what is refused before anything is written, and that a broken merge goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from i2ibench import lease
from i2ibench.errors import StoreError
from i2ibench.merge import Merged, merge
from i2ibench.store import Store
from i2ibench.study.answers import Answers, read
from i2ibench.study.design import cells


def stamp(metrics: Iterable[str]) -> dict[str, Any]:
    entries = {name: {"revision": 3} for name in metrics}
    return {"device": "cpu", "warnings": [f"few images for {name}" for name in entries], "metrics": entries}


def trial(
    store: Path, name: str, *, trained: bool = True, pixel: int = 0, scores: dict[str, dict[str, float]] | None = None
) -> Path:
    made = Store(store).trial(name)
    made.write_spec({"id": name})
    if not trained:
        (made.path / "checkpoints").mkdir()
        (made.path / "checkpoints/3.pt").write_bytes(b"half way")
        return made.path
    made.write_outputs(np.full((2, 4, 4, 3), pixel, np.uint8))
    made.write_result({"id": name, "cost": {"train_seconds": float(os.urandom(1)[0])}})
    for key, values in (scores or {}).items():
        made.write_scores(key, {"values": values, "protocol": stamp(values)}, {next(iter(values)): np.arange(2.0)})
    return made.path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Path, Path, Path]:
    return tmp_path / "a", tmp_path / "b", tmp_path / "all"


def test_trials_of_all_stores_come_together_as_they_were(stores: tuple[Path, Path, Path]) -> None:
    a, b, to = stores
    trial(a, "one", scores={"k": {"ssim": 0.5}})
    trial(b, "two", trained=False)
    (a / "_data").mkdir()
    (a / "one/stop").touch()
    assert merge([a, b], to) == Merged(new=2)
    assert sorted(path.name for path in to.iterdir()) == ["one", "two"]
    (a / "one/stop").unlink()
    assert content(to / "one") == content(a / "one")
    assert content(to / "two") == content(b / "two")
    before = content(to)
    assert merge([a, b], to) == Merged(known=2)
    assert content(to) == before


def test_a_finished_trial_replaces_an_unfinished_one_and_never_the_other_way(stores: tuple[Path, Path, Path]) -> None:
    a, b, to = stores
    trial(to, "one", trained=False)
    trial(to, "two", pixel=7)
    trial(a, "one", pixel=5)
    trial(b, "two", trained=False)
    trial(a, "three", trained=False)
    trial(b, "three", pixel=9)
    assert merge([a, b], to) == Merged(new=1, finished=1, known=1)
    assert content(to / "one") == content(a / "one")
    assert [Store(to).trial(name).outputs()[0, 0, 0, 0] for name in ("two", "three")] == [7, 9]  # type: ignore[index]


def test_scores_of_one_training_are_added_up(stores: tuple[Path, Path, Path]) -> None:
    a, b, to = stores
    trial(to, "one", scores={"k": {"ssim": 0.5}})
    trial(a, "one", scores={"k": {"ssim": 0.5, "psnr": 11.0}})
    points = {20: {"seconds": 1.0, "values": {"psnr": 9.0}, "protocol": stamp(["psnr"])}}
    Store(a).trial("one").write_points("k", points)
    trial(b, "one", scores={"l": {"ssim": 0.4}})
    result = (to / "one/result.json").read_bytes()
    assert merge([a, b], to) == Merged(scored=2)
    made = Store(to).trial("one")
    assert made.scores("k")["values"] == {"ssim": 0.5, "psnr": 11.0}  # type: ignore[index]
    assert made.scores("l")["values"] == {"ssim": 0.4}  # type: ignore[index]
    assert made.points("k") == points, "and what its networks scored on their way"
    assert made.per_image("l")["ssim"].tolist() == [0.0, 1.0]
    assert (to / "one/result.json").read_bytes() == result
    assert not list((to / "one").glob("lease-*"))


@pytest.mark.parametrize("there", [True, False])
def test_stores_that_each_have_a_metric_of_their_own_lose_none(stores: tuple[Path, Path, Path], there: bool) -> None:
    a, b, to = stores
    trial(to if there else a, "one", scores={"k": {"ssim": 0.5, "fid": 1.0}})
    trial(b, "one", scores={"k": {"lpips": 0.2, "fid": 1.0}})
    for store, metric in ((to if there else a, "fid"), (b, "lpips")):
        at = {
            step: {"seconds": 1.0, "values": {metric: 9.0}, "protocol": stamp([metric])} for step in (20, len(metric))
        }
        Store(store).trial("one").write_points("k", at)
    assert merge([b] if there else [a, b], to) == (Merged(scored=1) if there else Merged(new=1, scored=1))
    made = Store(to).trial("one")
    scores = made.scores("k")
    assert scores is not None
    assert scores["values"] == {"ssim": 0.5, "fid": 1.0, "lpips": 0.2}
    assert set(scores["protocol"]["metrics"]) == {"ssim", "fid", "lpips"}
    assert len(scores["protocol"]["warnings"]) == 3
    assert set(made.per_image("k")) == {"ssim", "lpips"}
    points = {step: set(point["values"]) for step, point in made.points("k").items()}
    assert points == {3: {"fid"}, 5: {"lpips"}, 20: {"fid", "lpips"}}
    assert merge([b], to) == Merged(known=1), "what is there is not brought again"


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ({"pixel": 1}, {"pixel": 2}, r"outputs.npy and .*outputs.npy differ: the trial was trained twice"),
        (
            {"scores": {"k": {"ssim": 0.5}}},
            {"scores": {"k": {"ssim": 0.6}}},
            r"k.json and .*k.json differ in ssim; delete one",
        ),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_conflict_is_refused_before_anything_is_written(
    stores: tuple[Path, Path, Path], ours: dict[str, Any], theirs: dict[str, Any], message: str, there: bool
) -> None:
    a, b, to = stores
    trial(a, "fine")
    trial(to if there else a, "one", **ours)
    trial(b, "one", **theirs)
    before = content(to)
    with pytest.raises(StoreError, match=message) as caught:
        merge([a, b], to)
    assert "\n" not in str(caught.value)
    assert content(to) == before


def test_what_is_worked_on_is_left_alone(stores: tuple[Path, Path, Path]) -> None:
    a, _, to = stores
    held = lease.acquire(trial(a, "one", trained=False))
    assert held is not None
    with held, pytest.raises(StoreError, match="one: is being worked on; wait for its end"):
        merge([a], to)
    assert not to.exists()


def test_a_folder_that_is_no_store_is_refused(stores: tuple[Path, Path, Path]) -> None:
    a, b, to = stores
    trial(a, "one")
    with pytest.raises(StoreError, match=r"b: is no store"):
        merge([a, b], to)
    with pytest.raises(StoreError, match=r"a: is the store to merge into"):
        merge([a], a)
    assert not to.exists()


def test_a_merge_that_breaks_off_leaves_whole_trials_and_goes_on(
    stores: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _, to = stores
    for name in ("one", "three", "two"):
        trial(a, name)
    copied = shutil.copytree

    def breaks(source: Path, *arguments: Any, **options: Any) -> Any:
        done = copied(source, *arguments, **options)
        if source.name == "two":
            raise OSError(28, "No space left on device")
        return done

    monkeypatch.setattr("shutil.copytree", breaks)
    with pytest.raises(StoreError, match=r"two: cannot be written \(No space left on device\); what is merged so far"):
        merge([a], to)
    assert sorted(path.name for path in to.iterdir()) == ["one", "three"]
    monkeypatch.undo()
    assert merge([a], to) == Merged(new=1, known=2)
    assert content(to) == content(a)


def test_answers_of_studies_come_along_and_contradictions_are_refused_first(stores: tuple[Path, Path, Path]) -> None:
    a, b, to = stores
    pool = cells({"d": {m: [f"{m}-s0"] for m in "ab"}}, {"d": [0, 1, 2, 3]}, ("better",))
    answers = Answers(a)
    answers.create()
    code = answers.enrol(pool, 3)
    answers.answer(code, 0, chose_left=True, seconds=1.0)
    trial(a, "one")
    assert merge([a], to) == Merged(new=1, answers=1)
    assert read(to) == read(a)
    assert merge([a], to) == Merged(known=1)
    trial(b, "two")
    shutil.copytree(a / "_study", b / "_study")
    Answers(a).answer(code, 1, chose_left=True, seconds=1.0)
    Answers(b).answer(code, 1, chose_left=False, seconds=1.0)
    before = content(to)
    with pytest.raises(StoreError, match=f"{code} gave another answer to question 2"):
        merge([a, b], to)
    assert content(to) == before

"""What other code has finished: it is pointed at, taken when the user says so, and shown for what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from i2ibench import adoption, benchmark, frames, identity, lease
from i2ibench.errors import StoreError
from i2ibench.plan import Plan
from i2ibench.store import Store, Trial
from i2ibench.training import Loop
from i2ibench.use import trials

Update = Callable[[], None]
BOTH_WAYS = """
    name: both
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data:
      glyphs: {{size: 16}}
      back: {{source: glyphs, size: 16, direction: BtoA}}
    methods:
      cyclegan: {{preset: tiny, width: 4}}
    training: {{steps: 2, batch_size: 2}}
    evaluation: {{metrics: [ssim]}}
"""


@pytest.fixture
def update(monkeypatch: pytest.MonkeyPatch) -> Update:
    """As if i2ibench were updated: its code is other code, and what it would train anew fails."""

    def updated() -> None:
        monkeypatch.setattr(identity, "training_digest", lambda: "of the next version")
        monkeypatch.setattr(Loop, "run", lambda loop: pytest.fail("trained anew"))

    return updated


def run(file: Path) -> tuple[Plan, Store]:
    assert not benchmark.run(file, executor="local").failed
    return benchmark.load(file)


def values(plan: Plan, store: Store) -> dict[tuple[str, int], object]:
    return {(s.label, s.seed): (store.trial(s.id).scores(s.score_key(plan.key)) or {})["values"] for s in plan.trials}


def flags(trial: Trial) -> list[dict[str, str]]:
    return (trial.result() or {})["flags"]


def test_after_an_update_the_finished_trials_are_taken_with_their_scores_and_say_so(
    benchmark_file: Callable[..., Path], update: Update, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    file = benchmark_file()
    old_plan, store = run(file)
    page = Path(old_plan.reports) / "tiny" / "index.html"
    before = page.read_text(encoding="utf-8")
    update()
    for command in ("plan", "status"):
        code, out, _ = command_line(command, file)
        assert code == 0
        assert f"has finished 2 trials of the same settings: `i2ibench adopt {file}`" in out
    code, _, error = command_line("report", file)
    assert (code, error.count("\n")) == (2, 1)
    assert "nothing of it is done; other code" in error
    assert page.read_text(encoding="utf-8") == before  # a good report is not replaced by an empty one

    code, out, _ = command_line("adopt", file)
    assert code == 0
    plan, _ = benchmark.load(file)
    for old, new in zip(old_plan.trials, plan.trials, strict=True):
        assert old.id != new.id
        assert f"{new.id} {old.id}" in " ".join(out.split())
        (flag,) = flags(store.trial(new.id))
        assert flag["flag"] == "other code"
        assert old.id in flag["reason"]
        assert not flags(store.trial(old.id))
        one, other = store.trial(old.id).outputs(), store.trial(new.id).outputs()
        assert np.array_equal(np.asarray(one), np.asarray(other))
    assert values(plan, store) == values(old_plan, store)
    run(file)  # trains nothing: see `update`
    assert frames.frame(plan, store)["flags"].str.contains("other code").all()
    assert "OTHER CODE" in page.read_text(encoding="utf-8").upper()
    code, out, _ = command_line("adopt", file)
    assert code == 0
    assert "nothing to adopt" in out


def test_images_and_weights_take_no_room_and_outlive_the_older_trial(
    benchmark_file: Callable[..., Path], update: Update
) -> None:
    plan, store = run(benchmark_file())
    update()
    plan, _ = benchmark.load(plan.file)
    for name, older in adoption.adopt(plan, store).items():
        for file in ("weights.pt", "outputs.npy"):
            assert (store.trial(name).path / file).samefile(older.path / file)
        assert not (store.trial(name).path / "log.txt").samefile(older.path / "log.txt")  # which is written on
        for file in older.path.rglob("*"):
            if file.is_file():
                file.unlink()
    tiny = next(spec.id for spec in plan.trials if spec.label == "tiny")
    assert trials.from_trial(store.trial(tiny)).translate(np.zeros((16, 16, 3), np.uint8)).shape == (16, 16, 3)


@pytest.mark.parametrize("change", ["steps: 6 -> steps: 7", "size: 16 -> size: 20", "seeds: [0] -> seeds: [1]"])
def test_what_has_other_settings_data_or_seeds_is_not_taken(
    benchmark_file: Callable[..., Path], update: Update, change: str
) -> None:
    file = benchmark_file()
    _, store = run(file)
    update()
    old, new = change.split(" -> ")
    file.write_text(file.read_text().replace(old, new))
    plan, _ = benchmark.load(file)
    found = {name.split("-")[0] for name in adoption.find(plan, store)}
    assert found == ({"copy"} if "steps" in change else set())  # to copy takes no steps


def test_a_setting_that_is_newer_than_a_trial_counts_as_its_default(
    benchmark_file: Callable[..., Path], update: Update
) -> None:
    file = benchmark_file()
    plan, store = run(file)
    for spec in plan.trials:
        place = store.trial(spec.id).path / "spec.json"
        content = json.loads(place.read_text())
        del content["training"]["warmup"]
        place.write_text(json.dumps(content))
    update()
    assert len(adoption.find(benchmark.load(file)[0], store)) == 2
    file.write_text(file.read_text().replace("steps: 6", "steps: 6, warmup: 3"))
    assert [name.split("-")[0] for name in adoption.find(benchmark.load(file)[0], store)] == ["copy"]
    place.write_text(json.dumps(content | {"unheard of": 1}))  # of a version after this one, say
    file.write_text(file.read_text().replace(", warmup: 3", ""))
    assert [name.split("-")[0] for name in adoption.find(benchmark.load(file)[0], store)] == ["copy"]


def test_networks_that_two_trials_share_are_taken_once_for_both_or_not_at_all(
    benchmark_file: Callable[..., Path], update: Update
) -> None:
    file = benchmark_file(BOTH_WAYS)
    old_plan, store = run(file)
    update()
    plan, _ = benchmark.load(file)
    there, back = plan.trials
    assert back.trained_as == there.id
    result = store.trial(old_plan.trials[1].id).path / "result.json"
    result.rename(aside := result.with_name("aside"))
    assert not adoption.find(plan, store)  # else today's code would put the old networks to use
    aside.rename(result)
    assert len(adoption.adopt(plan, store)) == 2
    run(file)
    assert values(plan, store) == values(old_plan, store)
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    old, new = (trials.from_trial(store.trial(p.trials[1].id)).translate(image) for p in (old_plan, plan))
    assert np.array_equal(old, new)


def test_networks_are_used_by_the_code_that_they_were_trained_with(benchmark_file: Callable[..., Path]) -> None:
    file = benchmark_file()
    old_plan, store = run(file)
    method = file.with_name("tiny.py")
    method.write_text(method.read_text().replace("3, 3, 3, padding=1", "3, 3, 5, padding=2"))
    plan, _ = benchmark.load(file)
    ids = [next(spec.id for spec in p.trials if spec.label == "tiny") for p in (old_plan, plan)]
    assert list(adoption.adopt(plan, store)) == [ids[1]]  # to copy is the same code
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    old, new = (trials.from_trial(store.trial(name)).translate(image) for name in ids)
    assert np.array_equal(old, new)


def test_who_is_cut_off_takes_the_rest_another_time_and_what_today_s_code_has_begun_is_its_own(
    benchmark_file: Callable[..., Path], update: Update, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = benchmark_file()
    old_plan, store = run(file)
    before = {f: f.read_bytes() for spec in old_plan.trials for f in store.trial(spec.id).path.rglob("*.*")}
    update()
    plan, _ = benchmark.load(file)
    with monkeypatch.context() as full:
        full.setattr(Trial, "write_result", lambda trial, result: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(StoreError, match="No space left"):
            adoption.adopt(plan, store)
    assert all(store.trial(spec.id).result() is None for spec in plan.trials)
    assert len(adoption.adopt(plan, store)) == 2
    assert {file: file.read_bytes() for file in before} == before

    for spec in plan.trials:
        (store.trial(spec.id).path / "result.json").unlink()
        store.trial(spec.id).write_training({"flags": []})
    assert not adoption.find(plan, store)


def test_a_damaged_trial_is_a_row_and_no_reason_to_end(
    benchmark_file: Callable[..., Path], update: Update, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    file = benchmark_file()
    _, store = run(file)
    update()
    plan, _ = benchmark.load(file)
    adoption.adopt(plan, store)
    (store.trial(plan.trials[0].id).path / "result.json").write_text("{")
    code, out, error = command_line("status", file)
    assert (code, error) == (0, "")
    assert "damaged" in out


def test_evaluate_replaces_no_report_by_an_empty_one_either(
    benchmark_file: Callable[..., Path], update: Update, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    file = benchmark_file()
    run(file)
    update()
    code, _, error = command_line("evaluate", file)
    assert (code, error.count("\n")) == (2, 1)
    assert "`i2ibench adopt" in error


def test_a_trial_that_somebody_works_on_is_left_to_them(benchmark_file: Callable[..., Path], update: Update) -> None:
    file = benchmark_file()
    _, store = run(file)
    update()
    plan, _ = benchmark.load(file)
    first, second = plan.trials
    held = lease.acquire(store.trial(first.id).path)
    assert held is not None
    with held:
        assert list(adoption.adopt(plan, store)) == [second.id]
    assert list(adoption.adopt(plan, store)) == [first.id]


def test_a_trial_that_was_taken_before_keeps_its_first_origin(
    benchmark_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = benchmark_file()
    run(file)
    said = []
    for version in ("next", "after next"):
        monkeypatch.setattr(identity, "training_digest", lambda version=version: version)
        plan, store = benchmark.load(file)
        assert len(adoption.adopt(plan, store)) == 2
        said.append([flags(store.trial(spec.id)) for spec in plan.trials])
    assert said[0] == said[1]

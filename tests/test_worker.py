"""What is said of a trial whose method is at fault: what is wrong, and in which line of its file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i2ibench import benchmark, gather, jobs, lease, stopping, trial
from i2ibench.errors import ConfigError
from i2ibench.turns import Turns
from i2ibench.use import trials
from i2ibench.worker import run_job


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("self.steps += 1", "raise ValueError('oh no')", "ValueError: oh no (tiny.py:{line})"),
        (
            "self.steps += 1",
            "self.Params(lr='many')",
            "ValidationError: Params.lr: Input should be a valid number, unable to parse string as a number "
            "(tiny.py:{line})",
        ),
        ("self.steps += 1", "self.generator(None)", "{torch} (tiny.py:{line})"),
        ("self.steps += 1", "return", 'step() gives no player its turn: `with turn("generator") as loss: ...`'),
        (
            "self.generator = ",
            "self.network = ",
            "players names 'generator', but build() sets no network self.generator",
        ),
    ],
)
def test_a_method_at_fault(benchmark_file: Callable[..., Path], line: str, instead: str, said: str) -> None:
    file = benchmark_file()
    source = file.with_name("tiny.py")
    text = source.read_text().replace(line, instead)
    source.write_text(text)
    plan, store = benchmark.load(file)
    (training,) = [
        job for job in jobs.make(plan, store, plan.trials) if job.kind == "train" and job.spec["label"] == "tiny"
    ]
    outcome = run_job(training)
    assert outcome.state == "failed"
    place = 1 + text[: text.index(instead)].count("\n")
    if "{torch}" in said:
        assert outcome.error.endswith(f" (tiny.py:{place})")
        assert "TypeError" in outcome.error
    else:
        assert outcome.error == said.format(line=place)
    assert store.trial(training.spec["id"]).error()["error"] == outcome.error


def taken_over(folder: Path) -> None:
    """What another driver does once this process seems dead: its lease is there, ours is gone."""
    (mine,) = folder.glob("lease-*.json")
    mine.with_name("lease-2.json").write_text(
        json.dumps({"owner": "x", "host": "far", "machine": "far", "pid": 1, "started": "1"})
    )
    mine.unlink()


@pytest.mark.parametrize("when", ["training", "translating", "scoring"])
def test_who_lost_its_lease_writes_nothing_more(
    benchmark_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.02)
    plan, store = benchmark.load(benchmark_file())
    train, score = [job for job in jobs.make(plan, store, plan.trials) if job.spec.get("label") == "tiny"][:2]
    folder = store.trial(train.spec["id"]).path
    if when == "scoring":
        assert run_job(train).state == "done"
    before: list[set[Path]] = []

    def then(real: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object, **options: object) -> object:
            found = real(*args, **options)
            if not before:
                taken_over(folder)
                before.append({*folder.rglob("*")})
                time.sleep(0.2)  # the heart beats, and finds out
            return found

        return called

    place, name = {
        "training": (Turns, "step"), "translating": (trial, "translate"), "scoring": (gather, "scored"),
    }[when]  # fmt: skip
    monkeypatch.setattr(place, name, then(getattr(place, name)))
    outcome = run_job(score if when == "scoring" else train)
    assert before
    assert outcome.state == "interrupted"
    assert {*folder.rglob("*")} <= before[0], "not a checkpoint, no error and no result"
    assert "taken the trial over" in (folder / "log.txt").read_text()


def test_an_older_failure_is_tried_again_whatever_the_clocks_say_and_another_drivers_is_not(
    benchmark_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = benchmark.load(benchmark_file())
    (spec,) = (spec for spec in plan.trials if spec.label == "tiny")
    folder = store.trial(spec.id)
    monkeypatch.setattr(time, "time", lambda real=time.time: real() + 3600)  # a node whose clock is ahead
    folder.write_error("FAILED", "CUDA driver too old")
    monkeypatch.undo()
    later = next(job for job in jobs.make(plan, store, [spec]) if job.kind == "train")
    folder.write_error("FAILED", "by another driver")
    assert run_job(later).error == "by another driver"
    again = next(job for job in jobs.make(plan, store, [spec]) if job.kind == "train")
    assert run_job(again).state == "done"
    assert folder.error() is None


def test_a_trial_is_trained_by_the_resources_that_its_job_was_given(benchmark_file: Callable[..., Path]) -> None:
    plan, store = benchmark.load(benchmark_file())
    job = next(job for job in jobs.make(plan, store, plan.trials) if job.kind == "train")
    given = replace(job, resources=job.resources | {"gpus": 0.125})  # as a probe has found
    assert run_job(given).state == "done"
    assert (store.trial(job.trial).spec() or {})["resources"]["gpus"] == 0.125
    cost = (store.trial(job.trial).result() or {})["cost"]
    assert cost["gpus"] == (0.125 if cost["device"] == "cuda" else 0)


def test_a_job_of_several_trials_that_ends_leaves_the_training_it_is_named_after_listening(
    benchmark_file: Callable[..., Path],
) -> None:
    plan, store = benchmark.load(benchmark_file())
    train, reference = (
        replace(next(job for job in jobs.make(plan, store, plan.trials) if job.kind == "train"), kind=kind)
        for kind in ("train", "reference")
    )
    stop = stopping.Stop()
    stop.begun(train)
    stop.begun(reference)
    stop.ended(reference)
    stop.remind()
    assert stopping.requested(store.trial(train.trial).path)


def test_a_method_that_is_edited_while_its_benchmark_runs_is_not_trained_under_the_old_name(
    benchmark_file: Callable[..., Path],
) -> None:
    file = benchmark_file()
    plan, store = benchmark.load(file)
    train = next(job for job in jobs.make(plan, store, plan.trials) if job.spec["label"] == "tiny")
    source = file.with_name("tiny.py")
    source.write_text(source.read_text().replace("clamp(-1, 1)", "clamp(-0.5, 0.5)"))
    outcome = run_job(train)
    assert outcome.state == "failed"
    assert f"tiny.py (or what it imports) changed after {train.trial} was named after it" in outcome.error


def test_a_mistake_in_translate_shows_before_the_training(benchmark_file: Callable[..., Path]) -> None:
    file = benchmark_file()
    source = file.with_name("tiny.py")
    source.write_text(source.read_text().replace(".clamp(-1, 1)", "[:, :, ::2]"))
    plan, store = benchmark.load(file)
    train = next(job for job in jobs.make(plan, store, plan.trials) if job.spec["label"] == "tiny")
    outcome = run_job(train)
    assert outcome.state == "failed"
    assert "(1, 3, 8, 16)" in outcome.error
    assert store.trial(train.trial).curves() == [], "not a step was taken"


def test_a_model_is_used_as_it_was_trained_whatever_became_of_its_file(benchmark_file: Callable[..., Path]) -> None:
    file = benchmark_file()
    plan, store = benchmark.load(file)
    train = next(job for job in jobs.make(plan, store, plan.trials) if job.spec["label"] == "tiny")
    assert run_job(train).state == "done"
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    before = trials.from_trial(store.trial(train.trial), "cpu").translate(images)
    source = file.with_name("tiny.py")
    source.write_text(source.read_text().replace("self.generator(a)", "-self.generator(a)"))
    np.testing.assert_array_equal(trials.from_trial(store.trial(train.trial), "cpu").translate(images), before)
    source.unlink()
    np.testing.assert_array_equal(trials.from_trial(store.trial(train.trial), "cpu").translate(images), before)
    store.trial(train.trial).method.unlink()
    source.write_text("# it was another method\n")
    with pytest.raises(ConfigError, match="exactly one subclass"):
        trials.from_trial(store.trial(train.trial), "cpu")

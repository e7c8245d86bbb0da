"""Rows of a method that differ in how they translate alone share one training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from i2ibench import benchmark, jobs, registry
from i2ibench.executors.local import LocalExecutor
from i2ibench.stopping import Stop

FILE = """
    seeds: [0]
    store: {tmp}/runs
    data:
      shapes: {{kind: sim2real, size: 16, train_images: 4, test_images: 2}}
    methods:
      palette: {{preset: tiny, sample_steps: {{grid: [3, 2, 50]}}}}
      other: {{method: palette, preset: tiny, width: 4}}
    training: {{steps: 2, batch_size: 2}}
    evaluation: {{metrics: [psnr]}}
"""


@pytest.mark.parametrize("name", [name for name in registry.methods() if registry.method(name).sampling])
def test_what_is_said_to_change_translations_is_a_setting(name: str) -> None:
    method = registry.method(name)
    assert set(method.sampling) <= set(method.Params.model_fields)


def test_they_are_trained_once_and_translate_each_in_its_own_way(
    benchmark_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    the_plan, store = benchmark.load(benchmark_file(FILE))
    rows = {spec.label: spec for spec in the_plan.trials}
    three, two, fifty = (rows[f"palette sample_steps={n}"] for n in (3, 2, 50))
    assert three.trained_as == two.trained_as == fifty.trained_as == fifty.id, "50 is the default"
    assert len({three.id, two.id, fifty.id}) == 3
    assert rows["other"].trained_as != three.trained_as
    work = [job for job in jobs.make(the_plan, store, the_plan.trials) if job.kind == "train"]
    waits = {job.spec["label"]: job.after for job in work}
    assert waits["palette sample_steps=3"] == waits["palette sample_steps=2"] == (f"train {fifty.id}",)
    assert waits["palette sample_steps=50"] == waits["other"] == ()
    assert [outcome.state for _, outcome in LocalExecutor().run(work, Stop())] == ["done"] * 4
    trained = {path.parent.name for path in store.path.glob("*/weights.pt")}
    assert trained == {fifty.id, rows["other"].trained_as}
    outputs = [np.asarray(store.trial(spec.id).outputs()) for spec in (three, two, fifty)]
    assert not np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[1], outputs[2])


def test_without_a_row_of_the_defaults_the_first_trains_for_all(
    benchmark_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    the_plan, store = benchmark.load(benchmark_file(FILE.replace(", 50]", "]")))
    work = [job for job in jobs.make(the_plan, store, the_plan.trials) if job.kind == "train"]
    waits = {job.spec["label"]: job.after for job in work}
    (first,) = (job.name for job in work if job.spec["label"] == "palette sample_steps=3")
    assert waits["palette sample_steps=3"] == ()
    assert waits["palette sample_steps=2"] == (first,)

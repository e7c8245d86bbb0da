"""What is said of a trial whose method is at fault: what is wrong, and in which line of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from i2ibench import benchmark, jobs
from i2ibench.worker import run_job


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("self.steps += 1", "raise ValueError('oh no')", "ValueError: oh no (tiny.py:{line})"),
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

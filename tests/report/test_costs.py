"""Hours of devices: what a training really held, once for all trials that share it."""

from __future__ import annotations

from typing import Any

import pytest

from i2ibench import costs


@pytest.mark.parametrize(
    ("cost", "share", "unit"),
    [({"device": "cuda", "gpus": 0.125}, 0.125, "GPU"), ({"device": "cpu", "gpus": 0}, 2, "core"), ({}, 2, "core")],
)
def test_the_time_of_a_device_is_the_share_of_it_that_was_held(
    benchmark: Any, cost: dict[str, Any], share: float, unit: str
) -> None:
    spec = benchmark.spec("vae", 0)
    spec.resources.update(cpus=2, gpus="auto")  # which says nothing of what a probe found
    assert costs.held(spec, cost) == (share, unit)
    benchmark.finish(spec, {"fid": 1.0}, cost={"train_seconds": 60.0, **cost})
    spent = costs.time_spent(benchmark.plan, benchmark.store)
    assert spent == {"wall clock of all trainings, added up": 60.0, f"{unit} time": 60.0 * share}

"""`i2ibench doctor --profile`: the parts of a step add up, and what is known of a method shows."""

from __future__ import annotations

import time

import pytest
import torch

from i2ibench.errors import ConfigError
from i2ibench.profiling import STEPS, trace, training_step


def test_the_parts_of_a_step_add_up_and_adam_steps_once_a_player(capfd: pytest.CaptureFixture[str]) -> None:
    found = training_step("vae", "tiny")
    assert sum(found.kinds.values()) == pytest.approx(1)
    assert found.kinds["convolutions"] == max(found.kinds.values())
    assert found.milliseconds > 0
    assert {"optimiser", "normalisation", "everything else"} <= {kind for kind, share in found.kinds.items() if share}
    name, share, calls = found.operators[0]
    assert "conv" in name
    assert 0 < share < 1
    assert calls == int(calls * STEPS) / STEPS
    assert "preset tiny: 32 pixels, batches of 16" in found.about


@pytest.mark.parametrize(
    ("name", "preset", "message"),
    [("copy", None, "copy trains nothing"), ("vae", "tinny", "no preset 'tinny'; did you mean 'tiny'")],
)
def test_what_cannot_be_profiled_is_refused(name: str, preset: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        training_step(name, preset)


def test_a_trace_counts_what_is_launched_and_sees_pauses() -> None:
    x = torch.ones(300, 300)

    def work(pause: float) -> None:
        for _ in range(4):
            torch.mm(x, x)
            time.sleep(pause)
            torch.mm(x, x)

    idle, busy = (trace(lambda pause=pause: work(pause), torch.device("cpu")) for pause in (0.2, 0.0))  # type: ignore[misc]
    assert idle.taken["aten::mm"][1] == 8
    assert 8 <= idle.launches <= 24, "and few others: memory for the products"
    assert 0 < idle.busy < min(0.5, busy.busy)
    assert busy.busy <= 1

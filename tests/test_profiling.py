"""`i2ibench doctor --profile`: the parts of a step add up, and what is known of a method shows."""

from __future__ import annotations

import pytest

from i2ibench.errors import ConfigError
from i2ibench.profiling import STEPS, training_step


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

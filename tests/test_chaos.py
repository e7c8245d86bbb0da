"""Chaos, a short one: every trial is done once, whatever is killed, and the scores are those of a quiet run."""

from pathlib import Path

import pytest

from i2ibench.chaos import Chaos


@pytest.mark.slow
def test_a_short_chaos_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    chaos = Chaos(tmp_path, trials=4, steps=80, seed=1, say=said.append)
    chaos.run(minutes=1.0)
    assert sum(chaos.kills.values()) >= 2, said
    assert "exactly once" in said[-1]

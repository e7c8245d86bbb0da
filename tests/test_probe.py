"""The first steps of a trial: measured, and thrown away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from i2ibench import config, plan
from i2ibench.memory import share_of_gpu
from i2ibench.probe import bytes_taken, probe
from i2ibench.store import Store

CPU = torch.device("cpu")

TEXT = """
    seeds: [0]
    store: {tmp}/runs
    data:
      glyphs: {{size: 32}}
    methods:
      copy:
      pix2pix: {{preset: tiny, training: {{batch_size: 2}}}}
      big: {{method: pix2pix, preset: tiny, width: 48, training: {{batch_size: 64}}}}
    training: {{ema: 0.9, r1: 1.0, spectral_norm: true}}
    resources: {{gpus: auto}}
"""


@pytest.fixture
def taken(benchmark_file: Callable[..., Path], tmp_path: Path) -> dict[str, int]:
    trials = plan.make(config.load(benchmark_file(TEXT))).trials
    store = Store(tmp_path / "runs")
    assert all(spec.resources["gpus"] == "auto" for spec in trials)
    found = {spec.label: bytes_taken(spec, store, CPU) for spec in trials}
    assert not any((store.path / spec.id).exists() for spec in trials), "nothing is written of a trial"
    return found


def test_a_big_trial_takes_more_than_a_small_one(taken: dict[str, int]) -> None:
    assert taken["big"] > taken["pix2pix"] + 50e6, "64 images of 48 channels and more, and Adam"
    assert share_of_gpu(taken["big"], 80 << 30) == 1 / 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_on_a_gpu_it_says_which_share_to_ask_for(benchmark_file: Callable[..., Path], tmp_path: Path) -> None:
    *_, big = plan.make(config.load(benchmark_file(TEXT))).trials
    store = Store(tmp_path / "runs")
    assert bytes_taken(big, store, torch.device("cuda")) > 50e6
    assert probe(big, store, torch.device("cuda")) in {n / 8 for n in range(1, 9)}
    assert probe(big, store, CPU) == 0

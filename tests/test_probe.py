"""The first steps of a trial: measured, and thrown away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from i2ibench import config, plan
from i2ibench.memory import share_of_gpu
from i2ibench.probe import Footprint, probe
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
def footprints(benchmark_file: Callable[..., Path], tmp_path: Path) -> dict[str, Footprint]:
    trials = plan.make(config.load(benchmark_file(TEXT))).trials
    store = Store(tmp_path / "runs")
    assert all(spec.resources["gpus"] == "auto" for spec in trials)
    found = {spec.label: probe(spec, store, CPU) for spec in trials}
    assert not any((store.path / spec.id).exists() for spec in trials), "nothing is written of a trial"
    return found


def test_a_big_trial_takes_more_than_a_small_one(footprints: dict[str, Footprint]) -> None:
    assert footprints["big"].bytes > footprints["pix2pix"].bytes + 50e6, "64 images of 48 channels and more, and Adam"
    assert footprints["big"].seconds_per_step > 3 * footprints["pix2pix"].seconds_per_step > 0
    assert footprints["copy"].seconds_per_step == 0
    assert {footprint.gpus for footprint in footprints.values()} == {0.0}, "on a CPU none is needed"
    assert share_of_gpu(footprints["big"].bytes, 80 << 30) == 1 / 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_on_a_gpu_it_says_which_share_to_ask_for(benchmark_file: Callable[..., Path], tmp_path: Path) -> None:
    *_, big = plan.make(config.load(benchmark_file(TEXT))).trials
    footprint = probe(big, Store(tmp_path / "runs"), torch.device("cuda"))
    assert footprint.bytes > 50e6
    assert footprint.gpus in {n / 8 for n in range(1, 9)}

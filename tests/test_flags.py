"""Flags: a constant generator and a discriminator that has won are named, healthy ones are not."""

from __future__ import annotations

import io
import json
import math
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from i2ibench import benchmark, flags, registry
from i2ibench.data.ragged import Ragged
from i2ibench.flags import collapsed
from i2ibench.method import Task

PLAYERS = ("generator", "discriminator")


@pytest.fixture
def targets() -> np.ndarray:
    """Black squares at different places on white."""
    images = np.full((30, 16, 16, 3), 255, np.uint8)
    for i, image in enumerate(images):
        image[i % 9 : i % 9 + 6, i % 7 : i % 7 + 6] = 0
    return images


def curve(*losses: float, every: int = 50) -> list[dict[str, float]]:
    """Learning curves with these losses of a discriminator, half real and half fake."""
    return [
        {
            "step": (i + 1) * every,
            "seconds": i,
            "generator.l1": 0.0,
            "discriminator.real": x / 2,
            "discriminator.fake": x / 2,
        }
        for i, x in enumerate(losses)
    ]


def test_spread_is_the_standard_deviation_over_the_images(targets: np.ndarray) -> None:
    assert flags.spread(targets) == pytest.approx(math.sqrt(targets.astype(float).var(axis=0).mean()))
    differences = [
        (targets[i].astype(float) - targets[j]) ** 2 for i in range(len(targets)) for j in range(len(targets))
    ]
    assert flags.spread(targets) == pytest.approx(math.sqrt(np.mean(differences) / 2))


def test_a_constant_generator_is_a_collapse(targets: np.ndarray) -> None:
    constant = np.repeat(targets[:1], len(targets), axis=0)
    (flag,) = flags.find([], PLAYERS, constant, targets)
    assert flag["flag"] == "collapse"
    assert "deviate from their mean image by 0.0 grey levels of 255 and targets by " in flag["reason"]
    noisy = constant + np.random.default_rng(0).integers(-4, 5, constant.shape)
    assert flags.find([], PLAYERS, np.clip(noisy, 0, 255).astype(np.uint8), targets), "nor does a little noise hide it"
    assert flags.find([], (), constant, targets) == [], "a reference row is not judged"


def test_healthy_generators_have_not_collapsed(targets: np.ndarray) -> None:
    mean = targets.mean(axis=0)
    washed_out = (0.5 * targets + 0.5 * mean).astype(np.uint8)  # half the contrast, as of a blurry VAE
    for outputs in (targets, targets[::-1], washed_out, targets[:9]):
        assert flags.find([], PLAYERS, outputs, targets) == []
    same = np.repeat(targets[:1], 5, axis=0)
    assert flags.find([], PLAYERS, same, same) == [], "targets that are all alike ask for no diversity"
    assert flags.find([], PLAYERS, targets[:1], targets[:1]) == [], "one image has no diversity"


def test_a_loss_next_to_zero_over_the_end_of_the_curve_has_won() -> None:
    reason = flags.won(curve(*[0.5] * 10, *[0.001] * 10), "discriminator")
    assert reason is not None
    assert reason.startswith("the loss of discriminator stays below 0.01 from step 800 on (mean 0.001)")
    penalised = [point | {"discriminator.r1_penalty": 3.0} for point in curve(*[0.001] * 5)]
    assert flags.won(penalised, "discriminator"), "the penalty is no part of the verdict"


@pytest.mark.parametrize("name", ["unit", "munit"])
def test_a_discriminator_at_chance_has_not_won_by_a_small_weight(name: str, targets: np.ndarray) -> None:
    """Least squares at chance give 0.5, and UNIT and MUNIT weigh it."""
    made = registry.method(name)
    tiny = {key: value for key, value in made.presets["tiny"].items() if key != "training"}
    weight = made(made.Params(**tiny, lambda_gan=0.01), Task(3, 3, 32)).verdict_weight
    assert flags.find(curve(*[0.01 * 0.5] * 10), PLAYERS, targets, targets, weight) == []
    (flag,) = flags.find(curve(*[0.01 * 0.005] * 10), PLAYERS, targets, targets, weight)
    assert flag["reason"].startswith("the loss of discriminator stays below 0.0001 from step 400 on")
    assert flags.find(curve(*[0.0] * 10), PLAYERS, targets, targets, 0.0) == [], "one without weight learns nothing"


@pytest.mark.parametrize(
    "losses",
    [
        [0.5] * 20,
        [0.001] * 10 + [0.5] * 10,
        [0.001] * 19 + [0.3],
        [0.5] * 18 + [0.001] * 2,
        [0.001] * 2,
        [],
        [-0.2] * 20,
    ],
    ids=["even", "caught up", "at the very end", "too short", "two points", "none", "Wasserstein"],
)
def test_other_curves_have_not_been_won(losses: list[float]) -> None:
    assert flags.won(curve(*losses), "discriminator") is None


METHOD = """
    from i2ibench.method import Method


    class Flat(Method):
        players = ("generator", "discriminator")

        def build(self, task):
            import torch

            self.generator, self.discriminator = torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 1, 1)

        def step(self, batch, turn):
            with turn("generator") as loss:
                loss.l1 = (self.generator(batch.a) - batch.b).abs().mean()
            with turn("discriminator") as loss:
                loss.both = self.discriminator(batch.b).mean() * 0 + 0.001

        def translate(self, a, *, rng):
            return a * 0 + self.generator.bias[:, None, None].clamp(-1, 1)
"""
FILE = """
    seeds: [0]
    store: {tmp}/runs
    reports: {tmp}/reports
    data: {{glyphs: {{size: 16}}}}
    methods:
      copy:
      flat: {{method: flat.py}}
      well: {{method: tiny.py}}
    training: {{steps: 40, batch_size: 8, log_every: 5}}
    evaluation: {{metrics: [ssim]}}
"""


def test_a_run_keeps_its_flags_and_the_report_shows_them(benchmark_file: Callable[[str], Path], tmp_path: Path) -> None:
    file = benchmark_file(FILE)
    (tmp_path / "flat.py").write_text(textwrap.dedent(METHOD))
    summary = benchmark.run(file, executor="local", console=Console(file=io.StringIO()))
    plan, store = benchmark.load(file)
    found = {spec.label: (store.trial(spec.id).result() or {})["flags"] for spec in plan.trials}
    assert [flag["flag"] for flag in found["flat"]] == ["discriminator has won", "collapse"]
    assert found["copy"] == found["well"] == []
    folder = summary.report.parent
    assert "worse than copy" in (folder / "summary.txt").read_text()
    table = pd.read_csv(folder / "leaderboard.csv", keep_default_na=False).set_index("label")
    of_trials, of_row = "discriminator has won; collapse", "worse than copy"  # neither learns anything in these steps
    assert table["flags"].to_dict() == {"flat": f"{of_trials}; {of_row}", "copy": "", "well": of_row}
    kept = pd.read_parquet(folder / "results.parquet").groupby("label")["flags"].first()
    assert json.loads(kept["flat"]) == found["flat"]
    text = (folder / "leaderboard.md").read_text()
    for flag in found["flat"]:
        assert f"- flat (seed 0): {flag['flag']}: " in text


def test_a_divided_batch_is_flagged_where_it_can_show() -> None:
    assert flags.divided(8, micro_batches=1, ranks=1, mixes=True) == []
    assert flags.divided(8, micro_batches=1, ranks=4, mixes=False) == [], "the gradients are those of the whole batch"
    (found,) = flags.divided(8, micro_batches=2, ranks=1, mixes=False)
    assert found["flag"] == "micro-batch"
    assert "a batch of 8 did not fit into memory and went through in 2 parts" in found["reason"]
    assert "normalisation" not in found["reason"]
    found, other = flags.divided(8, micro_batches=2, ranks=4, mixes=True)
    assert "normalisation" in found["reason"]
    assert other["flag"] == "data-parallel"
    assert "over 4 GPUs" in other["reason"]


def test_images_of_several_sizes_are_judged_at_one(targets: np.ndarray) -> None:
    own = Ragged.of([image[: 20 + i % 5, : 30 - i % 7] for i, image in enumerate(targets)])
    grey = Ragged.of([np.full_like(image, 128) for image in own])
    assert collapsed(own, own) is None
    assert "hardly count" in str(collapsed(grey, own))

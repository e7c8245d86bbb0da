"""`i2ibench watch`: alarms where the domain has changed, about as many as promised where it has not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from i2ibench import assets, benchmark
from i2ibench.data import cache
from i2ibench.errors import ConfigError
from i2ibench.use.watching import Gauge

Run = Callable[..., tuple[int, str, str]]


def normal(count: int, seed: int, mean: float = 0.0) -> torch.Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)) + mean


def test_alarms_are_as_rare_as_promised_and_a_shift_is_found() -> None:
    gauge = Gauge(normal(800, 0), 40)
    calm = [gauge.read(normal(40, seed)).drift for seed in range(1, 301)]
    assert np.mean(calm) <= 0.05  # 1 in 100 is meant; the threshold itself is an estimate
    assert all(gauge.read(normal(40, seed, mean=0.5)).drift for seed in range(1, 21))


def test_it_is_kid() -> None:
    """torch-fidelity's, of all images in place of subsets."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    reference, window = normal(80, 0), normal(40, 1, mean=0.3)
    base = reference[np.random.default_rng(0).permutation(80)[:40]]
    expected = kid_features_to_metric(window, base, kid_subsets=1, kid_subset_size=40, verbose=False)
    assert Gauge(reference, 20).read(window).kid == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)


@pytest.mark.parametrize("window", [0, 1, 21])
def test_windows_that_the_reference_is_too_small_for(window: int) -> None:
    with pytest.raises(ConfigError, match="at most: 2 to 20"):
        Gauge(normal(80, 0), window)


def test_watch_on_the_command_line(command_line: Run, store: Path, tmp_path: Path) -> None:
    """The trial's own test images, then the same blurred."""
    assets.ensure("vgg16-features")
    the_plan, real = benchmark.load(store.parent / "small.yaml")
    images = cache.load(the_plan.data["shapes"].source, real.data_cache).test_a
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"a{i}.png")
        Image.fromarray(image).filter(ImageFilter.GaussianBlur(6)).save(tmp_path / f"b{i}.png")
    figure = tmp_path / "drift" / "drift.png"
    code, said, _ = command_line("watch", "plain", tmp_path, "--store", store, "--window", 3, "--figure", figure)
    found = [json.loads(line) for line in said.splitlines()]
    assert code == 1
    assert len(found) == 4
    assert [window["inputs"]["drift"] for window in found][2:] == [True, True]
    assert min(w["inputs"]["kid"] for w in found[2:]) > max(w["inputs"]["kid"] for w in found[:2])
    assert Path(found[0]["first"]).name == "a0.png"
    assert Image.open(figure).width > 300
    code, again, error = command_line("watch", "plain", tmp_path, "--store", store, "--window", 3)
    assert [json.loads(line) for line in again.splitlines()] == found
    assert "translating" not in error, "what the model makes of its training images is known by now"
    code, said, error = command_line("watch", "plain", tmp_path, "--store", store, "--window", 50)
    assert (code, said, error.count("\n")) == (2, "", 1)


def test_a_figure_that_cannot_be_drawn_is_refused_before_the_work(
    command_line: Run, store: Path, pictures: Path, tmp_path: Path
) -> None:
    figure = tmp_path / "drift.xyz"
    code, said, error = command_line("watch", "plain", pictures, "--store", store, "--figure", figure)
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert "drift.xyz: the ending should be one of" in error

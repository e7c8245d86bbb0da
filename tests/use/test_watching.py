"""`i2ibench watch`: alarms where the domain has changed, about as many as promised where it has not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2ibench import assets, benchmark
from i2ibench.data import cache
from i2ibench.errors import ConfigError
from i2ibench.use.watching import Gauge, require_enough

Run = Callable[..., tuple[int, str, str]]


def normal(count: int, seed: int, mean: float = 0.0) -> torch.Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)) + mean


@pytest.mark.parametrize(("images", "window"), [(40, 10), (100, 25), (120, 4)])
def test_alarms_are_as_rare_as_promised(images: int, window: int) -> None:
    """1 of 200 windows by inputs, and as many by outputs: here 6 of 1,200, over 60 references. 17 come once in 10,000."""
    generator = torch.Generator().manual_seed(images)

    def features(count: int) -> torch.Tensor:
        return torch.randn(count, 16, generator=generator).relu()

    alarms = 0
    for _ in range(60):
        gauge = Gauge(features(images), window)
        alarms += sum(gauge.read(features(window)).drift for _ in range(20))
    assert alarms < 17


def test_a_shift_is_found() -> None:
    gauge = Gauge(normal(800, 0), 40)
    assert all(gauge.read(normal(40, seed, mean=0.5)).drift for seed in range(1, 21))
    small = Gauge(normal(16, 0), 3)
    assert all(small.read(normal(3, seed, mean=3.0)).drift for seed in range(1, 21))


def test_images_that_are_all_alike_are_no_drift() -> None:
    """As a collapsed model's outputs are: KID is 0 but for its rounding."""
    alike = normal(1, 0)
    assert not Gauge(alike.expand(100, -1), 20).read(alike.expand(20, -1)).drift


def test_it_is_kid() -> None:
    """torch-fidelity's, of all images in place of subsets."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    reference, window = normal(40, 0), normal(40, 1, mean=0.3)
    expected = kid_features_to_metric(window, reference, kid_subsets=1, kid_subset_size=40, verbose=False)
    assert Gauge(reference, 40).read(window).kid == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)


@pytest.mark.parametrize(
    ("images", "window", "said"),
    [
        (80, 1, "it can be 2 to 20$"),
        (80, 21, "it can be 2 to 20$"),
        (20, 2, "it can be 3 to 5$"),  # of 22 images there are 231 pairs: the rarest is too frequent
        (11, 2, "11 training images are too few"),
    ],
)
def test_windows_that_the_reference_is_too_small_for(images: int, window: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        require_enough(images, window)


def test_watch_on_the_command_line(command_line: Run, store: Path, tmp_path: Path) -> None:
    """The trial's own test images, then noise."""
    assets.ensure("vgg16-features")
    the_plan, real = benchmark.load(store.parent / "small.yaml")
    images = cache.load(the_plan.data["shapes"].source, real.data_cache).test_a
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"a{i}.png")
        Image.effect_noise(image.shape[1::-1], 200).save(tmp_path / f"b{i}.png")
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

"""Metrics that need material: named in one line where it is missing, stamped, and blind to what does not concern them."""

from __future__ import annotations

import numpy as np
import pytest

from i2ibench.data.labels import Palette
from i2ibench.errors import ConfigError
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.evaluate import evaluate
from i2ibench.metrics.material import Material
from i2ibench.metrics.protocol import Protocol

SMALL = Protocol(extractor="vgg16-relu5_3", input_size=32)
TWO = Palette(("black", "white"), ((0, 0, 0), (255, 255, 255)))


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.needs - {"pairs"}])
def test_what_is_missing_is_named(generated: np.ndarray, name: str) -> None:
    with pytest.raises(ConfigError, match=f"metric '{name}' needs .*, and there are none: leave it out") as caught:
        evaluate(generated, generated, [name], SMALL, paired=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("metric", "domain"), [("mean_iou", "a"), ("fcn_mean_iou", "b")])
def test_a_palette_of_the_other_side_does_not_do(generated: np.ndarray, tmp_path, metric: str, domain: str) -> None:
    (tmp_path / "segment.py").write_text("def segment(images):\n    return images[..., 0] // 128\n")
    material = Material(inputs=generated, palette=Palette(TWO.names, TWO.colours, domain))
    protocol = SMALL.model_copy(update={"scorer": str(tmp_path / "segment.py")})
    with pytest.raises(ConfigError, match="label maps"):
        evaluate(generated, generated, [metric], protocol, paired=True, material=material)
    material = Material(inputs=generated, palette=Palette(TWO.names, TWO.colours, "ab".replace(domain, "")))
    assert 0 <= evaluate(generated, generated, [metric], protocol, paired=True, material=material).values[metric] <= 1


def test_cycle_is_the_mean_difference_in_grey_levels(generated: np.ndarray) -> None:
    material = Material(inputs=generated, cycled=255 - generated)
    scores = evaluate(generated, generated[:5], ["cycle"], SMALL, paired=False, material=material)
    expected = np.abs(255 - 2 * generated.astype(float)).mean(axis=(1, 2, 3))
    assert scores.per_image["cycle"] == pytest.approx(expected)
    assert scores.values == {"cycle": pytest.approx(expected.mean())}
    assert scores.stamp["metrics"]["cycle"]["unit"] == "grey levels of 0 to 255"


def test_other_metrics_do_not_see_the_material(generated: np.ndarray) -> None:
    material = Material(inputs=generated, cycled=generated, palette=TWO)
    alone = evaluate(generated, generated[::-1], ["l1"], SMALL, paired=True)
    beside = evaluate(generated, generated[::-1], ["l1", "cycle", "mean_iou"], SMALL, paired=True, material=material)
    assert beside.values["l1"] == alone.values["l1"]
    assert beside.stamp["metrics"]["l1"] == alone.stamp["metrics"]["l1"]
    assert list(beside.values) == ["l1", "cycle", "mean_iou"], "in the catalogue's order"

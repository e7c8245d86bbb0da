"""evaluate(): one pass, repeatable to the last digit, stamped, and clear about what it cannot score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from i2ibench.errors import AssetError, ConfigError, TrialError
from i2ibench.metrics import features
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.evaluate import evaluate
from i2ibench.metrics.protocol import PROTOCOLS, Protocol

SMALL = Protocol(extractor="vgg16-relu5_3", input_size=32, kid_subset_size=7)


@pytest.mark.usefixtures("weights")
def test_all_metrics_twice_are_identical(generated: np.ndarray, reference: np.ndarray, tmp_path: Path) -> None:
    reference = reference[: len(generated)]
    first = evaluate(generated, reference, list(METRICS), SMALL, paired=True, cache=tmp_path)
    again = evaluate(generated, reference, list(METRICS), SMALL, paired=True, cache=tmp_path)
    fresh = evaluate(generated, reference, list(METRICS), SMALL, paired=True)
    assert first.values == again.values == fresh.values
    assert list(first.values) == list(METRICS)
    for name in ("lpips", "ssim", "psnr"):
        assert first.per_image[name].shape == (len(generated),)
        assert first.per_image[name].mean() == pytest.approx(first.values[name], rel=1e-12)


@pytest.mark.usefixtures("weights")
def test_the_real_target_scores_perfectly(reference: np.ndarray) -> None:
    values = evaluate(reference, reference, list(METRICS), SMALL, paired=True).values
    assert values["fid"] == pytest.approx(0, abs=1e-3)
    assert (values["lpips"], values["psnr"]) == (0, 100)
    assert values["ssim"] == pytest.approx(1)


@pytest.mark.usefixtures("weights")
def test_reference_features_are_kept(generated: np.ndarray, reference: np.ndarray, tmp_path: Path) -> None:
    expected = evaluate(generated, reference, ["kid"], SMALL, paired=False, cache=tmp_path).values
    (file,) = tmp_path.iterdir()
    np.save(file, np.load(file) + 1)
    assert (
        evaluate(generated, reference, ["kid"], SMALL, paired=False, cache=tmp_path).values["kid"] > expected["kid"] + 1
    )
    file.write_bytes(file.read_bytes()[:200])  # damaged: computed again
    assert evaluate(generated, reference, ["kid"], SMALL, paired=False, cache=tmp_path).values == expected
    evaluate(generated, reference[:20], ["kid"], SMALL, paired=False, cache=tmp_path)
    features.extract_cached(reference, SMALL.model_copy(update={"input_size": 40}), "cpu", tmp_path)
    assert len(list(tmp_path.iterdir())) == 3  # other images and another protocol: other files


@pytest.mark.usefixtures("weights")
def test_stamp_tells_what_a_number_depends_on(generated: np.ndarray, reference: np.ndarray) -> None:
    stamp = evaluate(generated, reference, ["fid", "kid"], SMALL, paired=False).stamp
    assert json.loads(json.dumps(stamp, allow_nan=False)) == stamp
    assert stamp["key"] == SMALL.key()
    kid = stamp["metrics"]["kid"]
    assert (kid["subset_size"], kid["subsets"], kid["seed"]) == (7, 100, 2020)
    assert (kid["generated"], kid["reference"], kid["generated_size"], kid["input_size"]) == (37, 41, [32, 32], 32)
    assert kid["weights_sha256"].startswith("cabd922a")
    assert {"torch version", "torch-fidelity version"} <= set(stamp["metrics"]["fid"])
    assert "never compare them with published" in stamp["warnings"][0]
    assert "37 images for 512 features" in stamp["warnings"][1]
    alone = evaluate(generated, reference, ["fid"], SMALL, paired=False).stamp
    assert alone["metrics"]["fid"] == stamp["metrics"]["fid"]  # whatever else was scored


def test_paired_metrics_need_no_extractor(
    generated: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("I2IBENCH_CACHE", str(tmp_path))
    scores = evaluate(generated, generated[::-1], ["psnr", "ssim"], PROTOCOLS["standard"], paired=True)
    assert set(scores.values) == {"ssim", "psnr"}
    assert scores.stamp["warnings"] == []


def test_missing_weights_name_the_command(
    generated: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("I2IBENCH_CACHE", str(tmp_path))
    features.extractor.cache_clear()
    with pytest.raises(AssetError, match="i2ibench assets fetch inception-v3-compat"):
        evaluate(generated, generated, ["fid"], PROTOCOLS["standard"], paired=False)


@pytest.mark.parametrize(
    ("change", "metrics", "paired", "error", "text"),
    [
        (lambda x: x, ["fid", "sim"], True, ConfigError, "unknown metric 'sim'; did you mean 'ssim'"),
        (lambda x: x, ["lpips"], False, ConfigError, "'lpips' compares each output with its own target"),
        (lambda x: x[:1], ["fid"], False, TrialError, "1 generated images; scores need at least 2"),
        (lambda x: x / 255, ["psnr"], True, TrialError, "generated images are float64"),
        (lambda x: x[..., 0], ["psnr"], True, TrialError, r"uint8 \(37, 32, 32\)"),
        (lambda x: x[:5], ["psnr"], True, TrialError, "differ in number or size"),
        (lambda x: x[:, :16], ["psnr"], True, TrialError, "differ in number or size"),
    ],
)
def test_what_cannot_be_scored(generated, change, metrics, paired, error, text) -> None:
    with pytest.raises(error, match=text) as caught:
        evaluate(change(generated), generated, metrics, SMALL, paired=paired)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("metric", "smallest"), [("ssim", 11), ("lpips", 31)])
def test_images_smaller_than_a_metrics_window(generated: np.ndarray, metric: str, smallest: int) -> None:
    small = generated[:, : smallest - 1, : smallest - 1]
    with pytest.raises(TrialError, match=f"{smallest} pixels"):
        evaluate(small, small, [metric], SMALL, paired=True)

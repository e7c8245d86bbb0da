"""evaluate(): one pass, repeatable to the last digit, stamped, and clear about what it cannot score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from i2ibench.errors import AssetError, ConfigError, TrialError
from i2ibench.metrics import features, images
from i2ibench.metrics.evaluate import evaluate
from i2ibench.metrics.protocol import PROTOCOLS, Protocol

SMALL = Protocol(extractor="vgg16-relu5_3", input_size=32, kid_subset_size=7)
SETS = ["fid", "kid", "precision", "recall", "density", "coverage"]
PAIRS = ["lpips", "ssim", "psnr", "l1"]


@pytest.mark.usefixtures("weights")
def test_all_metrics_twice_are_identical(generated: np.ndarray, reference: np.ndarray, tmp_path: Path) -> None:
    reference = reference[: len(generated)]
    first = evaluate(generated, reference, [*PAIRS, *SETS], SMALL, paired=True, cache=tmp_path)
    again = evaluate(generated, reference, [*PAIRS, *SETS], SMALL, paired=True, cache=tmp_path)
    fresh = evaluate(generated, reference, [*PAIRS, *SETS], SMALL, paired=True)
    assert first.values == again.values == fresh.values
    assert first.intervals == again.intervals == fresh.intervals
    assert list(first.values) == [*SETS, *PAIRS]  # the catalogue's order
    for name in PAIRS:
        assert first.per_image[name].shape == (len(generated),)
        assert first.per_image[name].mean() == pytest.approx(first.values[name], rel=1e-12)


@pytest.mark.usefixtures("weights")
def test_the_real_target_scores_perfectly(reference: np.ndarray) -> None:
    values = evaluate(reference, reference, [*SETS, *PAIRS], SMALL, paired=True).values
    assert values["fid"] == pytest.approx(0, abs=1e-3)
    assert (values["precision"], values["recall"], values["coverage"]) == (1, 1, 1)
    assert (values["lpips"], values["psnr"], values["l1"]) == (0, 100, 0)
    assert values["ssim"] == pytest.approx(1)


@pytest.mark.usefixtures("weights")
def test_every_score_lies_in_its_interval(generated: np.ndarray, reference: np.ndarray) -> None:
    scores = evaluate(generated, reference[: len(generated)], [*SETS, *PAIRS], SMALL, paired=True)
    assert set(scores.intervals) == set(scores.values)
    for name, interval in scores.intervals.items():
        assert interval["low"] < scores.values[name] < interval["high"], name
        assert interval["level"] == 0.95
    kinds = {name: interval["kind"] for name, interval in scores.intervals.items()}
    assert kinds["fid"] == "jackknife over images"
    assert kinds["kid"] == "subset spread"
    assert {kinds[name] for name in PAIRS} == {"bootstrap over images"}
    assert json.loads(json.dumps(scores.intervals, allow_nan=False)) == scores.intervals


@pytest.mark.usefixtures("weights")
def test_each_image_passes_each_network_once(generated: np.ndarray, reference: np.ndarray, tmp_path: Path) -> None:
    reference = reference[: len(generated)]
    seen: dict[str, list[bytes]] = {"extractor": [], "lpips": []}

    def watch(name: str, network: torch.nn.Module) -> None:
        network.register_forward_pre_hook(
            lambda _, inputs: seen[name].extend(image.numpy().tobytes() for x in inputs for image in x)
        )

    watch("extractor", features.extractor(SMALL.extractor, SMALL.size, "cpu"))
    watch("lpips", images.lpips_network("alex", "cpu"))
    try:
        evaluate(generated, reference, [*SETS, *PAIRS], SMALL, paired=True, cache=tmp_path)
        assert len(seen["extractor"]) == len(set(seen["extractor"])) == 2 * len(generated)
        assert len(seen["lpips"]) == len(set(seen["lpips"])) == 2 * len(generated)
        evaluate(generated[::-1], reference, SETS, SMALL, paired=True, cache=tmp_path)
        assert len(seen["extractor"]) == 3 * len(generated)  # the real ones were kept
    finally:
        features.extractor.cache_clear()
        images.lpips_network.cache_clear()


@pytest.mark.usefixtures("weights")
def test_reference_features_are_kept(generated: np.ndarray, reference: np.ndarray, tmp_path: Path) -> None:
    expected = evaluate(generated, reference, ["kid"], SMALL, paired=False, cache=tmp_path).values
    (file,) = tmp_path.glob("*.npy")
    np.save(file, np.load(file) + 1)
    assert (
        evaluate(generated, reference, ["kid"], SMALL, paired=False, cache=tmp_path).values["kid"] > expected["kid"] + 1
    )
    file.write_bytes(file.read_bytes()[:200])  # damaged: computed again
    assert evaluate(generated, reference, ["kid"], SMALL, paired=False, cache=tmp_path).values == expected
    evaluate(generated, reference[:20], ["kid"], SMALL, paired=False, cache=tmp_path)
    features.extract_cached(reference, SMALL.model_copy(update={"input_size": 40}), "cpu", tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 3  # other images and another protocol: other files


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
    assert len(stamp["warnings"]) == 2
    few = evaluate(generated, reference[:19], ["kid"], SMALL, paired=False).stamp["warnings"]
    assert few[1] == "KID over 19 images may differ more by chance than by method; take 20 or more"
    assert stamp["metrics"]["fid"]["rank_deficient"] is True
    assert (kid["reference_split"], kid["checkpoint"]) == ("test", "last")
    assert (kid["colour"], kid["quantisation"]) == ("RGB, 0 to 255", "uint8, as in PNG files")
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


@pytest.mark.usefixtures("weights")
def test_sets_of_another_size_are_resized_by_the_protocol_and_the_stamp_says_so(reference: np.ndarray) -> None:
    larger = reference.repeat(2, axis=1).repeat(2, axis=2)
    scores = evaluate(larger, reference, ["kid"], SMALL, paired=False, origin={"reference_split": "folder"})
    assert scores.values["kid"] < 1  # the same images
    entry = scores.stamp["metrics"]["kid"]
    assert (entry["generated_size"], entry["reference_size"], entry["input_size"]) == ([64, 64], [32, 32], 32)
    assert (entry["reference_split"], "checkpoint" in entry) == ("folder", False)
    assert scores.stamp["warnings"][-1] == (
        "outputs of 64 x 64 pixels are compared with real images of 32 x 32: "
        "each is resized to 32 x 32 by the protocol's rule"
    )
    with pytest.raises(TrialError, match="differ in number or size"):
        evaluate(larger, reference, ["kid", "l1"], SMALL, paired=True)


class Logarithm(torch.nn.Module):
    """A network that breaks on black images, as a real one may on outputs beyond anything it was trained on."""

    def forward(self, images: torch.Tensor, others: torch.Tensor | None = None) -> torch.Tensor:
        levels = images.float() + 1 if others is not None else images.float()  # LPIPS sees [-1, 1]
        values = levels.mean(dim=(1, 2, 3)).log()[:, None]
        return values if others is not None else (values,)


@pytest.mark.parametrize(
    ("metric", "where", "text"),
    [
        ("kid", (features, "extractor"), "the features of generated image 17 are NaN or infinite in vgg16-relu5_3"),
        ("lpips", (images, "lpips_network"), "the distances of image 17 are NaN or infinite in LPIPS (alex)"),
    ],
)
def test_nan_in_a_network_names_the_image_and_the_network(
    generated: np.ndarray, metric: str, where: tuple[object, str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*where, lambda *_: Logarithm())
    broken = generated.copy()
    broken[17] = broken[30] = 0
    with pytest.raises(TrialError) as caught:
        evaluate(broken, generated, [metric], SMALL, paired=True)
    assert str(caught.value) == f"{text} (2 of 37 are): it cannot be scored"


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


@pytest.mark.parametrize(("metric", "smallest"), [("ssim", 11), ("lpips", 31), ("ms_ssim", 161)])
def test_images_smaller_than_a_metrics_window(metric: str, smallest: int) -> None:
    small = np.zeros((2, smallest - 1, smallest - 1, 3), np.uint8)
    with pytest.raises(TrialError, match=f"{smallest} pixels"):
        evaluate(small, small, [metric], SMALL, paired=True)

"""Scores that need more than outputs, over a whole trial: made from the weights in the store, kept, and repeatable."""

from __future__ import annotations

import json
import logging
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2ibench import assets, config, gather, plan, trial
from i2ibench.dataset import load_images
from i2ibench.errors import TrialError
from i2ibench.metrics.images import lpips_values
from i2ibench.metrics.labelmaps import decode
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.translation import translate, translate_styles

Write = Callable[..., Path]
LOG = logging.getLogger("test")
CPU = torch.device("cpu")

WAY = '''
    """A method of one number for each way, with noise: it can do everything that scores ask for."""

    from i2ibench.method import Method


    class Way(Method):
        paper = "none"
        players = ("generator",)
        multimodal = True
        bidirectional = True

        def build(self, task):
            import torch

            self.generator = torch.nn.ModuleList([torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 3, 1)])

        def step(self, batch, turn):
            with turn("generator") as loss:
                loss.there = (self.generator[0](batch.a) - batch.b).abs().mean()
                loss.back = (self.generator[1](batch.b) - batch.a).abs().mean()

        def translate(self, a, *, rng):
            return self.noisy(self.generator[0](a), rng)

        def translate_back(self, b, *, rng):
            return self.noisy(self.generator[1](b), rng)

        def noisy(self, x, rng):
            import torch

            noise = torch.randn(x.shape, generator=rng, device=x.device)
            return (0.5 * x + 0.1 * noise).clamp(-1, 1)
'''

TEXT = """
    seeds: [3]
    store: {tmp}/runs
    data:
      maps:
        source: folder
        path: set
        layout: by-name
        size: 32
        load_size: 36
        labels: folders
        palette: {{black: [0, 0, 0], white: "#ffffff"}}
        direction: {direction}
    methods: {{way: {{method: way.py}}, copy: , oracle: }}
    training: {{steps: 3, batch_size: 2}}
    evaluation:
      metrics: [{metrics}]
      protocol: {{extractor: vgg16-relu5_3, diversity_inputs: 3, diversity_pairs: 5, adaptation_steps: 4, scorer: segment.py}}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets.ensure("alexnet-features")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "way.py").write_text(textwrap.dedent(WAY).lstrip())
    (tmp_path / "segment.py").write_text("def segment(images):\n    return images[..., 0] // 128\n")
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 5)):
        for kind in ("round", "square"):
            for i in range(count):
                photo = rng.integers(0, 256, (40, 40, 3), np.uint8)
                for domain, image in (("A", photo), ("B", 255 * (photo[..., :1] > 99).repeat(3, 2).astype(np.uint8))):
                    file = tmp_path / "set" / f"{part}{domain}" / kind / f"{i}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image).save(file)


def planned(write: Write, metrics: str, direction: str = "AtoB") -> tuple[plan.Plan, Store, dict[str, TrialSpec]]:
    the_plan = plan.make(config.load(write(TEXT.replace("{metrics}", metrics).replace("{direction}", direction))))
    return the_plan, Store(the_plan.store), {spec.label: spec for spec in the_plan.trials}


def score(the_plan: plan.Plan, store: Store, spec: TrialSpec, *, rescore: bool = True) -> dict:
    if store.trial(spec.id).result() is None:
        trial.train_and_translate(spec, store, LOG)
    trial.score(spec, store, the_plan.protocol, the_plan.metrics(spec), CPU, LOG, rescore=rescore)
    found = store.trial(spec.id).scores(spec.score_key(the_plan.protocol))
    assert found is not None
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found["values"]) == set(found["intervals"]) == set(found["protocol"]["metrics"])
    for name, interval in found["intervals"].items():
        assert interval["low"] <= found["values"][name] <= interval["high"]
    return found


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_diversity_and_cycle_are_of_the_trained_networks_in_the_trials_direction(
    benchmark_file: Write, direction: str
) -> None:
    the_plan, store, specs = planned(benchmark_file, "diversity, cycle", direction)
    spec = specs["way"]
    assert spec.backward == (direction == "BtoA")
    found = score(the_plan, store, spec)
    mine, images, method = store.trial(spec.id), load_images(spec, store), gather.trained(spec, store, CPU)

    styles = translate_styles(method, images.test_a[[0, 4, 9]], 10, 3, CPU, backward=spec.backward)
    pairs = [lpips_values(styles[:, i], styles[:, i + 1], "alex", "cpu") for i in range(0, 10, 2)]
    assert found["values"]["diversity"] == pytest.approx(np.mean(pairs), abs=1e-6)
    np.testing.assert_array_equal(np.load(mine.path / "styles.npy"), styles[:, : gather.KEPT_STYLES])

    outputs = mine.outputs()
    assert outputs is not None
    cycled = translate(method, outputs, 3, CPU, backward=not spec.backward)
    assert found["values"]["cycle"] == pytest.approx(np.abs(cycled.astype(float) - images.test_a).mean())
    np.testing.assert_array_equal(np.load(mine.path / "cycled.npy"), cycled)
    per_image = mine.per_image(spec.score_key(the_plan.protocol))
    assert (per_image["diversity"].shape, per_image["cycle"].shape) == ((3,), (10,))
    stamp = found["protocol"]["metrics"]["diversity"]
    assert (stamp["inputs"], stamp["pairs"], stamp["network"]) == (3, 5, "alex")


def test_scoring_again_gives_the_same_and_trains_nothing(benchmark_file: Write) -> None:
    the_plan, store, specs = planned(benchmark_file, "diversity, cycle, adaptation, mean_iou")
    spec = specs["way"]
    first = score(the_plan, store, spec)
    weights = (store.trial(spec.id).path / "weights.pt").stat().st_mtime_ns
    torch.manual_seed(99)
    assert score(the_plan, store, spec) == first
    assert (store.trial(spec.id).path / "weights.pt").stat().st_mtime_ns == weights


def test_only_what_is_missing_is_computed_and_put_beside_the_rest(benchmark_file: Write) -> None:
    the_plan, store, specs = planned(benchmark_file, "diversity, adaptation, kid, ssim")
    spec = specs["way"]
    mine, key = store.trial(spec.id), spec.score_key(the_plan.protocol)
    first = score(the_plan, store, spec)
    arrays = mine.per_image(key)
    (mine.path / "weights.pt").rename(mine.path / "hidden.pt")  # whoever asks the network again finds none
    the_plan, store, _ = planned(benchmark_file, "diversity, adaptation, kid, ssim, psnr, pixel_accuracy")
    second = score(the_plan, store, spec, rescore=False)
    assert second["values"].keys() == first["values"].keys() | {"psnr", "pixel_accuracy"}
    for part in ("values", "intervals", "bounds"):
        assert first[part].items() <= second[part].items()
    assert first["bounds"].keys() == {"adaptation"}
    assert first["protocol"]["metrics"].items() <= second["protocol"]["metrics"].items()
    assert second["protocol"]["warnings"] == first["protocol"]["warnings"] != []
    assert mine.per_image(key).keys() == arrays.keys() | {"psnr", "pixel_accuracy"}
    for name, values in arrays.items():
        np.testing.assert_array_equal(mine.per_image(key)[name], values)
    (mine.path / "hidden.pt").rename(mine.path / "weights.pt")
    together = score(the_plan, store, spec)
    assert together == second, "in parts or at once, the scores are the same"


def test_where_all_is_known_nothing_is_written(benchmark_file: Write) -> None:
    the_plan, store, specs = planned(benchmark_file, "ssim, psnr")
    score(the_plan, store, specs["copy"])
    file = store.trial(specs["copy"].id).path / "scores" / f"{specs['copy'].score_key(the_plan.protocol)}.json"
    written = file.stat().st_mtime_ns
    score(the_plan, store, specs["copy"], rescore=False)
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize(("entry", "value"), [("numpy version", "0.1"), ("gone version", "1"), ("revision", 0)])
def test_scores_by_other_versions_are_all_made_anew(benchmark_file: Write, entry: str, value: object) -> None:
    the_plan, store, specs = planned(benchmark_file, "ssim")
    spec = specs["copy"]
    mine, key = store.trial(spec.id), spec.score_key(the_plan.protocol)
    true = score(the_plan, store, spec)
    false = json.loads(json.dumps(true))
    false["values"]["ssim"] = false["intervals"]["ssim"]["low"] = 0.0
    false["protocol"]["metrics"]["ssim"][entry] = value
    mine.write_scores(key, false, {"ssim": np.zeros(10)})
    the_plan, store, _ = planned(benchmark_file, "ssim, psnr")
    found = score(the_plan, store, spec, rescore=False)
    assert found["values"]["ssim"] == true["values"]["ssim"]
    assert found["protocol"]["metrics"]["ssim"] == true["protocol"]["metrics"]["ssim"]
    assert mine.per_image(key)["ssim"].mean() == pytest.approx(true["values"]["ssim"])


def test_label_maps_are_scored_by_the_palette(benchmark_file: Write) -> None:
    the_plan, store, specs = planned(benchmark_file, "pixel_accuracy, class_accuracy, mean_iou")
    found = score(the_plan, store, specs["copy"])
    images = load_images(specs["copy"], store)
    assert set(np.unique(images.test_b)) == {0, 255}, "resized by nearest pixel"
    palette = the_plan.data["maps"].source.palette
    truth, output = decode(images.test_b, palette), decode(images.test_a, palette)
    assert found["values"]["pixel_accuracy"] == pytest.approx((truth == output).mean())
    each = [((truth == c) & (output == c)).sum() / ((truth == c) | (output == c)).sum() for c in (0, 1)]
    assert found["values"]["mean_iou"] == pytest.approx(np.mean(each))
    per_image = store.trial(specs["copy"].id).per_image(specs["copy"].score_key(the_plan.protocol))
    assert set(per_image) == {"pixel_accuracy"}, "the others are no means over images"
    assert found["protocol"]["metrics"]["mean_iou"]["palette"] == {"black": [0, 0, 0], "white": [255, 255, 255]}


def test_the_scorer_judges_outputs_by_their_inputs_with_real_targets_as_the_ceiling(benchmark_file: Write) -> None:
    the_plan, store, specs = planned(benchmark_file, "fcn_pixel_accuracy, fcn_class_accuracy, fcn_mean_iou", "BtoA")
    found = score(the_plan, store, specs["copy"])
    assert found["values"] == {"fcn_pixel_accuracy": 1, "fcn_class_accuracy": 1, "fcn_mean_iou": 1}
    images = load_images(specs["copy"], store)
    truth, real = images.test_a[..., 0] // 255, images.test_b[..., 0] // 128
    assert found["bounds"]["fcn_pixel_accuracy"] == {
        "own targets": pytest.approx((truth == real).mean()),
        "shuffled targets": pytest.approx((truth == np.roll(real, 5, axis=0)).mean()),
    }
    assert set(found["bounds"]) == set(found["values"])
    assert len(found["protocol"]["metrics"]["fcn_mean_iou"]["scorer_sha256"]) == 64


def test_adaptation_stands_between_its_bounds_which_are_learned_once(benchmark_file: Write) -> None:
    the_plan, store, specs = planned(benchmark_file, "adaptation, kid")
    found = {label: score(the_plan, store, specs[label]) for label in ("copy", "way")}
    bounds = [each["bounds"]["adaptation"] for each in found.values()]
    assert bounds[0] == bounds[1]
    assert found["copy"]["values"]["adaptation"] == bounds[0]["source only"], "untranslated"
    stamps = [each["protocol"]["metrics"]["adaptation"] for each in found.values()]
    assert stamps[0] == stamps[1], "they may stand in one column"
    assert (stamps[0]["classes"], stamps[0]["learned_from"], stamps[0]["steps"]) == (2, 8, 4)
    assert len(list(store.feature_cache.glob("adaptation-*.npy"))) == 4, "three without a translation, and one with"


def test_what_needs_no_networks_loads_none(benchmark_file: Write) -> None:
    the_plan, store, specs = planned(benchmark_file, "diversity, ssim, pixel_accuracy")
    for label in ("oracle", "copy"):
        score(the_plan, store, specs[label])
        (store.trial(specs[label].id).path / "weights.pt").unlink()
        score(the_plan, store, specs[label])
    score(the_plan, store, specs["way"])
    (store.trial(specs["way"].id).path / "weights.pt").unlink()
    with pytest.raises(TrialError, match=r"weights\.pt: there is no such file; delete its directory and the trial's"):
        score(the_plan, store, specs["way"])


def test_a_scorer_that_fails_is_said_in_one_line(benchmark_file: Write) -> None:
    Path("segment.py").write_text("def segment(images):\n    return images\n")
    the_plan, store, specs = planned(benchmark_file, "fcn_mean_iou", "BtoA")
    with pytest.raises(TrialError, match=r"segment\(\) gave uint8 \(10, 32, 32, 3\)"):
        score(the_plan, store, specs["copy"])

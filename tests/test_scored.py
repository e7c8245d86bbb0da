"""Which metrics a row has: those that its data set and its method allow, and an error where one is named in vain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from i2ibench import config, plan
from i2ibench.errors import I2IBenchError
from i2ibench.metrics.catalog import METRICS

Write = Callable[..., Path]
PALETTE = 'palette: {{black: [0, 0, 0], white: "#ffffff"}}'
SCORER = "{{extractor: vgg16-relu5_3, scorer: segment.py}}"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "segment.py").write_text("def segment(images):\n    return images[..., 0] // 128\n")
    (tmp_path / "labels.csv").write_text("name,class\n0,zero\n1,one\n")
    for part in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "set" / part).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (32, 32), (i * 40, 0, 0)).save(tmp_path / "set" / part / f"{i}.png")


def make(write: Write, data: str, metrics: str = "", methods: str = "copy, oracle, munit, cyclegan, cvae", protocol: str = "offline", layout: str = "by-name") -> plan.Plan:  # fmt: skip
    rows = ", ".join(
        f"{name}: {{{{{'' if name in ('copy', 'oracle') else 'preset: tiny'}}}}}" for name in methods.split(", ")
    )
    named = f", metrics: [{metrics}]" if metrics else ""
    text = f"""
        seeds: 1
        data:
          set: {{{{source: folder, path: set, layout: {layout}, size: 32, {data}}}}}
        methods: {{{{{rows}}}}}
        evaluation: {{{{protocol: {protocol}{named}}}}}
    """
    return plan.make(config.load(write(text)))


def rows(the_plan: plan.Plan) -> dict[str, tuple[str, ...]]:
    return {spec.label: the_plan.metrics(spec) for spec in the_plan.trials}


def test_by_default_there_are_the_default_ones_whatever_is_declared(benchmark_file: Write) -> None:
    the_plan = make(benchmark_file, f"labels: labels.csv, {PALETTE}", protocol=SCORER)
    assert rows(the_plan)["munit"] == ("fid", "kid", "lpips", "ssim", "psnr")
    assert set(rows(the_plan)["munit"]) == {name for name, metric in METRICS.items() if metric.default}


def test_rows_have_what_their_method_can(benchmark_file: Write) -> None:
    the_plan = make(
        benchmark_file,
        f"labels: labels.csv, {PALETTE}",
        "kid, l1, diversity, cycle, pixel_accuracy, class_accuracy, mean_iou, adaptation",
    )
    maps = ("pixel_accuracy", "class_accuracy", "mean_iou")
    assert rows(the_plan) == {
        "copy": ("kid", "l1", *maps, "adaptation"),
        "oracle": ("kid",),
        "munit": ("kid", "l1", "diversity", "cycle", *maps, "adaptation"),
        "cyclegan": ("kid", "l1", "cycle", *maps, "adaptation"),
        "cvae": ("kid", "l1", "diversity", *maps, "adaptation"),
    }


def test_label_maps_as_inputs_have_the_scorers_metrics(benchmark_file: Write) -> None:
    metrics = "kid, fcn_pixel_accuracy, fcn_class_accuracy, fcn_mean_iou"
    found = rows(make(benchmark_file, f"direction: BtoA, {PALETTE}", metrics, protocol=SCORER))
    assert found["copy"] == found["munit"] == ("kid", "fcn_pixel_accuracy", "fcn_class_accuracy", "fcn_mean_iou")
    assert found["oracle"] == ("kid",)


def test_without_a_scorer_its_metrics_take_pairs_to_train_one_on(benchmark_file: Write) -> None:
    found = rows(make(benchmark_file, f"direction: BtoA, {PALETTE}", "fcn_mean_iou", "copy, munit"))
    assert found == {"copy": ("fcn_mean_iou",), "munit": ("fcn_mean_iou",)}


@pytest.mark.parametrize(
    ("data", "metrics", "options", "problem"),
    [
        ("", "kid, mean_iou", {}, r"benchmark\.yaml:6: evaluation\.metrics\.1: metric 'mean_iou' needs targets that are label maps, and data set 'set' declares no `palette`"),
        (f"direction: BtoA, {PALETTE}", "mean_iou", {}, "'mean_iou' needs targets that are label maps, and data set 'set' has them on the other side in this direction"),
        (PALETTE, "fcn_mean_iou", {"protocol": SCORER}, "'fcn_mean_iou' needs inputs that are label maps, and data set 'set' has them on the other side"),
        (f"direction: BtoA, {PALETTE}", "fcn_mean_iou", {"layout": "unpaired"}, r"'fcn_mean_iou' needs a segmentation network, and data set 'set' has no pairs to train one on; name its file in the protocol \(`scorer: segment\.py`\)"),
        ("", "adaptation", {}, "'adaptation' needs the class of each image, and data set 'set' does not tell it; declare it with `labels`"),
        ("", "diversity", {"methods": "copy, cyclegan"}, r":6: evaluation\.metrics\.0: metric 'diversity' is of multimodal methods \(.*munit.*\), and there is none here"),
        ("metrics: [kid, cycle]", "", {"methods": "copy, cvae"}, r":4: data\.set\.metrics\.1: metric 'cycle' is of bidirectional methods \(cyclegan, .*\), and there is none here"),
        ("labels: nowhere.csv", "", {}, r":4: data\.set: .*nowhere\.csv: cannot be read"),
        ('palette: {{a: "#000", b: [1, 1, 1]}}', "", {}, r':4: data\.set\.palette: a: write a colour as \[r, g, b\]'),
        ("", "", {"protocol": "{{extractor: vgg16-relu5_3, scorer: absent.py}}"}, r":6: evaluation\.protocol: scorer .*absent\.py: cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_named_with_its_place(benchmark_file: Write, data: str, metrics: str, options: dict[str, str], problem: str) -> None:  # fmt: skip
    with pytest.raises(I2IBenchError, match=problem) as caught:
        make(benchmark_file, data, metrics, **options)
    assert "\n" not in str(caught.value)


def test_labels_change_what_scores_are_kept_by_and_no_training(benchmark_file: Write) -> None:
    plain, labelled = make(benchmark_file, ""), make(benchmark_file, "labels: labels.csv")
    Path("labels.csv").write_text("name,class\n0,one\n1,zero\n")
    relabelled = make(benchmark_file, "labels: labels.csv")
    plans = (plain, labelled, relabelled)
    assert len({the_plan.trials[2].id for the_plan in plans}) == 1
    keys = [the_plan.trials[2].score_key(the_plan.protocol) for the_plan in plans]
    assert keys[0] == plain.protocol.key()
    assert len(set(keys)) == 3


def test_one_training_has_one_declaration(benchmark_file: Write) -> None:
    text = """
        seeds: 1
        data:
          plain: {{source: folder, path: set, layout: by-name, size: 32}}
          labelled: {{source: folder, path: set, layout: by-name, size: 32, labels: labels.csv}}
        methods: {{copy: }}
    """
    with pytest.raises(I2IBenchError, match=r":5: data\.labelled: these are the images of data set 'plain' with another palette or other labels"):  # fmt: skip
        plan.make(config.load(benchmark_file(text)))

"""The plan: which trials there are, what their ids depend on, and what is refused before anything runs."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from i2ibench import config, identity, plan
from i2ibench.data.source import SourceParams
from i2ibench.errors import ConfigError
from i2ibench.spec import TrialSpec

Write = Callable[..., Path]

TWO = """
    seeds: [0, 1]
    data:
      glyphs: {{size: 16}}
      {extra}
    methods:
      copy:
      oracle:
      tiny: {{method: tiny.py, {own}}}
    training: {{steps: 5, {training}}}
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(file: Path) -> plan.Plan:
    return plan.make(config.load(file))


def variant(write: Write, extra: str = "", own: str = "", training: str = "") -> plan.Plan:
    return make(write(TWO.replace("{extra}", extra).replace("{own}", own).replace("{training}", training)))


def ids(the_plan: plan.Plan) -> dict[tuple[str, int], str]:
    return {(spec.label, spec.seed): spec.id for spec in the_plan.trials}


def test_every_method_meets_every_seed_but_copy_needs_one(benchmark_file: Write) -> None:
    the_plan = variant(benchmark_file)
    assert [(s.label, s.seed) for s in the_plan.trials] == [
        ("copy", 0),
        ("oracle", 0),
        ("oracle", 1),
        ("tiny", 0),
        ("tiny", 1),
    ]
    assert [s.reference for s in the_plan.trials] == [True, True, True, False, False]
    assert len(set(ids(the_plan).values())) == 5


def test_planning_twice_gives_the_same(benchmark_file: Write) -> None:
    assert variant(benchmark_file).trials == variant(benchmark_file).trials


@pytest.mark.parametrize(
    "change",
    [
        {"own": "lr: 0.5"},
        {"training": "batch_size: 3"},
        {"training": "precision: bf16"},
        {"training": "compile: true"},
        {"own": "training: {{steps: 6}}"},
    ],
)
def test_what_changes_the_numbers_changes_the_id(benchmark_file: Write, change: dict[str, str]) -> None:
    before, after = ids(variant(benchmark_file)), ids(variant(benchmark_file, **change))
    assert before["tiny", 0] != after["tiny", 0]
    assert before["copy", 0] == after["copy", 0], "copy does not train"


@pytest.mark.parametrize(
    "training", ["log_every: 7", "checkpoint_every: 9", "limit_minutes: 3", "hang_seconds: null", "diffaugment: []"]
)
def test_what_does_not_change_the_numbers_does_not_change_the_id(benchmark_file: Write, training: str) -> None:
    assert ids(variant(benchmark_file)) == ids(variant(benchmark_file, training=training))


def test_the_methods_code_counts_and_its_comments_do_not(
    benchmark_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    def fresh(text: str) -> str:
        file = benchmark_file(TWO.replace("{extra}", "").replace("{own}", "").replace("{training}", ""))
        method = file.parent / "tiny.py"
        method.write_text(method.read_text() if not text else method.read_text().replace(*text.split(" => ")))
        for name in [name for name in sys.modules if name.startswith("i2ibench_file_")]:
            monkeypatch.delitem(sys.modules, name)
        return ids(make(file))["tiny", 0]

    original = fresh("")
    assert fresh('"""A network => # a comment\n"""Another network') == original
    assert fresh("Dropout(0.1) => Dropout(0.2)") != original


def test_a_spec_survives_json(benchmark_file: Write) -> None:
    for spec in variant(benchmark_file).trials:
        assert TrialSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_method_settings_go_before_data_settings_before_the_files(benchmark_file: Write) -> None:
    text = """
        data: {{glyphs: {{size: 16, training: {{steps: 7, batch_size: 5}}}}}}
        methods: {{tiny: {{method: tiny.py, training: {{steps: 8}}}}}}
        training: {{steps: 6, log_every: 3}}
    """
    (spec, *_) = make(benchmark_file(text)).trials
    assert (spec.training["steps"], spec.training["batch_size"], spec.training["log_every"]) == (8, 5, 3)


def test_the_files_training_goes_before_a_presets(benchmark_file: Write) -> None:
    text = "data: {{glyphs: }}\nmethods: {{pix2pix: {{preset: paper}}}}\n{more}"
    assert make(benchmark_file(text.replace("{more}", ""))).trials[0].training["batch_size"] == 1, "the paper's"
    set_here = make(benchmark_file(text.replace("{more}", "training: {{batch_size: 4}}")))
    assert set_here.trials[0].training["batch_size"] == 4
    assert set_here.trials[0].training["steps"] > 1000, "still the paper's"


def unpaired_folder(folder: Path) -> Path:
    from PIL import Image

    for part, count in (("trainA", 3), ("trainB", 4), ("testA", 2), ("testB", 2)):
        (folder / part).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (16, 16), (i * 40, 0, 0)).save(folder / part / f"{part}{i}.png")
    return folder


def test_paired_methods_skip_unpaired_data_and_say_why(benchmark_file: Write, tmp_path: Path) -> None:
    unpaired_folder(tmp_path / "photos")
    the_plan = variant(benchmark_file, extra="photos: {{source: folder, path: photos, layout: unpaired, size: 16}}")
    assert [(s.label, s.data) for s in the_plan.skipped] == [("tiny", "photos")]
    assert "pair" in the_plan.skipped[0].reason
    assert the_plan.data["photos"].metrics == ("fid", "kid"), "by default, the metrics that the data allows"
    by_label = {spec.label: spec for spec in the_plan.trials if spec.data == "glyphs"}
    assert "ssim" in the_plan.metrics(by_label["tiny"])
    assert "ssim" not in the_plan.metrics(by_label["oracle"]), "its images have no targets of their own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {{glyphs: }}\nmethods: {{pix2pics: }}", r":2: methods\.pix2pics: unknown method 'pix2pics'; did you mean 'pix2pix'\?"),
        ("data: {{glyphs: }}\nmethods: {{x: {{method: nope.py}}}}", r":2: methods\.x\.method: .*nope\.py: there is no such file"),
        ("data: {{glyfs: }}\nmethods: {{copy: }}", r":1: data\.glyfs: unknown kind of data set 'glyfs'; did you mean 'glyphs'\?"),
        ("data: {{glyphs: {{sice: 32}}}}\nmethods: {{copy: }}", r":1: data\.glyphs\.sice: unknown key 'sice'; did you mean 'size'\?"),
        ("data: {{glyphs: {{size: big}}}}\nmethods: {{copy: }}", r":1: data\.glyphs\.size: should be a whole number, got 'big'"),
        ("data: {{glyphs: }}\nmethods: {{pix2pix: {{presets: tiny}}}}", r":2: methods\.pix2pix\.presets: unknown key 'presets'; did you mean 'preset'\?"),
        ("data: {{glyphs: {{metric: [fid]}}}}\nmethods: {{copy: }}", r":1: data\.glyphs\.metric: unknown key 'metric'; did you mean 'metrics'\?"),
        ("data: {{glyphs: }}\nmethods: {{pix2pix: {{widht: 3}}}}", r":2: methods\.pix2pix\.widht: unknown key 'widht'; did you mean 'width'\?"),
        ("data: {{glyphs: }}\nmethods: {{pix2pix: {{width: wide}}}}", r":2: methods\.pix2pix\.width: should be a whole number, got 'wide'"),
        ("data: {{glyphs: }}\nmethods: {{pix2pix: {{preset: huge}}}}", r":2: methods\.pix2pix\.preset: unknown preset 'huge'"),
        ("data: {{glyphs: }}\nmethods:\n  copy:\n    freeze: generator", r":4: methods\.copy\.freeze: 'copy' trains nothing, so this does nothing; drop it$"),
        ("data: {{glyphs: }}\nmethods: {{oracle: {{init_from: photos/trainA0.png}}}}", r":2: methods\.oracle\.init_from: 'oracle' trains nothing"),
        ("data: {{glyphs: {{size: 50}}}}\nmethods: {{pix2pix: }}", r":2: methods\.pix2pix: .*50"),
        ("data: {{glyphs: }}\nmethods: {{copy: }}\nevaluation: {{metrics: [fidd]}}", r":3: evaluation\.metrics\.0: unknown metric 'fidd'; did you mean 'fid'\?"),
        ("data: {{glyphs: }}\nmethods: {{copy: }}\nevaluation: {{protocol: ofline}}", r":3: evaluation\.protocol: unknown protocol 'ofline'; did you mean 'offline'\?"),
        ("data: {{glyphs: {{training: {{stepz: 1}}}}}}\nmethods: {{copy: }}", r":1: data\.glyphs\.training\.stepz: unknown key"),
        ("data: {{f: {{source: folder, path: photos, layout: unpaired, size: 16, metrics: [ssim]}}}}\nmethods: {{copy: }}", r":1: data\.f\.metrics\.0: metric 'ssim' compares .* unpaired"),
        ("data:\n  f: {{source: folder, path: one, layout: unpaired}}\nmethods: {{copy: }}", r":2: data\.f: the test images of B are 1, and scores need at least 2$"),
        ("data: {{glyphs: {{size: 8, metrics: [ssim]}}}}\nmethods: {{copy: }}", r":1: data\.glyphs\.metrics\.0: metric 'ssim' needs images of 11 pixels"),
        ("data: {{glyphs: {{metrics: []}}}}\nmethods: {{copy: }}", r":1: data\.glyphs\.metrics: name at least one"),
        ("data: {{f: {{source: folder, path: absent, layout: unpaired}}}}\nmethods: {{copy: }}", r":1: data\.f: .*absent"),
        ("data: {{f: {{source: folder, path: photos}}}}\nmethods: {{copy: }}", r":1: data\.f: the key 'layout' is required; available: side-by-side, by-name, unpaired, hidden-pairs, domains, images$"),
        ("data: {{f: {{source: folder, path: photos, layout: domains, pair: [a]}}}}\nmethods: {{copy: }}", r":1: data\.f\.pair: item 2 of the list is missing$"),
        ("data: {{f: {{source: folder, path: photos, layout: domains, pair: [a, b, c]}}}}\nmethods: {{copy: }}", r":1: data\.f\.pair: should be a list of 2, not of 3$"),
        ("data: {{f: {{source: folder, path: photos, layout: images, task: {{name: super-resolve, scale: x}}}}}}\nmethods: {{copy: }}", r":1: data\.f\.task\.scale: unknown value 'x'; available: 2, 4, 8$"),
    ],
)  # fmt: skip
def test_errors_name_the_place(benchmark_file: Write, tmp_path: Path, text: str, message: str) -> None:
    unpaired_folder(tmp_path / "photos")
    (unpaired_folder(tmp_path / "one") / "testB/testB1.png").unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Exception, match=message) as caught:
        make(benchmark_file(text))
    assert "\n" not in str(caught.value)
    written = [p for p in sorted(tmp_path.rglob("*")) if p not in before and p.suffix not in (".yaml", ".py")]
    assert written == [], "nothing is left behind"


def test_grid_trials_differ_and_share_what_is_equal(benchmark_file: Write) -> None:
    text = """
        seeds: 1
        data: {{glyphs: {{size: 16}}}}
        methods:
          tiny: {{method: tiny.py, lr: {{grid: [0.1, 0.2]}}}}
          again: {{method: tiny.py, lr: 0.1}}
    """
    first, second, again = make(benchmark_file(text)).trials
    assert (first.label, second.label) == ("tiny lr=0.1", "tiny lr=0.2")
    assert first.id != second.id
    assert first.id == again.id, "the same settings under another label are the same trial"


def test_specs_are_frozen(benchmark_file: Write) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        variant(benchmark_file).trials[0].seed = 3  # type: ignore[misc]


def test_an_unknown_protocol_on_the_command_line(benchmark_file: Write) -> None:
    with pytest.raises(ConfigError, match="did you mean 'standard'"):
        plan.make(config.load(benchmark_file()), "standart")


def test_a_key_of_data_sets_that_came_later_is_in_the_id_only_where_it_is_used(benchmark_file: Write) -> None:
    keys = SourceParams(size=16).model_dump(mode="json")
    assert set(identity._told(keys)) == {"size", "direction", "flip", "load_size", "fit"}
    before = ids(variant(benchmark_file))
    file = benchmark_file(TWO.replace("{extra}", "").replace("{own}", "").replace("{training}", ""))
    file.write_text(file.read_text().replace("{size: 16}", "{size: 16, jitter: 0.1}"))
    assert not set(ids(make(file)).values()) & set(before.values())


@pytest.mark.parametrize("name", ["multi-domain", "shapes", "sim2real"])
def test_benchmarks_that_need_no_download_can_be_planned(name: str) -> None:
    file = Path(__file__).parents[1] / "benchmarks" / f"{name}.yaml"
    the_plan = make(file)
    assert the_plan.name == name
    assert not the_plan.skipped


def test_a_method_whose_file_is_gone_comes_back_from_what_its_trials_keep(
    benchmark_file: Write, tmp_path: Path
) -> None:
    file = benchmark_file()
    before = [spec.id for spec in make(file).trials]
    kept = [tmp_path / "runs" / trial / "method.py" for trial in (before[1], "tiny-glyphs-s0-of-old")]
    for i, copy in enumerate(kept):
        copy.parent.mkdir(parents=True)
        copy.write_bytes((tmp_path / "tiny.py").read_bytes())
        os.utime(copy, (1000 - i,) * 2)
    (tmp_path / "tiny.py").unlink()
    with pytest.raises(ConfigError, match=rf"no such file; its trials keep copies: put one back, such as {kept[0]}$"):
        make(file)
    (tmp_path / "tiny.py").write_bytes(kept[0].read_bytes())
    assert [spec.id for spec in make(file).trials] == before

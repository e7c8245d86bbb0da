"""The benchmark file: defaults, grids, and one-line errors that name file:line, the key and the nearest valid name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2ibench import config, plan
from i2ibench.config import Training
from i2ibench.entries import _spread
from i2ibench.errors import ConfigError
from i2ibench.validation import overlay
from i2ibench.yamlfile import Document

LEAST = "data: {glyphs: }\nmethods: {copy: }\n"


def load(tmp_path: Path, text: str) -> config.Config:
    (tmp_path / "b.yaml").write_text(text)
    return config.load(tmp_path / "b.yaml")


def test_everything_but_data_and_methods_has_a_default(tmp_path: Path) -> None:
    loaded = load(tmp_path, LEAST)
    assert loaded.name == "b", "the file's name"
    assert loaded.header.seeds == (0, 1)
    assert loaded.header.training == Training()
    assert [entry.label for entry in loaded.methods] == ["copy"]


def test_a_script_may_say_where_a_file_lies_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    load(tmp_path, LEAST)
    assert config.load(Path("~/b.yaml")).base == tmp_path


@pytest.mark.parametrize(("text", "seeds"), [("3", (0, 1, 2)), ("[7, 5]", (7, 5))])
def test_seeds_are_a_list_or_a_number(tmp_path: Path, text: str, seeds: tuple[int, ...]) -> None:
    assert load(tmp_path, f"seeds: {text}\n{LEAST}").header.seeds == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "methds: {copy: }\ndata: {glyphs: }\nmethods: {copy: }",
            r"b\.yaml:1: methds: unknown key 'methds'; did you mean 'methods'\?",
        ),
        (LEAST + "training:\n  step: 3", r"b\.yaml:4: training\.step: unknown key 'step'; did you mean 'steps'\?"),
        (LEAST + "training:\n  steps: many", r"b\.yaml:4: training\.steps: should be a whole number, got 'many'"),
        (LEAST + "training: {steps: -1}", r"b\.yaml:3: training\.steps: .*greater than or equal to 0, got -1"),
        *(
            (
                LEAST + f"{section}: {value}",
                rf"b\.yaml:3: {section}: should be a mapping \(key: value\)(, got {said})?$",
            )
            for section in ("training", "resources", "evaluation", "slurm")
            for value, said in (("5", "5"), ("[a]", "x"), ("", "nothing"))
        ),
        (LEAST + "evaluation: {resources: 5}", r"evaluation\.resources: should be a mapping \(key: value\), got 5$"),
        (LEAST + "training: {compile: yess}", r"training\.compile: should be true or false, or auto, got 'yess'$"),
        (LEAST + "training: {precision: [a]}", r"training\.precision: should be one value, not a list"),
        (LEAST + "name: 2024", r'b\.yaml:3: name: should be text \("..."\), got 2024$'),
        (LEAST + "seeds: [1, 1]", r"b\.yaml:3: seeds: seeds must be different"),
        (LEAST + "seeds: []", r"b\.yaml:3: seeds: "),
        (LEAST + "seeds: -1", r"b\.yaml:3: seeds: should be a list of seeds, or how many \(1 or more\), got -1"),
        (LEAST + "seeds: two", r"b\.yaml:3: seeds: should be a list of seeds, or how many \(1 or more\), got 'two'"),
        (LEAST + "name: a/b", r"b\.yaml:3: name: must be usable as a folder's name"),
        (LEAST + "resources: {gpus: lots}", r"b\.yaml:3: resources\.gpus: .*auto.*, got 'lots'"),
        (LEAST + "resources: {memory: 8XB}", r"b\.yaml:3: resources\.memory: .*unit.*, got '8XB'"),
        (LEAST + "resources: {gpus: 1.5}", r"b\.yaml:3: resources\.gpus: .*whole"),
        (LEAST + "training: {precision: fp8}", r"b\.yaml:3: training\.precision: .*'fp8'"),
        (LEAST + "resources: {gpus: .inf}", r"b\.yaml:3: resources\.gpus: .*finite"),
        (LEAST + "training: {steps: true}", r"b\.yaml:3: training\.steps: should not be true or false"),
        (
            LEAST + "seeds: 20240101",
            r"b\.yaml:3: seeds: a number says .* for this one seed write \[20240101\], got 20240101$",
        ),
        (LEAST + "seeds: true", r"b\.yaml:3: seeds: should not be true or false"),
        (LEAST + "seeds: [99999999999]", r"b\.yaml:3: seeds: seeds must be"),
        (LEAST + "training: {steps: {grid: [1, 2]}}", r"b\.yaml:3: training\.steps: a grid may stand in an entry"),
        (LEAST + 'name: "a\\nb"', r"b\.yaml:3: name: must be usable as a folder's name"),
        ("data: {glyphs: }\nmethods: {x: {lr: {grid: 3}}}", r"b\.yaml:2: methods\.x: lr: a grid is a list"),
        (
            "data: {glyphs: }\nmethods: {x: {lr: {grid: [1, 1]}}}",
            r"b\.yaml:2: methods\.x: two entries would be called 'x lr=1'",
        ),
        ('data: {glyphs: }\nmethods: {"a\\eb": }', r"b\.yaml:2: methods\..*printable"),
        (LEAST + "evaluation: {metrics: psnr}", r"b\.yaml:3: evaluation\.metrics: should be a list"),
        ("data: glyphs\nmethods: {copy: }", r"b\.yaml:1: data: should be a mapping"),
        ("data: {glyphs: }", r"b\.yaml:1: the key 'methods' is required"),
        ("data: {glyphs: }\nmethods: {}", r"b\.yaml:2: methods: name at least one"),
        ("data: {glyphs: }\nmethods: [copy]", r"b\.yaml:2: methods: "),
        ("data: {glyphs: }\nmethods: {copy: 3}", r"b\.yaml:2: methods\.copy: "),
        ("- a\n- b", r"b\.yaml:1: a benchmark file is a mapping"),
        ("just text", r"b\.yaml:1: a benchmark file is a mapping"),
    ],
)
def test_errors_are_one_line_that_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="folder"):
        config.load(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        config.load(tmp_path / "binary.yaml")


def test_grids_make_one_entry_per_combination(tmp_path: Path) -> None:
    text = """
data: {glyphs: {size: {grid: [32, 64]}}}
methods:
  pix2pix: {lambda_l1: {grid: [10, 100]}, training: {steps: {grid: [5, 6]}}}
"""
    loaded = load(tmp_path, text)
    assert [entry.label for entry in loaded.data] == ["glyphs size=32", "glyphs size=64"]
    assert [entry.label for entry in loaded.methods] == [
        "pix2pix lambda_l1=10 steps=5",
        "pix2pix lambda_l1=10 steps=6",
        "pix2pix lambda_l1=100 steps=5",
        "pix2pix lambda_l1=100 steps=6",
    ]
    assert loaded.methods[2].own == {"lambda_l1": 100}
    assert loaded.methods[2].keys.training == {"steps": 5}
    assert loaded.methods[2].key == "pix2pix"


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=2), st.lists(st.integers(), min_size=1, max_size=3, unique=True), max_size=3
    )
)
def test_a_grid_has_as_many_different_entries_as_its_sides_multiply_to(sides: dict[str, list[int]]) -> None:
    spread = _spread({key: {"grid": values} for key, values in sides.items()})
    product = 1
    for values in sides.values():
        product *= len(values)
    assert len({label for label, _ in spread}) == len(spread) == product
    assert all(entry[key] in values for _, entry in spread for key, values in sides.items())


def test_overlay_takes_only_what_a_layer_sets() -> None:
    document = Document("", "f.yaml")
    merged = overlay(
        Training, Training(), ({"steps": 5}, ()), ({"batch_size": 2}, ()), ({"steps": 9}, ()), document=document
    )
    assert merged == Training(steps=9, batch_size=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("standart", ":4: evaluation.protocol: unknown protocol 'standart'; did you mean 'standard'?"),
        ("\n    extractr: vgg16-relu5_3", ":5: evaluation.protocol.extractr: unknown key 'extractr'; did you mean 'extractor'?"),
        ("\n    name: mine\n    extractor: vgg16", ":6: evaluation.protocol.extractor: unknown value 'vgg16'; did you mean 'vgg16-relu5_3'?"),
        ("{extractor: vgg16-relu5_3, input_size: 8}", ":4: evaluation.protocol.input_size: should be greater than or equal to 32, got 8"),
        ("{input_size: 64}", ":4: evaluation.protocol: the key 'extractor' is required"),
        ("{name: clean, extractor: vgg16-relu5_3}", ":4: evaluation.protocol: name: 'clean' is a named protocol already"),
        ("7", ":4: evaluation.protocol: "),
    ],
)  # fmt: skip
def test_a_wrong_protocol_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan.make(load(tmp_path, f"{LEAST}evaluation:\n  protocol: {text}"))
    assert f"b.yaml{message}" in str(caught.value)
    assert "\n" not in str(caught.value)

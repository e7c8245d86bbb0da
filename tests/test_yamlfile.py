"""YAML with line numbers, read as YAML 1.2 means it."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from i2ibench.errors import ConfigError
from i2ibench.yamlfile import Document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("2.5E+3", 2500.0),
        ("10:30", "10:30"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("0x1F", 31),
        ("-.inf", float("-inf")),
        ("~", None),
        ("", None),
        ("2026-11-21", "2026-11-21"),
        ("'1'", "1"),
    ],
)
def test_plain_values_are_read_as_yaml_1_2_means_them(text: str, value: object) -> None:
    content = Document(f"key: {text}", "f.yaml").content
    assert content == {"key": value}
    assert type(content["key"]) is type(value)


def test_where_names_file_line_and_key() -> None:
    document = Document("a:\n  b: 1\n  c:\n    - x\n    - y\n", "f.yaml")
    assert document.where(("a", "c", 1)) == "f.yaml:5: a.c.1"
    assert document.where(("a", "b")) == "f.yaml:2: a.b"
    assert document.where(("a", "absent", "deeper")) == "f.yaml:1: a", "the nearest ancestor that exists"


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"f\.yaml:3: the key 'a' stands twice"):
        Document("a: 1\nb: 2\na: 3\n", "f.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "a: [1, 2",
        "a: 'x",
        "\ta: 1",
        "a: b: c",
        "a: !!python/object:os.system {}",
        "a: *nobody",
        "a: \x01",
        "a: &a {x: *a}",
        "a: " + "[" * 2000,
        "a: !!int foo",
        "? [x, y]\n: 1",
    ],
)
def test_broken_yaml_is_one_line_with_its_place(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^f\.yaml") as caught:
        Document(text, "f.yaml")
    assert "\n" not in str(caught.value)


def test_anchors_and_merges_work() -> None:
    document = Document("base: &base {x: 1}\nother:\n  <<: *base\n  y: 2\n", "f.yaml")
    assert document.content["other"] == {"x": 1, "y": 2}
    overridden = Document("base: &base {x: 1}\nother:\n  <<: *base\n  x: 3\n", "f.yaml")
    assert overridden.content["other"] == {"x": 3}, "what a mapping says itself goes before what it merges"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="ascii", exclude_characters="0123456789"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)  # how busy the machine is says nothing of a reader
@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=5), values, max_size=4))
def test_what_pyyaml_writes_is_read_back(content: dict) -> None:
    """PyYAML quotes by YAML 1.1's rules, the stricter ones but for numbers such as 0E0."""
    assert Document(yaml.safe_dump(content), "f.yaml").content == content

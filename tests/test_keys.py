"""Keys in words: defaults as YAML would take them, and every word that a key takes."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from i2ibench import keys, registry
from i2ibench.config import Resources
from i2ibench.settings import Settings


class Some(Settings):
    needed: int
    nothing: str | None = None
    several: tuple[int, ...] = (1, 2)
    on: bool = True
    shape: Literal["round", "square"] | None = Field(None, description="of the brush")
    known: Literal["round", "square"] = Field("round", description="round: as a coin; square: as a field")
    parts: tuple[Literal["a", "b"], ...] = ()
    alone: Literal["alone"] = "alone"
    both: Literal[True, "auto"] = Field("auto", description="auto: not yet")
    inner: Resources = Resources(cpus=2)


@pytest.mark.parametrize(
    ("key", "default", "meaning"),
    [
        ("needed", "required", ""),
        ("nothing", "none", ""),
        ("several", "`[1, 2]`", ""),
        ("on", "`true`", ""),
        ("shape", "none", "of the brush (round or square)"),
        ("known", "`round`", "round: as a coin; square: as a field"),
        ("parts", "none", " (a or b)"),
        ("alone", "`alone`", ""),
        ("both", "`auto`", "auto: not yet"),
        ("inner", "`{cpus: 2, gpus: 1.0, memory: null, retries: 3}`", ""),
    ],
)
def test_a_key_in_words(key: str, default: str, meaning: str) -> None:
    field = Some.model_fields[key]
    assert (keys.default(field, "`"), keys.meaning(field)) == (default, meaning)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("aé: #-1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab1", min_size=1), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text("ab1", min_size=1), st.lists(plain, max_size=3), max_size=3))
def test_what_is_written_reads_as_what_it_was(value: dict[str, Any]) -> None:
    text = keys.written(value)
    assert "\n" not in text
    assert yaml.safe_load(text) == value


@pytest.mark.parametrize("name", sorted(registry.methods()))
def test_presets_are_written_as_a_benchmark_file_takes_them(name: str) -> None:
    method = registry.method(name)
    for preset in method.presets.values():
        values = yaml.safe_load(keys.written(preset))
        values.pop("training", None)
        assert method.Params(**values) == method.Params(**{k: v for k, v in preset.items() if k != "training"})

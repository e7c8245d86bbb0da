"""What a key of a benchmark file takes, in words: for the listing commands and the tables of the documentation."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from textwrap import shorten
from typing import Any

import yaml
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

LONGEST = 60  # characters of a default
SAID = "default: "  # in the end of a description: what stands in for a value that is left out


def default(field: FieldInfo, quote: str = "") -> str:
    """What a key is where it is left out, as YAML writes it between `quote`s, or in words: "required" or "none" too."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value in (None, "", {}, ()):
        return (field.description or "").partition(SAID)[2] or "none"
    return f"{quote}{shorten(written(value), LONGEST, placeholder=' ...')}{quote}"


def written(value: Any) -> str:
    """A value as one would write it into a benchmark file."""
    # Tuples become lists, and models mappings.
    plain = TypeAdapter(Any).dump_python(value, mode="json")
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def meaning(field: FieldInfo) -> str:
    """The description of a key, without its default; with the words that it takes, where it names not all of them."""
    text = (field.description or "").partition(SAID)[0].removesuffix("; ")
    options = list(_options(field.annotation))
    if len(options) < 2 or all(re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text) for option in options):
        return text
    return f"{text} ({', '.join(options[:-1])} or {options[-1]})"


def _options(annotation: Any) -> Iterator[str]:
    """The words of an annotation such as Literal["a", "b"], or of a list of them; what is true or false is none."""
    if typing.get_origin(annotation) is typing.Literal:
        yield from (written(option) for option in typing.get_args(annotation) if not isinstance(option, bool))
        return
    for part in typing.get_args(annotation):
        yield from _options(part)

"""Checks a part of a YAML file against its model: an error is one line with file:line, key and nearest name."""

from __future__ import annotations

import re
import typing
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from i2ibench import yamlfile
from i2ibench.errors import ConfigError
from i2ibench.registry import did_you_mean

Model = TypeVar("Model", bound=BaseModel)
# YAML's words for what pydantic calls by Python's.
WORDS = {"dict_type": "should be a mapping (key: value)", "tuple_type": "should be a list ([a, b])"}


def validate(
    model: type[Model],
    values: Mapping[str, Any],
    document: yamlfile.Document,
    path: yamlfile.Path,
    beside: Collection[str] = (),
) -> Model:
    """`model(**values)`, with pydantic's first complaint turned into one line that names its place in the file.

    `beside` are keys that may stand there too, and another model takes: an unknown key may be one of them, misspelt.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as failure:
        errors = failure.errors(include_url=False)
        error = next((e for e in errors if e["type"] != "missing"), errors[0])  # a key may be missing by a typing error
        raise ConfigError(f"{document.where((*path, *error['loc']))}: {_explain(error, model, beside)}") from None


def overlay(
    model: type[Model], base: Model, *layers: tuple[Mapping[str, Any], yamlfile.Path], document: yamlfile.Document
) -> Model:
    """`base` with the keys of each layer laid over it in turn; every layer is checked at its own place in the file."""
    values = base.model_dump()
    for layer, path in layers:
        checked = validate(model, layer, document, path)
        values |= checked.model_dump(include=checked.model_fields_set)
    return model.model_validate(values)


def _explain(error: Any, model: type[BaseModel], beside: Collection[str]) -> str:
    kind, loc, given = error["type"], error["loc"], error.get("input")
    if kind == "extra_forbidden":
        known = [*_fields_at(model, loc[:-1]), *(beside if len(loc) == 1 else ())]
        return f"unknown key '{loc[-1]}'; {did_you_mean(str(loc[-1]), sorted(known))}"
    if kind == "missing":
        return f"the key '{loc[-1]}' is required"
    if isinstance(given, Mapping) and set(given) == {"grid"}:
        return "a grid may stand in an entry of `methods` or `data`, not here"
    if kind == "literal_error" and isinstance(given, str):
        options = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return f"unknown value '{given}'; {did_you_mean(given, options)}"
    if isinstance(given, list) and kind in ("float_type", "int_type", "bool_type", "string_type"):
        return f"should be one value, not a list; in an entry of `methods` or `data`, {{grid: {given}}} tries each"
    if kind in WORDS:
        return WORDS[kind] + (f", got {given!r}" if isinstance(given, str | int | float) else "")
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{message}, got {given!r}" if isinstance(given, str | int | float | bool | None) else message


def _fields_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that a mapping at `loc` may have; a part of `loc` that names no key picks one model of a union."""
    models = [model]
    for part in loc:
        inside = [
            found for m in models if part in m.model_fields for found in _models(m.model_fields[str(part)].annotation)
        ]
        models = (
            inside
            or [m for m in models if "name" in m.model_fields and m.model_fields["name"].default == part]
            or models
        )
    return sorted({key for m in models for key in m.model_fields})


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models in an annotation, such as a union of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]

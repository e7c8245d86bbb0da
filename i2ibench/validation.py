"""Checks a part of a YAML file against its model: an error is one line with file:line, key and nearest name."""

from __future__ import annotations

import re
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from i2ibench import yamlfile
from i2ibench.errors import ConfigError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)
# YAML's words for what pydantic calls by Python's: kind of error -> what should stand there.
WORDS = {
    **dict.fromkeys(("dict_type", "model_type"), "a mapping (key: value)"),
    "tuple_type": "a list ([a, b])",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "string_type": 'text ("...")',
    "byte_size": "a size such as 8GB",
}


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
        place = _place(error["loc"], values)
        same = [e for e in errors if _place(e["loc"], values) == place]
        raise ConfigError(f"{document.where((*path, *place))}: {_explain(error, same, model, beside)}") from None


def overlay(
    model: type[Model], base: Model, *layers: tuple[Mapping[str, Any], yamlfile.Path], document: yamlfile.Document
) -> Model:
    """`base` with the keys of each layer laid over it in turn; every layer is checked at its own place in the file."""
    values = base.model_dump()
    for layer, path in layers:
        checked = validate(model, layer, document, path)
        values |= checked.model_dump(include=checked.model_fields_set)
    return model.model_validate(values)


def wrong_default(model: type[BaseModel]) -> str:
    """What is wrong with the first default that its own field would not take, with its name; "" if all are right.

    pydantic takes a default as it stands: one of another type would only show where the number is used.
    """
    if any(field.is_required() for field in model.model_fields.values()):
        return ""  # validators may look at what only a file can give
    given = {key: field.default for key, field in model.model_fields.items() if not field.default_factory}
    try:
        model.model_validate(given)
    except ValidationError as failure:
        errors = [error for error in failure.errors(include_url=False) if error["loc"][:1] and error["loc"][0] in given]
        if errors:
            key = errors[0]["loc"][0]
            same = [error for error in errors if error["loc"][0] == key]
            return f"the default of {key} {_explain(errors[0], same, model, ())}"
    return ""


def _place(loc: tuple[str | int, ...], values: Any) -> tuple[str | int, ...]:
    """The keys of the file in `loc`, whose other parts each pick one type of a union."""
    place: list[str | int] = []
    for part in loc:
        if part in values if isinstance(values, Mapping) else isinstance(values, list) and part in range(len(values)):
            place.append(part)
            values = values[part]
    return tuple(place)


def _explain(error: Any, same: Sequence[Any], model: type[BaseModel], beside: Collection[str]) -> str:
    """What is wrong, and what would be right; `same` are all the complaints about one value that a union may have."""
    kind, loc, given = error["type"], error["loc"], error.get("input")
    if kind == "extra_forbidden":
        known = [*_fields_at(model, loc[:-1]), *(beside if len(loc) == 1 else ())]
        return f"unknown key '{loc[-1]}'; {did_you_mean(str(loc[-1]), sorted(known))}"
    if kind == "missing":
        return _missing(loc, model)
    if kind == "too_long":
        return f"should be a list of {error['ctx']['max_length']}, not of {error['ctx']['actual_length']}"
    if isinstance(given, Mapping) and set(given) == {"grid"}:
        return "a grid may stand in an entry of `methods` or `data`, not here"
    if isinstance(given, list) and kind in ("float_type", "int_type", "bool_type", "string_type", "literal_error"):
        return f"should be one value, not a list; in an entry of `methods` or `data`, {{grid: {given}}} tries each"
    if kind == "literal_error" and isinstance(given, str) and len(same) == 1:
        return f"unknown value '{given}'; {did_you_mean(given, _options(error))}"
    if _wanted(error):
        message = f"should be {', or '.join(dict.fromkeys(words for e in same if (words := _wanted(e))))}"
    else:
        message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        message = message[0].lower() + message[1:]
    if given is None or isinstance(given, bool):
        return f"{message}, got {'nothing' if given is None else str(given).lower()}"
    return f"{message}, got {given!r}" if isinstance(given, str | int | float) else message


def _wanted(error: Any) -> str:
    """What should stand in place of a value of another type; empty where the type is not what is wrong."""
    if error["type"] == "literal_error":
        options = _options(error)
        return options[0] if len(options) == 1 else f"one of {', '.join(options)}"
    return WORDS.get(error["type"], "")


def _options(error: Any) -> list[str]:
    """The values that pydantic would have taken, of its "'a', 'b' or 'c'"."""
    return [option.strip("'") for option in re.split(", | or ", error["ctx"]["expected"])]


def _missing(loc: tuple[str | int, ...], model: type[BaseModel]) -> str:
    key = loc[-1]
    if isinstance(key, int):
        return f"item {key + 1} of the list is missing"
    fields = [m.model_fields[key] for m in _models_at(model, loc[:-1]) if key in m.model_fields]
    options = [str(option) for field in fields if typing.get_origin(field.annotation) is typing.Literal
               for option in typing.get_args(field.annotation)]  # fmt: skip
    return f"the key '{key}' is required" + (f"; available: {', '.join(options)}" if options else "")


def _fields_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that a mapping at `loc` may have."""
    return sorted({key for m in _models_at(model, loc) for key in m.model_fields})


def _models_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[type[BaseModel]]:
    """The models that a mapping at `loc` may be of; a part of `loc` that names no key picks one model of a union."""
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
    return models


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models in an annotation, such as a union of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]

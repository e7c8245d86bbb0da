"""The entries of `data:` and `methods:` in a benchmark file: keys that all of them have, and grids spread out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import Field, field_validator, model_validator

from i2ibench import yamlfile
from i2ibench.errors import ConfigError
from i2ibench.keys import written
from i2ibench.settings import Settings
from i2ibench.validation import validate


class DataKeys(Settings):
    """Keys of a `data:` entry that are not the source's own."""

    source: str = Field("", description="kind of data set; default: the entry's label")
    metrics: tuple[str, ...] | None = Field(None, description="as in evaluation, for this data set alone")
    training: dict[str, Any] = Field(default_factory=dict, description="overrides of training for this data set")
    resources: dict[str, Any] = Field(default_factory=dict, description="overrides of resources for this data set")


class InitFrom(Settings):
    """Weights that a training begins with: those of a file, or of another method of the same benchmark."""

    file: str | None = Field(None, description="weights.pt of a trial, a checkpoint, or a .safetensors file")
    method: str | None = Field(None, description="label of a method of this benchmark, trained with the same seed")
    data: str | None = Field(None, description="label of the data set that it is trained on; default: the same")
    partial: bool = Field(False, description="take what fits in name and shape, and leave the rest as it is")

    @model_validator(mode="after")
    def _one_of_them(self) -> InitFrom:
        if (self.file is None) == (self.method is None) or (self.data is not None and self.method is None):
            raise ValueError("should be a file, or {method: LABEL} with or without data: LABEL")
        return self


class MethodKeys(Settings):
    """Keys of a `methods:` entry that are not the method's own."""

    method: str = Field("", description="a registered method or a .py file; default: the entry's label")
    preset: str | None = Field(None, description="one of the method's presets (tiny, small, paper)")
    init_from: InitFrom | None = Field(
        None, description="weights to begin with: a file, or {method: LABEL, data: LABEL} of this benchmark"
    )
    freeze: tuple[str, ...] = Field(
        (), description="parameters to hold fixed, such as [generator.head, generator.body.*]"
    )
    data: tuple[str, ...] | None = Field(None, description="labels of the data sets that it runs on; default: all")
    training: dict[str, Any] = Field(default_factory=dict, description="overrides of training for this method")
    resources: dict[str, Any] = Field(default_factory=dict, description="overrides of resources for this method")

    @field_validator("init_from", mode="before")
    @classmethod
    def _a_file(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value

    @field_validator("freeze", mode="before")
    @classmethod
    def _one_pattern_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


KeysModel = TypeVar("KeysModel", DataKeys, MethodKeys)


@dataclass(frozen=True)
class Entry:
    """One data set or method of the file, after grids are spread out: `keys` are the harness's, `own` the plug-in's."""

    label: str
    path: yamlfile.Path  # where it stands in the file
    keys: Any
    own: dict[str, Any]

    @property
    def key(self) -> str:
        """Its key in the file: the label without a grid's suffix."""
        return str(self.path[-1])


def read(section: str, raw: Mapping[str, Any], keys: type[KeysModel], document: yamlfile.Document) -> tuple[Entry, ...]:
    """The entries of a section of the file, `data` or `methods`, with grids spread out.

    Raises:
        ConfigError: with the place in the file.
    """
    entries: list[Entry] = []
    for label, body in raw.items():
        path = (section, label)
        try:
            spread = _spread(body or {})
        except ValueError as error:
            raise ConfigError(f"{document.where(path)}: {error}") from None
        for suffix, values in spread:
            name = f"{label} {suffix}".strip()
            if not label.strip() or not name.isprintable():
                raise ConfigError(f"{document.where(path)}: a label must be one line of printable text")
            if any(entry.label == name for entry in entries):
                raise ConfigError(f"{document.where(path)}: two entries would be called '{name}'; rename one of them")
            reserved = {k: v for k, v in values.items() if k in keys.model_fields}
            own = {k: v for k, v in values.items() if k not in keys.model_fields}
            entries.append(Entry(name, path, validate(keys, reserved, document, path), own))
    return tuple(entries)


def _said(value: Any) -> str:
    return value if isinstance(value, str) else written(value)


def _spread(body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every combination of the `{grid: [...]}` values in an entry: [("lambda_l1=10 steps=500", {...}), ...]."""
    choices: list[list[tuple[str, Any]]] = []
    for key, value in body.items():
        if isinstance(value, Mapping) and set(value) == {"grid"}:
            if not isinstance(value["grid"], list) or not value["grid"]:
                raise ValueError(f"{key}: a grid is a list of values, such as {{grid: [1, 2]}}")
            choices.append([(f"{key}={_said(option)}", option) for option in value["grid"]])
        elif isinstance(value, Mapping):
            choices.append(list(_spread(value)))
        else:
            choices.append([("", value)])
    return [
        (" ".join(suffix for suffix, _ in chosen if suffix), dict(zip(body, (v for _, v in chosen), strict=True)))
        for chosen in itertools.product(*choices)
    ]

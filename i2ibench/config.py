"""The benchmark file as typed, frozen models; every error names file:line, the key and the nearest valid name."""

from __future__ import annotations

import itertools
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ByteSize, Field, ValidationError, field_validator, model_validator

from i2ibench import yamlfile
from i2ibench.errors import ConfigError
from i2ibench.metrics.protocol import Protocol, resolve
from i2ibench.registry import did_you_mean
from i2ibench.settings import Settings
from i2ibench.slurm.settings import Slurm

Model = TypeVar("Model", bound=BaseModel)
# YAML's words for what pydantic calls by Python's.
WORDS = {"dict_type": "should be a mapping (key: value)", "tuple_type": "should be a list ([a, b])"}


class Training(Settings):
    """The budget, and how the loop spends it. The same for all methods unless one says otherwise."""

    steps: int = Field(1000, gt=0, description="training steps of each trial")
    minutes: float | None = Field(
        None, gt=0, description="stop a training after so many minutes, if steps are not reached before"
    )
    batch_size: int = Field(16, gt=0, description="images of each domain in a step")
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto", description="auto: bf16 on a GPU that has it, else fp32; tf32 is fp32 with a GPU's faster products"
    )
    clip: float | None = Field(None, gt=0, description="clip each player's gradient to this norm")
    warmup: int = Field(0, ge=0, description="steps over which the learning rates grow from 0")
    ema: float | None = Field(
        None, gt=0, lt=1, description="translate with a moving average of the generator's weights, of this decay"
    )
    ttur: float = Field(
        1.0, gt=0, description="learning rate of the discriminators as a multiple of the generator's (Heusel 2017)"
    )
    spectral_norm: bool = Field(False, description="spectral norm in the discriminators (Miyato 2018)")
    r1: float | None = Field(
        None, gt=0, description="weight of the discriminators' gradient penalty on real images (Mescheder 2018)"
    )
    diffaugment: tuple[Literal["color", "translation", "cutout"], ...] | None = Field(
        None, description="disturb what the discriminators see, by any of color, translation and cutout (Zhao 2020)"
    )
    log_every: int = Field(50, gt=0, description="steps between two points of the learning curves")
    checkpoint_every: int = Field(500, gt=0, description="steps between two checkpoints")
    limit_minutes: float | None = Field(
        None, gt=0, description="a training that is not done after so many minutes, over all attempts, has failed"
    )
    hang_seconds: float | None = Field(
        600.0, gt=0, description="a training without a step for so long is killed and begun again from its checkpoint"
    )


class Resources(Settings):
    """What one trial asks of Ray."""

    cpus: int = Field(1, gt=0, description="CPU cores, and threads, of each trial")
    gpus: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        1.0,
        description="GPUs of each trial, where there are any: a fraction, so that several trials share one; auto: the "
        "fraction whose memory the first steps take; a whole number: each batch is divided over so many",
    )
    memory: ByteSize | None = Field(
        None, gt=0, description="main memory to keep free for each trial, such as 8GB; default: none is counted"
    )
    retries: int = Field(3, ge=0, description="how often a trial is begun again whose process died, or hung")

    @field_validator("gpus", mode="before")
    @classmethod
    def _gpus(cls, value: Any) -> Any:
        number = value if isinstance(value, int | float) else None
        if value != "auto" and (number is None or number < 0 or (number > 1 and number % 1 > 0)):
            raise ValueError("should be auto, a fraction of one GPU, or a whole number of them")
        return value


class EvaluationResources(Resources):
    """What one scoring asks of Ray."""

    gpus: Annotated[float, Field(ge=0, le=1)] = Field(
        0.25, description="GPUs of each scoring, where there are any: a fraction, or 1"
    )


class Evaluation(Settings):
    """How outputs are scored."""

    protocol: str | dict[str, Any] = Field("offline", description="a named protocol, or one spelled out as a mapping")
    metrics: tuple[str, ...] | None = Field(
        None, description="default: FID, KID, LPIPS, SSIM and PSNR, where the data set allows them"
    )
    resources: EvaluationResources = Field(
        EvaluationResources(), description="what each scoring asks for: the keys of `resources`"
    )


class Header(Settings):
    """The top level of a benchmark file, less what hangs on plug-ins (`data` and `methods`)."""

    name: str = Field("", description="names the report's folder; default: the file's name")
    seeds: tuple[int, ...] = Field((0, 1), description="a list of seeds, or how many (2 means [0, 1])")
    store: str = Field("runs", description="folder of the trials, seen from where the command is run")
    reports: str = Field("reports", description="folder of the reports, likewise")
    logging: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = Field(
        (), description="where losses and images go besides the store: one of tensorboard, mlflow and wandb, or a list"
    )
    training: Training = Training()
    resources: Resources = Resources()
    evaluation: Evaluation = Evaluation()
    slurm: Slurm = Slurm()
    data: dict[str, dict[str, Any] | None]
    methods: dict[str, dict[str, Any] | None]

    @field_validator("logging", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_of_seeds(cls, value: Any) -> Any:
        return tuple(range(value)) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else value

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) != len(value) or min(value) < 0 or max(value) >= 2**32:
            raise ValueError("seeds must be different whole numbers from 0 to 2**32 - 1, and at least one")
        return value

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if value and (not value.strip(". ") or not value.isprintable() or set(value) & set("/\\")):
            raise ValueError("must be usable as a folder's name")
        return value

    @field_validator("data", "methods")
    @classmethod
    def _not_empty(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not value:
            raise ValueError("name at least one")
        return value


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


@dataclass(frozen=True)
class Config:
    """A whole benchmark file."""

    header: Header
    data: tuple[Entry, ...]
    methods: tuple[Entry, ...]
    explicit_training: frozenset[str]  # keys that the file itself sets under `training`: they go before a preset's
    text: str
    file: Path
    document: yamlfile.Document

    @property
    def name(self) -> str:
        return self.header.name or self.file.stem

    @property
    def base(self) -> Path:
        """The folder that relative paths of the file start from."""
        return self.file.absolute().parent

    def error(self, path: yamlfile.Path, message: str) -> ConfigError:
        """An error at a place of the file."""
        return ConfigError(f"{self.document.where(path)}: {message}")


def load(file: Path) -> Config:
    """Read and check a benchmark file.

    Raises:
        ConfigError: one line that names file:line, the key and what to do.
    """
    text, document = yamlfile.read(file)
    if not isinstance(document.content, dict):
        raise ConfigError(f"{document.where(())}: a benchmark file is a mapping of keys such as `data:` and `methods:`")
    header = validate(Header, document.content, document, ())
    return Config(
        header=header,
        data=_entries("data", header.data, DataKeys, document),
        methods=_entries("methods", header.methods, MethodKeys, document),
        explicit_training=frozenset(header.training.model_fields_set),
        text=text,
        file=file,
        document=document,
    )


def validate(model: type[Model], values: Mapping[str, Any], document: yamlfile.Document, path: yamlfile.Path) -> Model:
    """`model(**values)`, with pydantic's first complaint turned into one line that names its place in the file."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as failure:
        errors = failure.errors(include_url=False)
        error = next((e for e in errors if e["type"] != "missing"), errors[0])  # a key may be missing by a typing error
        raise ConfigError(f"{document.where((*path, *error['loc']))}: {_explain(error, model)}") from None


def protocol(given: str | Mapping[str, Any], document: yamlfile.Document, path: yamlfile.Path) -> Protocol:
    """The evaluation protocol that stands at `path` of a file: a name, or one spelled out."""
    if isinstance(given, Mapping):
        validate(Protocol, given, document, path)  # names the line of the key itself
    try:
        return resolve(given, Path(document.name).parent)
    except ConfigError as error:
        raise ConfigError(f"{document.where(path)}: {error}") from None


def overlay(
    model: type[Model], base: Model, *layers: tuple[Mapping[str, Any], yamlfile.Path], document: yamlfile.Document
) -> Model:
    """`base` with the keys of each layer laid over it in turn; every layer is checked at its own place in the file."""
    values = base.model_dump()
    for layer, path in layers:
        checked = validate(model, layer, document, path)
        values |= checked.model_dump(include=checked.model_fields_set)
    return model.model_validate(values)


def _entries(
    section: str, raw: Mapping[str, Any], keys: type[KeysModel], document: yamlfile.Document
) -> tuple[Entry, ...]:
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


def _spread(body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every combination of the `{grid: [...]}` values in an entry: [("lambda_l1=10 steps=500", {...}), ...]."""
    choices: list[list[tuple[str, Any]]] = []
    for key, value in body.items():
        if isinstance(value, Mapping) and set(value) == {"grid"}:
            if not isinstance(value["grid"], list) or not value["grid"]:
                raise ValueError(f"{key}: a grid is a list of values, such as {{grid: [1, 2]}}")
            choices.append([(f"{key}={option}", option) for option in value["grid"]])
        elif isinstance(value, Mapping):
            choices.append(list(_spread(value)))
        else:
            choices.append([("", value)])
    return [
        (" ".join(suffix for suffix, _ in chosen if suffix), dict(zip(body, (v for _, v in chosen), strict=True)))
        for chosen in itertools.product(*choices)
    ]


def _explain(error: Any, model: type[BaseModel]) -> str:
    kind, loc, given = error["type"], error["loc"], error.get("input")
    if kind == "extra_forbidden":
        return f"unknown key '{loc[-1]}'; {did_you_mean(str(loc[-1]), _fields_at(model, loc[:-1]))}"
    if kind == "missing":
        return f"the key '{loc[-1]}' is required"
    if isinstance(given, Mapping) and set(given) == {"grid"}:
        return "a grid may stand in an entry of `methods` or `data`, not here"
    if kind == "literal_error" and isinstance(given, str):
        options = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return f"unknown value '{given}'; {did_you_mean(given, options)}"
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

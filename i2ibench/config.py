"""The benchmark file as typed, frozen models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ByteSize, Field, field_validator

from i2ibench import entries, yamlfile
from i2ibench.entries import DataKeys, Entry, MethodKeys
from i2ibench.errors import ConfigError
from i2ibench.metrics.protocol import Protocol, resolve
from i2ibench.settings import Settings
from i2ibench.slurm.settings import Slurm
from i2ibench.validation import validate

MOST_SEEDS = 1000  # that a number is taken to ask for: 20240101 is a seed, and would be 20 million trainings of each


class Training(Settings):
    """The budget, and how the loop spends it. The same for all methods unless one says otherwise."""

    steps: int = Field(
        1000, ge=0, description="training steps of each trial; 0, with init_from: score what it begins with as it is"
    )
    minutes: float | None = Field(
        None, gt=0, description="stop a training after so many minutes, if steps are not reached before"
    )
    batch_size: int = Field(16, gt=0, description="images of each domain in a step")
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto",
        description="auto: bf16 on a GPU that has it and on a CPU with AMX, else fp32; tf32 is fp32 with a GPU's "
        "faster products; a CPU that lacks bf16 follows its rules in up to twice the time of fp32",
    )
    compile: bool | Literal["auto"] = Field(
        "auto",
        description="compile the networks: true does, which takes minutes at the start; auto: not yet, as nothing was "
        "measured to gain by it",
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
    score_every: int | None = Field(
        None, gt=0, description="keep the networks every so many steps, to be scored too: metrics against training"
    )
    limit_minutes: float | None = Field(
        None, gt=0, description="a training that is not done after so many minutes, over all attempts, has failed"
    )
    hang_seconds: float | None = Field(
        600.0, gt=0, description="a training without a step for so long is killed and begun again from its checkpoint"
    )

    @field_validator("diffaugment")
    @classmethod
    def _none_of_them(cls, value: Any) -> Any:
        return value or None  # an empty list is the same training, and must have the same id


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
        None, description="what is scored; default: FID, KID, LPIPS, SSIM and PSNR, where the data set allows them"
    )
    curve_metrics: tuple[str, ...] | None = Field(
        None,
        description="metrics of what `training.score_every` keeps; default: all of them that look at outputs alone",
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
        count = value if isinstance(value, int) and not isinstance(value, bool) else None
        if isinstance(value, str) or (count is not None and count < 1):
            raise ValueError("should be a list of seeds, or how many (1 or more)")
        if count is not None and count > MOST_SEEDS:
            raise ValueError(f"a number says how many seeds, {MOST_SEEDS} at most; for this one seed write [{count}]")
        return value if count is None else tuple(range(count))

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
    """Read and check a benchmark file; `~` in its path is the user's home.

    Raises:
        ConfigError: one line that names file:line, the key and what to do.
    """
    file = file.expanduser()
    text, document = yamlfile.read(file)
    if not isinstance(document.content, dict):
        raise ConfigError(f"{document.where(())}: a benchmark file is a mapping of keys such as `data:` and `methods:`")
    header = validate(Header, document.content, document, ())
    return Config(
        header=header,
        data=entries.read("data", header.data, DataKeys, document),
        methods=entries.read("methods", header.methods, MethodKeys, document),
        explicit_training=frozenset(header.training.model_fields_set),
        text=text,
        file=file,
        document=document,
    )


def protocol(given: str | Mapping[str, Any], document: yamlfile.Document, path: yamlfile.Path) -> Protocol:
    """The evaluation protocol that stands at `path` of a file: a name, or one spelled out."""
    if isinstance(given, Mapping):
        validate(Protocol, given, document, path)  # names the line of the key itself
    try:
        return resolve(given, Path(document.name).parent)
    except ConfigError as error:
        raise ConfigError(f"{document.where(path)}: {error}") from None

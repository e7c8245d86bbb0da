"""What a method file may rely on: subclass `Method`, declare what it can do, and write the paper's maths.

This module imports no torch, so that listing and planning methods costs milliseconds; method files
reach every network and loss through `i2ibench.nn`, which is loaded on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import Field

from i2ibench.errors import TrialError
from i2ibench.settings import Settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import torch
    from torch import Tensor
    from typing_extensions import Self

Pairing = Literal["paired", "unpaired", "multi-domain"]

PRESET_SIZES = {"tiny": 32, "small": 128, "paper": 256}  # image width and height that the presets are made for


@dataclass(frozen=True)
class Task:
    """What is to be learned: images of A and B, both `size` x `size` pixels.

    A benchmark's images have three channels each, so that methods may count on as many in A as in B.
    `scale` tells how many times smaller the images were that those of A were enlarged from (the task super-resolve).
    A multi-domain method learns `domains` domains at once; `ends` says which of them are A and B when it translates.
    """

    channels_a: int
    channels_b: int
    size: int
    scale: int = 1
    domains: int = 2
    ends: tuple[int, int] = (0, 1)


@dataclass(frozen=True)
class Batch:
    """One training batch: `a` (N, channels_a, H, W) and `b` (N, channels_b, H, W), float32 in [-1, 1].

    For a paired method `a[i]` and `b[i]` belong together; for an unpaired one they do not.
    `progress` is the share of the budget that is used, in [0, 1); `step` counts the training steps, from 0.
    For a multi-domain method of more than two domains, `of_a` and `of_b` (N,) int64 say which domain each image is of;
    those of `a[i]` and `b[i]` differ. `domains` says it for two domains as well.
    """

    a: Tensor
    b: Tensor
    progress: float = 0.0
    step: int = 0
    of_a: Tensor | None = None
    of_b: Tensor | None = None

    @property
    def domains(self) -> tuple[Tensor, Tensor]:
        """The domain of each image of `a` and of `b`: two of (N,) int64."""
        if self.of_a is None or self.of_b is None:
            return self.a.new_zeros(len(self.a)).long(), self.b.new_ones(len(self.b)).long()
        return self.of_a, self.of_b


class Losses(Protocol):
    """What `with turn(player) as loss` yields: set an attribute per named term; their sum is minimised."""

    def __setattr__(self, name: str, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any: ...


class Turn(Protocol):
    """Hands the floor to one player: only its parameters get gradients, and leaving the block steps its optimiser."""

    def __call__(self, player: str) -> AbstractContextManager[Losses]: ...


class MethodParams(Settings):
    """Settings that every method has. Each field is a key of a `methods:` entry of the benchmark file.

    The optimisation settings stand here because they are part of what a paper publishes.
    """

    lr: float = Field(2e-4, gt=0, description="Adam's learning rate")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's first-moment decay")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's second-moment decay")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty inside Adam (as in the GAN papers; not AdamW)")
    decay: Literal["constant", "linear", "halve"] = Field(
        "linear",
        description="learning rate: constant; linear: to 0 over the second half; halve: halved every decay_every steps",
    )
    decay_every: int = Field(100_000, gt=0, description="steps between halvings (decay: halve)")


class Method:
    """One image-to-image translation method.

    A subclass sets the class attributes, builds its networks in `build` (each player is an attribute holding
    one `torch.nn.Module`; use `nn.group` to make one player of several networks), takes the players' turns
    in `step`, and maps A to B in `translate`. Everything else (precision, freezing, back-propagation,
    optimisers, schedules, checkpoints, curves) is the loop's.

    All modules held as attributes, players or not (image pools, say), are checkpointed.
    """

    paper: ClassVar[str] = ""  # "Isola et al., CVPR 2017, arXiv:1611.07004"
    year: ClassVar[int | None] = None
    # What training needs. "unpaired" also trains on paired data, pairs broken; so does "multi-domain", which learns all
    # domains of a set at once (two, if there are no more) and translates between those that `task.ends` names.
    pairing: ClassVar[Pairing] = "unpaired"
    players: ClassVar[tuple[str, ...]] = ()  # attribute names; the first is the generator. Empty: nothing to train
    multimodal: ClassVar[bool] = False  # translate() gives another sample for another rng
    bidirectional: ClassVar[bool] = False  # translate_back() exists
    exemplars: ClassVar[bool] = False  # translate_like() exists, and translate_back_like() if it is bidirectional
    inference: ClassVar[Literal["eval", "train"]] = (
        "eval"  # "train": dropout and batch statistics stay on, one image at a time
    )
    sampling: ClassVar[tuple[str, ...]] = ()  # settings that change translations and no training: rows share networks
    seeded: ClassVar[bool] = True  # False: the seed changes nothing, so one is enough
    any_size: ClassVar[bool] = True  # False: outputs have the size of training, whatever the input's
    scores_pairs: ClassVar[bool] = True  # False: outputs do not belong to their inputs, so paired metrics are left out
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # name -> {parameter or "training": value}

    class Params(MethodParams):
        """A subclass that has settings of its own defines `class Params(Method.Params)`."""

    def __init__(self, params: MethodParams, task: Task) -> None:
        self.params: Any = params
        self.task = task
        self.build(task)
        for player in self.players:
            if player not in self.modules():
                raise TrialError(f"players names '{player}', but build() sets no network self.{player}")

    @classmethod
    def check(cls, params: Any, task: Task) -> None:
        """Raise ConfigError if these settings cannot work on this task (called before anything runs; no torch)."""

    @classmethod
    def assets(cls, params: Any) -> tuple[str, ...]:
        """Names of pretrained weights that these settings need (see `i2ibench assets list`); fetched beforehand."""
        return ()

    def build(self, task: Task) -> None:
        """Create the networks as attributes."""

    @property
    def verdict_weight(self) -> float:
        """What the discriminators' own losses are multiplied by: another number where a setting weighs them too.

        A loss next to zero is taken for a discriminator that has won, and a small weight is no victory.
        """
        return 1.0

    def fit(self, a: Tensor, b: Tensor) -> None:
        """Look once at all training images, uint8 (N, C, H, W), before training. Most methods need not."""

    def step(self, batch: Batch, turn: Turn) -> None:
        """One training step: each player takes its turn.

        It may be called on a part of the batch (micro-batches, several GPUs), and then takes the same turns, with the
        same terms, on each: they may depend on `batch.step` and `batch.progress`, but not on the images or on chance.
        """

    def translate_back(self, b: Tensor, *, rng: torch.Generator) -> Tensor:
        """Map B to A, where the method is `bidirectional`."""
        raise TypeError(f"{type(self).__name__} does not define translate_back()")

    def translate(self, a: Tensor, *, rng: torch.Generator) -> Tensor:
        """Map (N, channels_a, H, W) in [-1, 1] to (N, channels_b, H, W) in [-1, 1]; draw noise from `rng` only."""
        raise TypeError(f"{type(self).__name__} does not define translate()")

    def translate_like(self, a: Tensor, b: Tensor) -> Tensor:
        """Map A to B in the style of given images of B, one for each of A, where the method takes `exemplars`."""
        raise TypeError(f"{type(self).__name__} does not define translate_like()")

    def translate_back_like(self, b: Tensor, a: Tensor) -> Tensor:
        """Map B to A in the style of given images of A, where it is `bidirectional` besides."""
        raise TypeError(f"{type(self).__name__} does not define translate_back_like()")

    # -- state: what the loop saves, moves and counts ------------------------------------------------------------

    def modules(self) -> dict[str, torch.nn.Module]:
        """Every module held as an attribute, by name (known by its methods: this file imports no torch)."""
        return {name: value for name, value in vars(self).items() if hasattr(value, "named_parameters")}

    def to(self, *to: Any) -> Self:
        """Move them all, to a device or a type, as `torch.nn.Module.to` does."""
        for module in self.modules().values():
            module.to(*to)
        return self

    def state_dict(self) -> dict[str, dict[str, Any]]:
        return {name: module.state_dict() for name, module in self.modules().items()}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        for name, module in self.modules().items():
            module.load_state_dict(state[name])

    def parameter_counts(self) -> dict[str, int]:
        """Trainable parameters of each player."""
        return {name: sum(p.numel() for p in getattr(self, name).parameters()) for name in self.players}

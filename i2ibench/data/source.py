"""What every data set can do: say what it holds, prove that it has not changed, and decode itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from i2ibench.data.images import Allocate, Images, Progress, in_memory
from i2ibench.data.labels import ClassLabels, Palette
from i2ibench.lazy import np
from i2ibench.settings import Settings

Pairing = Literal["paired", "unpaired"]

LEAST_TEST = 2  # test images: no score of a set of images is had from one


class SourceParams(Settings):
    """Settings that every data set has. Each field is a key of a `data:` entry of the benchmark file."""

    size: int = Field(64, ge=4, description="width and height of the images, in pixels")
    direction: Literal["AtoB", "BtoA"] = Field("AtoB", description="which domain is translated into which")
    flip: bool = Field(False, description="mirror training images left to right, every other one by chance")
    load_size: int | None = Field(
        None, description="train on random size x size crops of images of this width and height; default: no crops"
    )
    fit: Literal["squash", "crop", "window"] = Field(
        "squash",
        description="how an image gets its size: squash all of it, crop the central square and resample that, or "
        "window: cut its central pixels out as they are",
    )

    jitter: float | None = Field(
        None,
        gt=0,
        le=1,
        description="change brightness, contrast and saturation in training by up to this share",
    )

    @model_validator(mode="after")
    def _crops_fit(self) -> SourceParams:
        if self.load_size is not None and self.load_size < self.size:
            raise ValueError(f"load_size ({self.load_size}) must be at least size ({self.size})")
        return self

    @property
    def train_size(self) -> int:
        """Width and height at which training images are kept."""
        return self.load_size or self.size

    @property
    def scale(self) -> int:
        """How many times smaller the images were that the task super-resolve enlarged; 1 without that task."""
        return 1

    @property
    def own_sizes(self) -> bool:
        """Whether test images keep the sizes that they have, in place of `size`."""
        return False


class DomainParams(SourceParams):
    """Keys of the kinds that can have more than two domains."""

    domains: tuple[str, ...] | None = Field(None, description="which domains; of two, the first is A")
    pair: tuple[str, str] | None = Field(
        None, description="of more than two domains: which are A and B; default: each and each other in turn"
    )

    @field_validator("domains", "pair")
    @classmethod
    def _different(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and (len(value) < 2 or len(set(value)) != len(value)):
            raise ValueError("should be two or more different domains")
        return value

    @model_validator(mode="after")
    def _pair_is_of_them(self) -> DomainParams:
        if self.pair is not None and not set(self.pair) <= set(self.domains or ()):
            raise ValueError(f"pair: {' and '.join(self.pair)} should be two of `domains`")
        return self

    @property
    def ends(self) -> tuple[int, int]:
        """Which of `domains` are A and B, before `direction`."""
        if self.pair is None or self.domains is None:
            return 0, 1
        return self.domains.index(self.pair[0]), self.domains.index(self.pair[1])

    @property
    def group(self) -> tuple[str, ...]:
        """The domains, where they are more than two."""
        return self.domains if self.domains is not None and len(self.domains) > 2 else ()


class Source(ABC):
    """One kind of data set. A subclass sets the class attributes and answers the abstract questions below.

    Making one is cheap and reads no pixels, yet raises DataError where a glance shows that it cannot be used.
    """

    name: ClassVar[str]  # as written after `source:` in the benchmark file
    description: ClassVar[str]
    Params: ClassVar[type[SourceParams]] = SourceParams

    def __init__(self, params: Any, base: Path | None = None) -> None:
        """`params` is a `Params`; relative paths in it are relative to `base` (the benchmark file's folder)."""
        self.params = params
        self.base = base or Path()

    @property
    def to_spread(self) -> tuple[str, ...]:
        """The domains, where they are more than two and no `pair` is chosen: a benchmark goes from each to each."""
        p = self.params
        return p.group if isinstance(p, DomainParams) and p.pair is None else ()

    @property
    @abstractmethod
    def pairing(self) -> Pairing:
        """Whether a[i] and b[i] belong together."""

    @property
    def hidden_pairs(self) -> bool:
        """Whether the test images of an unpaired data set do belong together: trained unpaired, scored paired."""
        return False

    @abstractmethod
    def summary(self) -> dict[str, int]:
        """How many images there are: {"train_a": n, "train_b": n, "test_a": n, "test_b": n}."""

    @property
    def palette(self) -> Palette | None:
        """The classes of label maps, where one domain is made of them."""
        return None

    def class_labels(self) -> ClassLabels | None:
        """The class of each image, where the data set tells; reads no pixels. A and B as `direction` says.

        Raises:
            DataError: labels are declared, and cannot be used.
        """
        return None

    def declared(self) -> str:
        """A short hash of what scores depend on and `fingerprint` does not cover; "" if there is nothing.

        Raises:
            DataError: labels are declared, and cannot be used.
        """
        return ""

    def truths(self, chosen: Sequence[int] | np.ndarray) -> np.ndarray | None:
        """All K true answers to some test images, uint8 (K, M, size, size, 3), where the data set knows them."""
        return None

    @abstractmethod
    def fingerprint(self, cache_dir: Path | None = None) -> str:
        """sha256 (hex) of the content, whatever the size and direction. `cache_dir` may remember slow parts of it."""

    def taught(self, cache_dir: Path | None = None) -> str:
        """The same of what a paired method learns from: sets of one `taught` share their trainings."""
        return self.fingerprint(cache_dir)

    @abstractmethod
    def decode(self, allocate: Allocate = in_memory, progress: Progress | None = None) -> Images:
        """Fill arrays got from `allocate` with all images, A and B as `direction` says."""

"""What one training needs to know: a trial of the plan, in plain types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from i2ibench.errors import StoreError
from i2ibench.method import Pairing
from i2ibench.metrics.protocol import Protocol

if TYPE_CHECKING:
    from i2ibench.store import Trial


@dataclass(frozen=True)
class TrialSpec:
    """Everything that one training needs to know, in plain types that travel as JSON."""

    id: str
    # The trial that holds the trained networks: this one, one between the same domains or more, or one that translates
    # by other settings (`Method.sampling`).
    trained_as: str
    label: str  # the row of the leaderboard
    method: str  # a registered name, or an absolute path
    params: dict[str, Any]
    data: str  # the label of the data set
    source: str
    source_params: dict[str, Any]
    base: str  # the folder that relative paths of the data set start from
    fingerprint: str
    pairing: Pairing  # of the method
    scores_pairs: bool
    trained: bool  # False: a reference row such as copy
    seed: int
    training: dict[str, Any]
    resources: dict[str, Any]
    multimodal: bool = False
    bidirectional: bool = False
    declared: str = ""  # hash of what the data set says of its images for scores alone (`Source.declared`)
    logging: tuple[str, ...] = ()  # trackers (`loggers`); like the resources, no part of the id
    # Of a multi-domain method on more than two domains: the fingerprints of what it learns from (`sets.pairs_of`).
    group: tuple[str, ...] = ()
    init_from: dict[str, Any] | None = None  # what it begins with (`initial.Start`)
    freeze: tuple[str, ...] = ()
    code: str = ""  # hash of the method's code (`sources.digest`); "" where nobody noted it

    def score_key(self, protocol: Protocol | str) -> str:
        """What its scores under a protocol, or the key of one, are kept by.

        They depend on the data set's labels, the training does not.
        """
        key = protocol if isinstance(protocol, str) else protocol.key()
        return f"{key}-{self.declared}" if self.declared else key

    @property
    def backward(self) -> bool:
        """Whether the networks were trained in the other direction, and go back."""
        return self.bidirectional and self.source_params["direction"] == "BtoA"

    @property
    def borrows(self) -> bool:
        """Whether the networks are kept under another trial's name; see `trained_as`."""
        return self.id != self.trained_as

    @property
    def reference(self) -> bool:
        return not self.trained

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrialSpec:
        """What `to_json` gave, also after a way through JSON. Raises TypeError if it is of another version."""
        tuples = {key: tuple(content.get(key, ())) for key in ("logging", "group", "freeze")}  # JSON has none
        return cls(**{**content, **tuples})

    @classmethod
    def of(cls, trial: Trial) -> TrialSpec:
        """What a trial of a store is. Raises StoreError if its spec.json is damaged or of another version."""
        try:
            return cls.from_json(trial.spec() or {})
        except TypeError as error:
            reason = str(error).replace("TrialSpec.__init__() ", "")
            raise StoreError(f"{trial.path / 'spec.json'}: is of another version of i2ibench ({reason})") from None

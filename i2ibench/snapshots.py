"""The networks as they were on the way of a training: kept every `training.score_every` steps, to be scored later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from i2ibench.disk import atomic_write
from i2ibench.errors import TrialError
from i2ibench.store import Trial

if TYPE_CHECKING:
    from i2ibench.method import Method
    from i2ibench.options import Options


def keep(trial: Trial, step: int, seconds: float, method: Method, options: Options) -> None:
    """Write what is needed to have the networks of this step again, as `Options.finish` would leave them.

    It only reads: the training goes on as if it had not been asked. One of an earlier attempt is replaced.

    Args:
        seconds: of training up to here.
    """
    state = {"method": method.state_dict(), "options": options.state_dict(), "seconds": seconds}
    with atomic_write(trial.snapshot(step), "wb") as file:
        torch.save(state, file)


def drop_after(trial: Trial, step: int) -> None:
    """Remove those of later steps: of an attempt whose steps since its checkpoint are lost. Nobody may be writing."""
    for file in trial.snapshot(0).parent.glob(".*"):
        file.unlink(missing_ok=True)
    for later, file in trial.snapshots().items():
        if later > step:
            file.unlink(missing_ok=True)


def read(trial: Trial, step: int, device: torch.device) -> dict[str, Any]:
    """The state of a step: {"method", "options", "seconds"}.

    Raises:
        TrialError: there is none, or it is damaged.
    """
    file = trial.snapshot(step)
    try:
        return torch.load(file, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file raises nearly anything
        reason = type(error).__name__
        raise TrialError(f"{file}: cannot be read ({reason}); delete it to have the curves without this step") from None

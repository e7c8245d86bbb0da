"""Atomic checkpoints, of which the last two are kept and a damaged one falls back to the one before; what goes in."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from i2ibench.disk import atomic_write
from i2ibench.randomness import rng_state, set_rng_state

if TYPE_CHECKING:
    import logging

    from i2ibench.method import Method
    from i2ibench.turns import Turns

KEEP = 2


class Checkpoints:
    """Files `<step>-<hash of the content>.pt` in one folder: the name itself tells whether the content is whole.

    Beside them `elapsed` keeps the seconds that all attempts have taken, those lost since a checkpoint included.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state of a step, and remove the oldest."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getbuffer()
        with atomic_write(self.folder / f"{step:09d}-{_digest(content)}.pt", "wb") as file:
            file.write(content)
        for old in self._files()[KEEP:]:
            old.unlink(missing_ok=True)

    def latest(self, device: torch.device, log: logging.Logger) -> dict[str, Any] | None:
        """The newest state that is whole, or None. A damaged file is deleted, with a warning."""
        for file in self._files():
            content = file.read_bytes()
            if _digest(content) == file.stem.split("-")[1]:
                return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            log.warning("checkpoint %s is damaged; going back to the one before", file.name)
            file.unlink()
        return None

    def tidy(self) -> None:
        """Remove what was being written when a process was killed. Nobody may be writing now."""
        for aside in self.folder.glob(".*"):
            aside.unlink(missing_ok=True)

    def spend(self, seconds: float) -> None:
        """Note how long all attempts have taken so far."""
        with atomic_write(self.folder / "elapsed") as file:
            file.write(f"{seconds:.3f}")

    def spent(self) -> float:
        """Seconds that the attempts before this one took; 0 where nothing is known of them."""
        try:
            return float((self.folder / "elapsed").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0.0

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("[0-9]*-*.pt"), reverse=True)


def own_state(method: Method, turns: Turns, device: torch.device, rank: int) -> dict[str, Any]:
    """What processes that share a training do not have in common: random generators, losses of their own images; and
    past rank 0, which is the one whose networks are kept, image pools and running means."""
    own = {
        name: {
            key: value
            for key, value in module.state_dict(keep_vars=True).items()
            if not isinstance(value, torch.nn.Parameter)
        }
        for name, module in method.modules().items()
    }
    return {"rng": rng_state(device), "losses": (turns.sums, turns.counts), "own": own if rank else {}}


def load_own_state(state: dict[str, Any], method: Method, turns: Turns, device: torch.device) -> None:
    """Go on from what `own_state` gave: with the same noise, sums of losses, image pools and running means."""
    set_rng_state(state["rng"], device)
    turns.sums, turns.counts = state["losses"]
    for name, own in state["own"].items():
        module = method.modules()[name]
        module.load_state_dict(module.state_dict() | own)


def _digest(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:16]

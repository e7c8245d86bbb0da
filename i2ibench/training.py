"""The one training loop: turns, precision, optimisers, learning rates, checkpoints and curves, for every method."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from i2ibench.checkpoints import Checkpoints
from i2ibench.errors import DivergedError
from i2ibench.memory import PeakMemory
from i2ibench.method import Batch, Method
from i2ibench.options import Options

if TYPE_CHECKING:
    import logging

    from i2ibench.config import Training
    from i2ibench.data.batches import Batches
    from i2ibench.store import Trial

SPEAK_SECONDS = 5.0  # how often a training says how far it is, whatever log_every


def seed_everything(seed: int) -> None:
    """Seed python, numpy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The type that networks compute in, or None for float32."""
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return torch.bfloat16 if precision == "bf16" else None


def learning_rate(params: Any, step: int, progress: float) -> float:
    """The rate of one step: constant, linear to 0 over the second half of the budget, or halved every so often."""
    if params.decay == "linear":
        return params.lr * min(1.0, 2.0 * (1.0 - progress))
    if params.decay == "halve":
        return params.lr * 0.5 ** (step // params.decay_every)
    return params.lr


class Turns:
    """Gives the players of a method their turns: `with turns("generator") as loss: loss.l1 = ...`.

    On entry every other player is frozen (before the forward pass, or a compiled network computes their weight
    gradients all the same); on leaving without an exception the losses are summed and back-propagated, and the
    player's own Adam takes a step. Sums of every loss stay on the device until `means` asks for them.
    """

    def __init__(
        self,
        method: Method,
        clip: float | None = None,
        dtype: torch.dtype | None = None,
        options: Options | None = None,
    ) -> None:
        params = method.params
        self._clip, self._dtype, self._options = clip, dtype, options or Options(method)
        self._parameters = {
            player: [p for p in getattr(method, player).parameters() if p.requires_grad] for player in method.players
        }
        self.optimisers = {
            player: torch.optim.Adam(
                parameters,
                lr=params.lr,
                betas=(params.beta1, params.beta2),
                weight_decay=params.weight_decay,
                fused=True,  # torch's default on CPU is a Python loop over the tensors
            )
            for player, parameters in self._parameters.items()
        }
        self.sums: dict[str, torch.Tensor] = {}
        self.counts: dict[str, int] = {}

    @contextmanager
    def __call__(self, player: str) -> Iterator[Any]:
        for name, parameters in self._parameters.items():
            for parameter in parameters:
                parameter.requires_grad_(name == player)
        losses = SimpleNamespace()
        device = self._parameters[player][0].device
        with self._options.turn(player), torch.autocast(device.type, self._dtype, enabled=self._dtype is not None):
            yield losses
        terms: dict[str, torch.Tensor] = vars(losses) | self._options.penalties()
        self.optimisers[player].zero_grad(set_to_none=True)
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        if self._clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters[player], self._clip)
        self.optimisers[player].step()
        for name, term in terms.items():
            key = f"{player}.{name}"
            self.sums[key] = self.sums.get(key, 0.0) + term.detach().float()
            self.counts[key] = self.counts.get(key, 0) + 1

    def set_learning_rate(self, rate: float) -> None:
        """What the schedule says; the options make of it each player's own."""
        rates = self._options.rates(rate)
        for player, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = rates[player]

    def means(self) -> dict[str, float]:
        """Mean of each loss since the last call. Waits for the device."""
        means = {key: float(total) / self.counts[key] for key, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimisers": {player: optimiser.state_dict() for player, optimiser in self.optimisers.items()},
            "sums": self.sums,
            "counts": self.counts,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for player, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][player])
        self.sums, self.counts = state["sums"], state["counts"]


@dataclass(frozen=True)
class Outcome:
    """What a training cost."""

    steps: int
    seconds: float
    images_per_second: float
    peak_memory_mb: float
    curves: list[dict[str, float]]


class Loop:
    """Trains one method on one trial's batches, from its last checkpoint if there is one."""

    def __init__(
        self,
        method: Method,
        batches: Batches,
        settings: Training,
        trial: Trial,
        device: torch.device,
        log: logging.Logger,
        say: Callable[..., None] | None = None,
    ) -> None:
        self.method, self.batches, self.settings, self.log = method, batches, settings, log
        self.say = say or trial.write_progress
        self.device = device
        self.options = Options(method, settings)
        self.turns = Turns(method, settings.clip, autocast_dtype(settings.precision, device), self.options)
        self.checkpoints = Checkpoints(trial.path / "checkpoints")
        self.step = 0
        self.seconds = 0.0  # of training, over all attempts
        self.curves: list[dict[str, float]] = []
        self._spoke = -math.inf

    def run(self) -> Outcome:
        """Train until the budget is used up.

        Raises:
            DivergedError: a loss or a weight is NaN or infinite. Checkpoints are from before.
            TrialError: an option of the training does nothing for this method.
        """
        self._restore()
        memory = PeakMemory(self.device)
        before, started = self.seconds, time.perf_counter()
        while self.progress() < 1.0:
            self._one_step()
            self.seconds = before + time.perf_counter() - started
            if self.step % self.settings.log_every == 0 or self.progress() >= 1.0:
                self._log()
            if self.step % self.settings.checkpoint_every == 0 and self.progress() < 1.0:
                self._save()
        self._require_finite()
        self.options.finish()
        rate = self.step * self.settings.batch_size / self.seconds if self.step else 0.0
        return Outcome(self.step, self.seconds, rate, memory.megabytes(), self.curves)

    def progress(self) -> float:
        """The share of the budget that is used: of the steps, or of the minutes where they are nearer to their end."""
        share = self.step / self.settings.steps
        return max(share, self.seconds / (60 * self.settings.minutes)) if self.settings.minutes else share

    def _one_step(self) -> None:
        progress = self.progress()
        self.turns.set_learning_rate(learning_rate(self.method.params, self.step, progress))
        a, b = self.batches.at(self.step)
        self.method.step(Batch(a, b, progress), self.turns)
        self.options.stepped()
        self.step += 1
        now = time.monotonic()
        if now - self._spoke > SPEAK_SECONDS:
            self._spoke = now
            self._say({})

    def _log(self) -> None:
        self._require_finite_losses()
        losses = self.turns.means()
        self.curves.append({"step": self.step, "seconds": round(self.seconds, 3), **losses})
        self._say(losses)
        terms = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        self.log.info("step %d/%d  %s", self.step, self.settings.steps, terms)

    def _say(self, losses: dict[str, float]) -> None:
        progress, last = self.progress(), (self.curves[-1] if self.curves else {})
        shown = losses or {key: value for key, value in last.items() if key not in ("step", "seconds")}
        self.say(
            "training",
            step=self.step,
            steps=self.settings.steps,
            images_per_second=self.step * self.settings.batch_size / self.seconds if self.seconds else None,
            loss=sum(shown.values()) if shown else None,
            eta_seconds=self.seconds * (1 - progress) / progress if progress and self.seconds else None,
        )

    def _require_finite_losses(self) -> None:
        for name, total in self.turns.sums.items():
            if not math.isfinite(total):
                raise DivergedError(
                    f"diverged: the loss {name} became {float(total)} "
                    f"within the {self.settings.log_every} steps up to step {self.step}"
                )

    def _require_finite(self) -> None:
        """A loss may be finite and its gradient not, and a checkpoint fall between two looks at the losses."""
        self._require_finite_losses()
        for name, state in self.method.state_dict().items():
            for key, value in state.items():
                if isinstance(value, torch.Tensor) and not torch.isfinite(value).all():
                    raise DivergedError(f"diverged: {name}.{key} holds NaN or infinite values at step {self.step}")

    def _save(self) -> None:
        self._require_finite()
        self.checkpoints.save(
            self.step,
            {
                "method": self.method.state_dict(),
                "turns": self.turns.state_dict(),
                "options": self.options.state_dict(),
                "rng": rng_state(self.device),
                "step": self.step,
                "seconds": self.seconds,
                "curves": self.curves,
            },
        )

    def _restore(self) -> None:
        state = self.checkpoints.latest(self.device, self.log)
        if state is None:
            return
        self.method.load_state_dict(state["method"])
        self.turns.load_state_dict(state["turns"])
        self.options.load_state_dict(state["options"])
        self.step, self.seconds, self.curves = state["step"], state["seconds"], state["curves"]
        set_rng_state(state["rng"], self.device)
        self.log.info("resumed from the checkpoint at step %d", self.step)


def rng_state(device: torch.device) -> dict[str, Any]:
    """The state of every random generator a method may use, in types that a safe load accepts."""
    numpy_state: Any = np.random.get_state()
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (numpy_state[0], numpy_state[1].tolist(), *numpy_state[2:]),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_rng_state(state: dict[str, Any], device: torch.device) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"].cpu())
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)

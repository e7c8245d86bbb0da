"""The one training loop: schedule, budget, limits, checkpoints and curves, for every method."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from i2ibench import snapshots
from i2ibench.checkpoints import Checkpoints, load_own_state, own_state
from i2ibench.distributed import ALONE, Group
from i2ibench.errors import DivergedError, Interrupted, TrialError
from i2ibench.memory import PeakMemory
from i2ibench.method import Batch, Method
from i2ibench.policy import Policy
from i2ibench.turns import Turns

if TYPE_CHECKING:
    import logging

    from i2ibench.config import Training
    from i2ibench.data.batches import Epochs
    from i2ibench.loggers import Logger
    from i2ibench.store import Trial

SPEAK_SECONDS = 5.0  # how often a training says how far it is, whatever log_every


def learning_rate(params: Any, step: int, progress: float) -> float:
    """The rate of one step: constant, linear to 0 over the second half of the budget, or halved every so often."""
    if params.decay == "linear":
        return params.lr * min(1.0, 2.0 * (1.0 - progress))
    if params.decay == "halve":
        return params.lr * 0.5 ** (step // params.decay_every)
    return params.lr


@dataclass(frozen=True)
class Outcome:
    """What a training cost, and how it was computed and divided."""

    steps: int
    seconds: float
    images_per_second: float
    peak_memory_mb: float
    curves: list[dict[str, float]]
    policy: Policy
    micro_batches: int = 1  # that each batch was divided into, for want of memory
    ranks: int = 1  # processes that shared each batch


class Loop:
    """Trains one method on one trial's batches, from its last checkpoint if there is one."""

    def __init__(
        self,
        method: Method,
        batches: Epochs,
        settings: Training,
        trial: Trial,
        device: torch.device,
        log: logging.Logger,
        say: Callable[..., None] | None = None,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        micro_batches: int = 1,
        group: Group = ALONE,
        logger: Logger | None = None,
    ) -> None:
        """
        Args:
            say: told how far the training is, every few seconds; default: the trial's `write_progress`.
            should_stop: asked after each step (on rank 0) whether to write a checkpoint and leave.
            micro_batches: parts that each batch is divided into, for less memory. `Turns` says what that changes. A
                training that goes on from a checkpoint is never divided into fewer parts than before, and stays in the
                precision that it began in.
            group: the processes that share each batch.
            logger: told the points of the curves and the learning rates; from the first on, also after a checkpoint.
        """
        self.method, self.batches, self.settings, self.log = method, batches, settings, log
        self.say = say or trial.write_progress
        self.should_stop, self.micro_batches, self.group = should_stop, micro_batches, group
        self.device, self.logger, self.trial = device, logger, trial
        self.turns = Turns(method, settings, Policy.of(settings, device, method), group)
        self.options = self.turns.options
        batches.channels_last = self.turns.policy.channels_last
        self.checkpoints = Checkpoints(trial.path / "checkpoints")
        self.step = 0
        self.seconds = 0.0  # of training, over all attempts: what is lost since a checkpoint does not count
        self.elapsed = 0.0  # likewise, but lost time counts
        self.curves: list[dict[str, float]] = []
        self.rates: list[dict[str, float]] = []  # learning rates at the points of the curves
        self._stop = False
        self._saved = 0  # the step of the newest checkpoint
        self._spoke = -math.inf

    def run(self) -> Outcome:
        """Train until the budget is used up.

        Raises:
            DivergedError: a loss or a weight is NaN or infinite. Checkpoints are from before.
            Interrupted: `should_stop` said so; a checkpoint of this very step is written.
            TrialError: the time limit is used up (a checkpoint is written), a batch cannot be divided as asked, or
                an option of the training does nothing for this method.
        """
        if self.settings.batch_size < self.group.size:
            raise TrialError(
                f"a batch of {self.settings.batch_size} cannot be divided over {self.group.size} GPUs; "
                "raise training.batch_size or lower resources.gpus"
            )
        self._restore()
        for point, rates in zip(self.curves, self.rates, strict=True):
            self._tell(point, rates)
        memory = PeakMemory(self.device)
        self._start_clock()
        self._say({}, "starting")  # until the first step, which compiles networks and opens the data
        self._spoke = -math.inf
        policy = self.turns.policy
        with policy.compiled(self.method, self.log) as networks:
            self._steps()
        self._require_finite()
        self.options.finish()
        rate = self.step * self.settings.batch_size / self.seconds if self.step else 0.0
        return Outcome(
            self.step,
            self.seconds,
            rate,
            memory.megabytes(),
            self.curves,
            replace(policy, eager=policy.eager or networks.failed),
            self.micro_batches,
            self.group.size,
        )

    def progress(self) -> float:
        """The share of the budget that is used: of the steps, or of the minutes where they are nearer to their end."""
        share = self.step / self.settings.steps if self.settings.steps else 1.0
        return max(share, self.seconds / (60 * self.settings.minutes)) if self.settings.minutes else share

    def _steps(self) -> None:
        while self.progress() < 1.0:
            self._leave_if_told()
            self._one_step()
            self._look_at_clock()
            if self.step % self.settings.log_every == 0 or self.progress() >= 1.0:
                self._log()
            if self.settings.score_every and self.step % self.settings.score_every == 0 and self.progress() < 1.0:
                self._keep()  # before a checkpoint of this step, from which it would not come again
            if self.step % self.settings.checkpoint_every == 0 and self.progress() < 1.0:
                self._save()

    def _one_step(self) -> None:
        progress = self.progress()
        self.turns.set_learning_rate(learning_rate(self.method.params, self.step, progress))
        whole = self.settings.batch_size
        a, b, *domains = self.batches.at(self.step, self.group.part(whole))
        self.turns.step(self.method, Batch(a, b, progress, self.step, *domains), whole, self.micro_batches)
        self.step += 1

    # -- the clock, and reasons to leave ---------------------------------------------------------------------------

    def _start_clock(self) -> None:
        self._started, self._before = time.perf_counter(), (self.seconds, self.elapsed)
        self._look_at_clock()

    def _look_at_clock(self) -> None:
        """Take the time and ask whether to stop; rank 0's answers hold for all, or the ranks would part."""
        spent = time.perf_counter() - self._started
        seconds, elapsed = (before + spent for before in self._before)
        self.seconds, self.elapsed, stop = self.group.agree(seconds, elapsed, self.should_stop())
        self._stop = bool(stop)
        often = min(SPEAK_SECONDS, (self.settings.hang_seconds or math.inf) / 4)
        if time.monotonic() - self._spoke > often and self.step:
            self._say({})

    def _leave_if_told(self) -> None:
        limit = self.settings.limit_minutes
        over = limit is not None and self.elapsed >= 60 * limit
        if not (self._stop or over):
            return
        if self.step != self._saved:
            self._save()
        if self._stop:
            raise Interrupted(f"stopped at step {self.step} of {self.settings.steps}, as asked")
        raise TrialError(
            f"used up its limit of {limit:g} minutes at step {self.step} of {self.settings.steps}; "
            "with a higher training.limit_minutes it goes on from there"
        )

    # -- what is said and checked ----------------------------------------------------------------------------------

    def _log(self) -> None:
        losses = self._finite_losses()
        self.turns.restart()
        self.curves.append({"step": self.step, "seconds": round(self.seconds, 3), **losses})
        self.rates.append({name: o.param_groups[0]["lr"] for name, o in self.turns.optimisers.items()})
        if self.group.rank == 0:
            self.trial.append_curves(self.curves[-1])
        self._tell(self.curves[-1], self.rates[-1])
        self._say(losses)
        terms = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        self.log.info("step %d/%d  %s", self.step, self.settings.steps, terms)

    def _tell(self, point: dict[str, float], rates: dict[str, float]) -> None:
        if self.logger is not None:
            losses = {name: value for name, value in point.items() if name not in ("step", "seconds")}
            named = {f"learning_rate/{player}": rate for player, rate in rates.items()}
            self.logger.scalars(int(point["step"]), losses | named)

    def _say(self, losses: dict[str, float], state: str = "training") -> None:
        """Tell how far the training is. Only steps make it speak: silence of `hang_seconds` means that it hangs."""
        progress, last = self.progress(), (self.curves[-1] if self.curves else {})
        shown = losses or {key: value for key, value in last.items() if key not in ("step", "seconds")}
        self._spoke = time.monotonic()
        if self.group.rank:
            return
        self.checkpoints.spend(self.elapsed)
        self.say(
            state,
            step=self.step,
            steps=self.settings.steps,
            step_at=time.time(),
            images_per_second=self.step * self.settings.batch_size / self.seconds if self.seconds else None,
            loss=sum(shown.values()) if shown else None,
            eta_seconds=self.seconds * (1 - progress) / progress if progress and self.seconds else None,
        )

    def _finite_losses(self) -> dict[str, float]:
        losses = self.turns.means()
        if not all(map(math.isfinite, losses.values())):
            name = self.turns.spoilt() or next(name for name, mean in losses.items() if not math.isfinite(mean))
            raise DivergedError(
                f"the loss {name} became {losses[name]} "
                f"within the {min(self.settings.log_every, self.step)} steps up to step {self.step}"
            )
        return losses

    def _require_finite(self) -> None:
        """A loss may be finite and its gradient not, and a checkpoint fall between two looks at the losses."""
        self._finite_losses()
        for name, state in self.method.state_dict().items():
            for key, value in state.items():
                if isinstance(value, torch.Tensor) and not torch.isfinite(value).all():
                    raise DivergedError(f"{name}.{key} holds NaN or infinite values at step {self.step}")

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def _save(self) -> None:
        """Write all that a training needs to go on as if never stopped; the data's order hangs on the step alone."""
        self._require_finite()
        ranks = self.group.gather(own_state(self.method, self.turns, self.device, self.group.rank))
        self._saved = self.step
        if self.group.rank:
            return
        self.checkpoints.save(
            self.step,
            {
                "method": self.method.state_dict(),
                "optimisers": self.turns.state_dict(),
                "options": self.options.state_dict(),
                "ranks": ranks,
                "step": self.step,
                "seconds": self.seconds,
                "curves": self.curves,
                "rates": self.rates,
                "micro_batches": self.micro_batches,
                "precision": self.turns.policy.precision,
            },
        )
        self.checkpoints.spend(self.elapsed)

    def _keep(self) -> None:
        if self.group.rank == 0:
            snapshots.keep(self.trial, self.step, self.seconds, self.method, self.options)

    def _restore(self) -> None:
        with self.group.one_after_the_other():  # rank 0 throws away what is damaged
            if self.group.rank == 0:
                self.checkpoints.tidy()
            state = self.checkpoints.latest(self.device, self.log)
        self.elapsed = self.checkpoints.spent()
        if state is not None:
            self._go_on_from(state)
        if self.group.rank == 0:  # what an attempt did since its checkpoint comes again
            snapshots.drop_after(self.trial, self.step)
            self.trial.write_curves(self.curves)

    def _go_on_from(self, state: dict[str, Any]) -> None:
        self.method.load_state_dict(state["method"])
        self.turns.load_state_dict(state["optimisers"])
        self.options.load_state_dict(state["options"])
        if self.group.rank < len(state["ranks"]):  # else there were fewer: this one goes on with fresh noise
            load_own_state(state["ranks"][self.group.rank], self.method, self.turns, self.device)
        self.step, self.seconds = state["step"], state["seconds"]
        self.curves, self.rates = state["curves"], state["rates"]
        self.micro_batches = max(self.micro_batches, state["micro_batches"])
        self.turns.policy = self.turns.policy.going_on(state.get("precision"), self.log)
        self._saved = self.step
        self.log.info("resumed from the checkpoint at step %d", self.step)

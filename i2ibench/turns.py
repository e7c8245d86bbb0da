"""The players' turns: freezing, precision, back-propagation and optimisers, over micro-batches and processes too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from i2ibench.distributed import ALONE, Group
from i2ibench.errors import TrialError
from i2ibench.method import Batch, Method
from i2ibench.options import Options

if TYPE_CHECKING:
    from torch import Tensor


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The type that networks compute in, or None for float32."""
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return torch.bfloat16 if precision == "bf16" else None


class Turns:
    """Gives the players of a method their turns: `with turns("generator") as loss: loss.l1 = ...`.

    On entry every other player is frozen (before the forward pass, or a compiled network computes their weight
    gradients all the same); on leaving without an exception the losses are summed and back-propagated, and the
    player's own Adam takes a step. Sums of every loss stay on the device until `means` asks for them.

    A batch can be divided, over micro-batches (`step`) and over processes (`group`): each part's losses count by its
    share of the images, the gradients of all parts are added up, and the optimisers see what one batch would give
    them wherever losses are means over images. Where they are not, they see something close:

    - batch norm, and losses of a whole batch's statistics (the VAE's learned scale, free bits), take those of a part;
    - spectral norm takes one power iteration per micro-batch and not per step; noise is drawn in another order;
    - micro-batches alone: the optimisers step at the end of the whole step, so a player's turn sees the others as
      they were at its beginning (pix2pix and CycleGAN do not mind, as their second turn uses what the first one made).
    """

    def __init__(
        self,
        method: Method,
        clip: float | None = None,
        dtype: torch.dtype | None = None,
        options: Options | None = None,
        group: Group = ALONE,
    ) -> None:
        params = method.params
        self._clip, self._dtype, self._options, self._group = clip, dtype, options or Options(method), group
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
        self.sums: dict[str, Tensor] = {}  # of each loss on this process, weighted by the share of the images
        self.counts: dict[str, float] = {}
        self._share = 1.0  # of the images of this step's batch, in the turn being taken
        self._waiting: dict[str, int] | None = None  # players whose gradients are being gathered, and their turns

    def step(self, method: Method, batch: Batch, whole: int, parts: int = 1) -> None:
        """One training step of the method.

        Args:
            batch: this process's images.
            whole: how many images all processes have together.
            parts: micro-batches to divide this process's images into, as far as they go.

        Raises:
            TrialError: micro-batches meet a player that takes several turns in a step.
        """
        if parts > 1 and whole > 1:  # on every process alike, even on one that has a single image
            self._waiting = {}
        parts = min(parts, len(batch.a))
        try:
            for a, b in zip(batch.a.tensor_split(parts), batch.b.tensor_split(parts), strict=True):
                self._share = len(a) / whole
                method.step(replace(batch, a=a, b=b), self)
            if self._waiting is not None:
                self._require_one_turn_each(self._waiting, parts)
                for player in self._waiting:
                    self._learn(player)
        finally:
            self._share, self._waiting = 1.0, None

    @contextmanager
    def __call__(self, player: str) -> Iterator[Any]:
        for name, parameters in self._parameters.items():
            for parameter in parameters:
                parameter.requires_grad_(name == player)
        losses = SimpleNamespace()
        device = self._parameters[player][0].device
        with self._options.turn(player), torch.autocast(device.type, self._dtype, enabled=self._dtype is not None):
            yield losses
        terms: dict[str, Tensor] = vars(losses) | self._options.penalties()
        if self._waiting is None or player not in self._waiting:
            self.optimisers[player].zero_grad(set_to_none=True)
        (self._share * torch.stack([term.float() for term in terms.values()]).sum()).backward()
        for name, term in terms.items():
            key = f"{player}.{name}"
            self.sums[key] = self.sums.get(key, 0.0) + self._share * term.detach().float()
            self.counts[key] = self.counts.get(key, 0.0) + self._share
        if self._waiting is None:
            self._learn(player)
        else:
            self._waiting[player] = self._waiting.get(player, 0) + 1

    def _learn(self, player: str) -> None:
        """The player's optimiser takes a step by the gradients of all micro-batches and processes."""
        # Not torch's DistributedDataParallel: it averages during the backward pass of one forward call of the module
        # it wraps, and methods call parts of a player, several times in a turn, and freeze it in the others' turns.
        self._group.add_up([p.grad for p in self._parameters[player] if p.grad is not None])
        if self._clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters[player], self._clip)
        self.optimisers[player].step()

    def _require_one_turn_each(self, turns: dict[str, int], parts: int) -> None:
        for player, taken in turns.items():
            if taken != parts:
                raise TrialError(
                    f"{player} takes more or less than one turn in a step, so micro-batches cannot gather its "
                    "gradients; choose a smaller training.batch_size"
                )

    def set_learning_rate(self, rate: float) -> None:
        """What the schedule says; the options make of it each player's own."""
        rates = self._options.rates(rate)
        for player, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = rates[player]

    def means(self) -> dict[str, float]:
        """Mean of each loss since the last `restart`, over all processes. Waits for the device."""
        if not self.sums:
            return {}
        totals = torch.stack([*self.sums.values()]).double()
        weights = torch.tensor([*self.counts.values()], dtype=totals.dtype, device=totals.device)
        self._group.add_up([totals, weights])
        return dict(zip(self.sums, (totals / weights).tolist(), strict=True))

    def restart(self) -> None:
        """Forget the losses so far: a new point of the curve begins."""
        self.sums, self.counts = {}, {}

    def state_dict(self) -> dict[str, Any]:
        """What all processes have in common."""
        return {player: optimiser.state_dict() for player, optimiser in self.optimisers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for player, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state[player])

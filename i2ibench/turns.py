"""The players' turns: freezing, precision, back-propagation and optimisers, over micro-batches and processes too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map

from i2ibench.distributed import ALONE, Group
from i2ibench.errors import TrialError
from i2ibench.method import Batch, Method
from i2ibench.nn.functional import Network, full, keeping, module_of, repeatable
from i2ibench.options import Options
from i2ibench.policy import Policy

if TYPE_CHECKING:
    from torch import Tensor

    from i2ibench.config import Training


@dataclass(frozen=True)
class _Kept:
    """What a network made of `x` (held, so that no other takes its id) while its parameters had these versions."""

    x: Tensor
    versions: list[int]
    output: Any


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
        settings: Training | None = None,
        policy: Policy | None = None,
        group: Group = ALONE,
    ) -> None:
        """Makes the method ready for the policy, and gives it what `settings` ask for besides its own losses."""
        params = method.params
        self.policy = policy or Policy()
        self.policy.prepare(method)
        self.options, self._group = Options(method, settings), group
        self._parameters = {
            player: [p for p in getattr(method, player).parameters() if p.requires_grad] for player in method.players
        }
        self.optimisers = {
            player: torch.optim.Adam(
                parameters,
                lr=params.lr,
                betas=(params.beta1, params.beta2),
                weight_decay=params.weight_decay,
                fused=self.policy.fused,  # torch's default on CPU is a Python loop over the tensors
            )
            for player, parameters in self._parameters.items()
        }
        # Of the losses that turns left together, on this process, (2, n): their sums, weighted by the share of the
        # images, and how often each was no finite number.
        self.sums: dict[tuple[str, ...], Tensor] = {}
        self.counts: dict[tuple[str, ...], float] = {}
        self._kept: dict[tuple[int, str, int], _Kept] = {}  # what a later turn of this step needs too
        self._trained = {id(p) for parameters in self._parameters.values() for p in parameters}
        self._taken = False  # any turn in this step
        self._open = ""  # the player whose turn it is
        self._share = 1.0  # of the images of this step's batch, in the turn being taken
        self._waiting: dict[str, int] | None = None  # players whose gradients are being gathered, and their turns

    def step(self, method: Method, batch: Batch, whole: int, parts: int = 1) -> None:
        """One training step of the method, with all that the options do after it.

        Args:
            batch: this process's images.
            whole: how many images all processes have together.
            parts: micro-batches to divide this process's images into, as far as they go.

        Raises:
            TrialError: nobody took a turn, an option had nothing to work on, or micro-batches meet a player that takes
                several turns in a step.
        """
        if parts > 1 and whole > 1:  # on every process alike, even on one that has a single image
            self._waiting = {}
        parts, self._taken = min(parts, len(batch.a)), False
        try:
            for part in _divided(batch, parts):
                self._share = len(part.a) / whole
                method.step(self.policy.batch(part), self)
            if not self._taken:
                raise TrialError('step() gives no player its turn: `with turn("generator") as loss: ...`')
            if self._waiting is not None:
                self._require_one_turn_each(self._waiting, parts)
                for player in self._waiting:
                    self._learn(player)
        finally:
            self._share, self._waiting = 1.0, None
            self._kept.clear()
        self.options.stepped()

    @contextmanager
    def __call__(self, player: str) -> Iterator[Any]:
        if player not in self._parameters:
            raise TrialError(f"step() gives '{player}' a turn, and `players` names {', '.join(self._parameters)}")
        if self._open:
            raise TrialError(f"step() gives {player} a turn within that of {self._open}: end one before the next")
        self._taken, self._open = True, player
        for name, parameters in self._parameters.items():
            for parameter in parameters:
                parameter.requires_grad_(name == player)
        losses = SimpleNamespace()
        device = self._parameters[player][0].device
        token = keeping.set(self._once if self.policy.shared else None)
        try:
            with self.policy.ruling(device):
                with self.options.turn(player), self.policy.casting(device):
                    yield losses
                terms = _scalars(player, vars(losses)) | self.options.penalties()
                if self._waiting is None or player not in self._waiting:
                    self.optimisers[player].zero_grad(set_to_none=True)
                values = torch.stack([full(term) for term in terms.values()])
                (self._share * values.sum()).backward()
        finally:
            keeping.reset(token)
            self._open = ""
        self._note(tuple(f"{player}.{name}" for name in terms), values.detach())
        if self._waiting is None:
            self._learn(player)
        else:
            self._waiting[player] = self._waiting.get(player, 0) + 1

    def _note(self, names: tuple[str, ...], values: Tensor) -> None:
        """Without waiting for the device."""
        noted = torch.stack([self._share * values, (~values.isfinite()).to(values.dtype)])
        self.sums[names] = self.sums.get(names, 0.0) + noted
        self.counts[names] = self.counts.get(names, 0.0) + self._share

    def _once(self, net: Network, x: Tensor) -> Any:
        """What `nn.shared` does in a turn: a frozen network's output is kept, with its graph, for its own turn."""
        key = id(module_of(net)), getattr(net, "__name__", "forward"), id(x)
        parameters = list(module_of(net).parameters())
        versions = [p._version for p in parameters]
        frozen = [p for p in parameters if id(p) in self._trained and not p.requires_grad]
        kept = self._kept.pop(key, None)
        if kept is None or kept.versions != versions:
            if not frozen or not repeatable(net):
                return net(x)
            for p in frozen:
                p.requires_grad_(True)
            try:
                kept = _Kept(x, versions, net(x))
            finally:
                for p in frozen:
                    p.requires_grad_(False)
        if not frozen:
            return kept.output
        self._kept[key] = kept
        return tree_map(torch.Tensor.detach, kept.output)

    def _learn(self, player: str) -> None:
        """The player's optimiser takes a step by the gradients of all micro-batches and processes."""
        # Not torch's DistributedDataParallel: it averages during the backward pass of one forward call of the module
        # it wraps, and methods call parts of a player, several times in a turn, and freeze it in the others' turns.
        self._group.add_up([p.grad for p in self._parameters[player] if p.grad is not None])
        if self.options.settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters[player], self.options.settings.clip)
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
        rates = self.options.rates(rate)
        for player, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = rates[player]

    def means(self) -> dict[str, float]:
        """Mean of each loss since the last `restart`, over all processes. Waits for the device."""
        return {name: total / weight for name, (total, _, weight) in self._totals().items()}

    def spoilt(self) -> str | None:
        """The loss that was most often no finite number since the last `restart`: the first to be none, as a rule."""
        times = {name: count for name, (_, count, _) in self._totals().items()}
        return max(times, key=lambda name: times[name]) if any(times.values()) else None

    def _totals(self) -> dict[str, tuple[float, float, float]]:
        """Of each loss its sum, how often it was not finite, and its weight, over all processes."""
        found: dict[str, tuple[float, float, float]] = {}
        if not self.sums:
            return found
        names = [name for several in self.sums for name in several]
        totals = torch.cat([*self.sums.values()], dim=1).double()
        shares = [share for several, share in self.counts.items() for _ in several]
        weights = torch.tensor(shares, dtype=totals.dtype, device=totals.device)
        self._group.add_up([totals, weights])
        for name, *one in zip(names, *totals.tolist(), weights.tolist(), strict=True):
            before = found.get(name, (0.0, 0.0, 0.0))  # of turns that left it with others
            found[name] = (before[0] + one[0], before[1] + one[1], before[2] + one[2])
        return found

    def restart(self) -> None:
        """Forget the losses so far: a new point of the curve begins."""
        self.sums, self.counts = {}, {}

    def state_dict(self) -> dict[str, Any]:
        """What all processes have in common."""
        return {player: optimiser.state_dict() for player, optimiser in self.optimisers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for player, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state[player])


def _scalars(player: str, losses: dict[str, Any]) -> dict[str, Tensor]:
    """The losses that a turn left, each a tensor of one number.

    Raises:
        TrialError: there are none, or one is something else.
    """
    if not losses:
        raise TrialError(f"step() leaves no loss in the turn of {player}: `loss.l1 = ...`, on what `with` gives")
    for name, term in losses.items():
        if not isinstance(term, torch.Tensor) or term.dim():
            found = (
                f"of shape {tuple(term.shape)}" if isinstance(term, torch.Tensor) else f"of type {type(term).__name__}"
            )
            raise TrialError(
                f"step() leaves a loss.{name} {found} in the turn of {player}: leave one number, as a tensor"
            )
    return losses


def _divided(batch: Batch, parts: int) -> Iterator[Batch]:
    tensors = {name: getattr(batch, name) for name in ("a", "b", "of_a", "of_b")}
    pieces = {name: tensor.tensor_split(parts) for name, tensor in tensors.items() if tensor is not None}
    for several in zip(*pieces.values(), strict=True):
        yield replace(batch, **dict(zip(pieces, several, strict=True)))

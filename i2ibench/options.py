"""What the loop can do about a training in trouble: EMA, warm-up, TTUR, spectral norm, R1 and DiffAugment.

All are off by default, and then touch nothing. They work on any method without its file knowing: the first player is
taken for the generator, the others for discriminators, whose networks are called with the images first, by position.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.hooks import RemovableHandle

from i2ibench.config import Training
from i2ibench.errors import TrialError
from i2ibench.nn.augment import diffaugment
from i2ibench.nn.losses import on_real
from i2ibench.policy import current

if TYPE_CHECKING:
    from i2ibench.method import Method


class Options:
    """The options of one training, put upon its method's networks before the optimisers are made.

    - `spectral_norm`: each convolution and linear layer of the discriminators is divided by its largest singular
      value (Miyato et al. 2018, arXiv:1802.05957), one step of power iteration at each forward pass.
    - `diffaugment`: all that the discriminators see in a turn is augmented (Zhao et al. 2020, arXiv:2006.10738).
    - `r1`: gamma / 2 |grad D(x)|^2 on real images (Mescheder et al. 2018, arXiv:1801.04406), in the discriminators'
      own turns, where they compute in float32. D(x) is the mean of a map of scores, and each map counts as a
      discriminator of its own, as in the GAN losses. `nn.gan_loss(scores, real=True)` tells which images are real.
    - `ttur`: the discriminators' learning rate is that multiple of the generator's (Heusel et al. 2017,
      arXiv:1706.08500). `warmup`: all learning rates grow linearly over so many steps.
    - `ema`: an average of the generator's parameters and buffers, which takes its place at the end of the training.
      The decay begins low, min(ema, (1 + t) / (10 + t)), so that the initial weights do not stay in the average.
    """

    def __init__(self, method: Method, settings: Training | None = None) -> None:
        self.settings = settings = settings or Training()
        self._players = method.players
        self._generator: nn.Module = getattr(method, method.players[0])
        self._discriminators = {player: networks(getattr(method, player)) for player in method.players[1:]}
        self._player: str | None = None  # whose turn it is
        self._inputs: list[Tensor] = []  # what the discriminators were shown in this turn, before augmentation
        self._penalty: Tensor | None = None
        self._idle = {name for name in ("r1", "diffaugment") if getattr(settings, name)}  # had nothing to do so far
        self._hooks: list[RemovableHandle] = []
        self._untried = set(self._discriminators)  # had no turn so far: not every step need be theirs
        self.steps = 0
        judges = [network for group in self._discriminators.values() for network in group]
        if settings.spectral_norm:
            for layer in (layer for judge in judges for layer in weighted(judge)):
                parametrizations.spectral_norm(layer)
        if settings.spectral_norm or settings.r1 or settings.diffaugment:
            for judge in judges:
                self._enter(judge)
        self._average = [tensor.detach().clone() for tensor in self._averaged()]

    @contextmanager
    def turn(self, player: str) -> Iterator[None]:
        """Around the forward passes of a player's turn."""
        self._player, self._inputs, self._penalty = player, [], None
        self._untried.discard(player)
        token = on_real.set(self._penalise if self._penalises() else None)
        try:
            yield
        finally:
            on_real.reset(token)
            self._player, self._inputs = None, []

    def penalties(self) -> dict[str, Tensor]:
        """The loss terms that the options add to those of the turn just taken."""
        return {} if self._penalty is None else {"r1_penalty": self._penalty}

    def rates(self, rate: float) -> dict[str, float]:
        """Each player's learning rate in this step, from what the schedule says."""
        if self.settings.warmup:
            rate *= min(1.0, (self.steps + 1) / self.settings.warmup)
        return {p: rate * self.settings.ttur if p in self._discriminators else rate for p in self._players}

    def stepped(self) -> None:
        """After each training step.

        Raises:
            TrialError: an option had nothing to work on.
        """
        for name in () if self._untried else self._idle:
            needs = {"r1": "no discriminator calls nn.gan_loss(scores, real=True)", "diffaugment": "none is called"}
            raise TrialError(f"training.{name} does nothing for this method: {needs[name]}; leave it out")
        if self.settings.ema is not None:
            live, decay = self._averaged(), min(self.settings.ema, (1 + self.steps) / (10 + self.steps))
            floats = [i for i, tensor in enumerate(live) if tensor.is_floating_point()]
            with torch.no_grad():
                get_ema_multi_avg_fn(decay)([self._average[i] for i in floats], [live[i] for i in floats], None)
                for average, tensor in zip(self._average, live, strict=True):
                    if not tensor.is_floating_point():
                        average.copy_(tensor)
        self.steps += 1

    def finish(self) -> None:
        """Leave plain networks: the average in the generator's place, and the spectral norm in the weights."""
        with torch.no_grad():
            for average, tensor in zip(self._average, self._averaged(), strict=True):
                tensor.copy_(average)
        for hook in self._hooks:
            hook.remove()
        for judge in (network for group in self._discriminators.values() for network in group):
            for layer in weighted(judge) if self.settings.spectral_norm else ():
                parametrize.remove_parametrizations(layer, "weight")

    def state_dict(self) -> dict[str, Any]:
        return {"average": self._average, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._average, self.steps = state["average"], state["steps"]

    def _averaged(self) -> list[Tensor]:
        """The generator's own tensors that `ema` averages."""
        return [*self._generator.parameters(), *self._generator.buffers()] if self.settings.ema else []

    def _penalises(self) -> bool:
        return self.settings.r1 is not None and self._player in self._discriminators

    def _enter(self, judge: nn.Module) -> None:
        """Put what the options do to a discriminator's input and precision around its `forward`.

        They are hooks, which run outside of what may be compiled of it.
        """
        layers = weighted(judge) if self.settings.spectral_norm else []
        open_passes: list[ExitStack] = []

        def before(network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
            open_passes.append(stack := ExitStack())
            if self._player is None:
                return None
            x, *others = inputs
            penalised = self._penalises()
            if penalised:
                x = x.float() if x.requires_grad else x.detach().float().requires_grad_()
                self._inputs.append(x)
            if self.settings.diffaugment:
                self._idle.discard("diffaugment")
                x = diffaugment(x, self.settings.diffaugment)
            if layers:  # the power iteration in float32, once for this pass
                stack.enter_context(parametrize.cached())
                with torch.autocast(x.device.type, enabled=False):
                    for layer in layers:
                        _ = layer.weight
            if penalised:
                stack.enter_context(torch.autocast(x.device.type, enabled=False))
                stack.enter_context(current().differentiable_twice())
            return (x, *others)

        def after(*_: Any) -> None:
            open_passes.pop().close()

        self._hooks += [judge.register_forward_pre_hook(before), judge.register_forward_hook(after, always_call=True)]

    def _penalise(self, scores: Tensor) -> None:
        """Called by `nn.gan_loss` with scores that are of real images; inputs that they do not hang on add nothing."""
        if self.settings.r1 is None or not self._inputs:
            return
        with torch.autocast(scores.device.type, enabled=False):
            judged = scores.float().reshape(len(scores), -1).mean(1).sum()
            gradients = torch.autograd.grad(judged, self._inputs, create_graph=True, allow_unused=True)
            steepness = [gradient.square().sum() for gradient in gradients if gradient is not None]
            if not steepness:  # scores of something else than a discriminator's forward pass
                return
            term = 0.5 * self.settings.r1 * torch.stack(steepness).sum() / len(scores)
        self._idle.discard("r1")
        self._penalty = term if self._penalty is None else self._penalty + term


def networks(player: nn.Module) -> list[nn.Module]:
    """The networks of a player that a method can call: itself, or the members of a group such as `nn.group` makes."""
    if type(player).forward is not nn.Module.forward:
        return [player]
    return [network for child in player.children() for network in networks(child)]


def weighted(network: nn.Module) -> list[nn.Module]:
    """Its layers that have one weight to normalise: convolutions, transposed ones, and linear maps."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    return [layer for layer in network.modules() if isinstance(layer, kinds)]

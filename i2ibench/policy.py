"""How a training computes, never what: number format, layout, Adam, compiling, and which calls share their work."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import torch

    from i2ibench.compiling import Compiled
    from i2ibench.config import Training
    from i2ibench.method import Batch, Method

Precision = Literal["fp64", "fp32", "tf32", "bf16"]
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """One way to compute the steps of a method, whatever the method. All ways compute the same sums, but for rounding.

    The loop, the options and `i2ibench.nn` look at it; a method file only calls what `nn` offers.
    """

    precision: Precision = "fp32"  # bf16: networks alone; losses, statistics, penalties and Adam stay in float32
    channels_last: bool = False  # of images and kernels, on the networks that the method trains
    fused: bool = True  # one kernel for Adam's step, in place of torch's loop over the tensors
    batched: bool = True  # `nn.calls`: several calls of a network go through as one batch where that changes nothing
    shared: bool = True  # `nn.shared`: what two turns both need is computed once
    rewritten: bool = True  # on a CPU: convolutions that halve, double or enlarge, where `nn` knows a faster way
    compile: bool = False  # the players' networks, by torch (see i2ibench/compiling.py)
    eager: str = ""  # why not, or not all of them, though it was asked for

    @classmethod
    def of(cls, training: Training, device: torch.device, method: Method) -> Policy:
        """The policy of a method's training on a device.

        `precision: auto` is bf16 on a GPU that has it and on a CPU with AMX, and fp32 everywhere else: on a CPU without
        AMX bf16 is slower (benchmarks/RESULTS.md). On one that has none at all it shows what a GPU's would do to the
        scores (`widening`).

        Channels lie last for AMX alone, and where the method's layers are fast so, as they say themselves (`layout`).

        `compile: auto` is eager mode everywhere: on CPUs compiled networks lose, or gain nothing that can be told from
        noise (benchmarks/RESULTS.md), and on GPUs nobody has measured (`python -m benchmarks.training_step --compile`
        does, and says after how many steps compiling has paid for itself). Where it wins, `auto` may become a rule of
        the kind of device and the number of steps. To measure within each training would be nearer the mark, but then
        rounding, and so the scores, would hang on the clock, and one seed give two results on one machine. `true`
        where nothing can be compiled is eager mode too, and `eager` says why.
        """

        precision: Any = training.precision
        if precision == "auto":
            precision = "bf16" if _has_bf16(device) else "fp32"
        last = precision == "bf16" and device.type == "cpu" and _has_bf16(device) and _fast_channels_last(method)
        if training.compile is not True:
            return cls(precision, channels_last=last)
        from i2ibench.compiling import hindrance

        why = hindrance(device.type)
        return cls(precision, channels_last=last, compile=not why, eager=why)

    @classmethod
    def reference(cls, precision: Literal["fp64", "fp32"] = "fp32") -> Policy:
        """The plain way, which every other is compared with: nothing batched, shared, fused or rewritten."""
        return cls(precision, fused=False, batched=False, shared=False, rewritten=False)

    def going_on(self, precision: Precision | None, log: logging.Logger) -> Policy:
        """This policy in the precision that a training began in, maybe on another machine; None: that is not known."""
        if precision is None or precision == self.precision:
            return self
        log.info("it began in %s, and goes on so, though it would begin in %s here", precision, self.precision)
        return replace(self, precision=precision)

    def prepare(self, method: Method) -> None:
        """Bring the method's networks into the policy's type and layout: before options and optimisers are made."""
        import torch

        for module in method.modules().values():
            if self.precision == "fp64":
                module.to(torch.float64)
            if self.channels_last:
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def compiled(self, method: Method, log: logging.Logger = LOG) -> Compiled:
        """The players' networks, compiled within a `with` block if the policy says so; `log` is told what is not."""
        from i2ibench.compiling import Compiled

        if self.eager:
            log.warning("training.compile: nothing can be compiled here, so all runs in eager mode: %s", self.eager)
        return Compiled([getattr(method, player) for player in method.players] if self.compile else [], log)

    def batch(self, batch: Batch) -> Batch:
        """A batch in the policy's type and layout."""
        import torch

        dtype = torch.float64 if self.precision == "fp64" else None
        layout = torch.channels_last if self.channels_last else torch.preserve_format
        a, b = (images.to(dtype=dtype or images.dtype, memory_format=layout) for images in (batch.a, batch.b))
        return replace(batch, a=a, b=b)

    @contextmanager
    def ruling(self, device: torch.device) -> Iterator[None]:
        """For a turn, with its backward pass: `nn` follows this policy, and matrix products are of its precision."""
        import torch

        from i2ibench import widening

        token = _CURRENT.set(self)
        widened = self.precision == "bf16" and device.type == "cpu" and not self.compile and widening.needed()
        kinds: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn) if device.type == "cuda" else ()
        before = [kind.allow_tf32 for kind in kinds]
        try:
            for kind in kinds:
                kind.allow_tf32 = self.precision == "tf32"
            with widening.Widened() if widened else nullcontext():
                yield
        finally:
            _CURRENT.reset(token)
            for kind, value in zip(kinds, before, strict=True):
                kind.allow_tf32 = value

    def casting(self, device: torch.device) -> AbstractContextManager[Any]:
        """For the forward passes of a turn."""
        import torch

        return torch.autocast(device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def differentiable_twice(self) -> AbstractContextManager[Any]:
        """For the forward pass of a network whose gradient is differentiated, which no compiled one's can be."""
        import torch

        return torch.compiler.set_stance("force_eager") if self.compile else nullcontext()


def _has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies numbers of bf16 faster than those of fp32: such GPUs, and CPUs with AMX."""
    import torch

    return torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_amx_tile_supported()


def _fast_channels_last(method: Method) -> bool:
    """Whether any layer is fast with channels last, and none with channels first, of those that know their `layout`."""
    import torch

    layers = (layer for network in method.modules().values() for layer in network.modules())
    return {layer.layout for layer in layers if hasattr(layer, "layout")} == {torch.channels_last}


_CURRENT: ContextVar[Policy | None] = ContextVar("policy", default=None)


def current() -> Policy:
    """What `i2ibench.nn` follows: the policy of the turn being taken."""
    return _CURRENT.get() or Policy()

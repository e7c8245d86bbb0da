"""Networks compiled by torch for the length of a training, and what is done where that cannot be."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from i2ibench.errors import first_line

if TYPE_CHECKING:
    from typing_extensions import Self

VARIANTS = 256  # of all networks of a training together; past them something changes at each step, and nothing is won


class Compiled:
    """Networks that are compiled at their first call, and are what they were again when the `with` block ends.

    A network is compiled where a method enters it, as one with all it is made of: as a whole, or part by part where a
    method goes through it by another way than `forward` (MUNIT's encoders and decoder). A single layer stays as it is.
    Names and tensors stay, so checkpoints are the same. Shapes are fixed (`dynamic=False`), and random numbers are
    eager mode's. Each shape, and each set of frozen players, makes a variant of its own, of which torch by itself keeps
    eight and then falls back to eager mode unasked.

    What cannot be compiled runs as it is written: there is one warning, and `failed` says why.
    """

    def __init__(self, networks: Iterable[nn.Module], log: logging.Logger) -> None:
        self.failed = ""
        self._log, self._variants = log, 0
        self._entered = [module for network in networks for module in network.modules() if _has_parts(module)]
        if not self._entered:
            return
        torch._dynamo.config.recompile_limit = 2 * VARIANTS  # of the code of one class, which many networks may share
        torch._dynamo.config.accumulated_recompile_limit = 2 * VARIANTS
        backend = self._compiled
        for module in self._entered:
            module.forward = torch.compile(module.forward, backend=backend, dynamic=False)  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the networks as they are written, and forget what was compiled."""
        for module in self._entered:
            vars(module).pop("forward", None)
        if self._entered:
            torch._dynamo.reset()
        self._entered = []

    def _compiled(self, graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        """What `torch.compile` takes for the graph of a network: Inductor's, or, if that fails, the graph itself."""
        from torch._inductor.compile_fx import compile_fx

        self._variants += 1
        try:
            if self._variants > VARIANTS:
                raise RuntimeError(f"more than {VARIANTS} variants")
            with _backward_at_once():
                return compile_fx(graph, inputs, config_patches=_settings())  # type: ignore[return-value]
        except Exception as error:
            if not self.failed:
                self.failed = f"{type(error).__name__}: {first_line(error)}"
                self._log.warning("a network could not be compiled and runs in eager mode: %s", self.failed)
            return graph.forward


@cache
def hindrance(device: str) -> str:
    """Why nothing can be compiled for a kind of device on this machine, in one line; empty if it can be.

    A line of code is compiled, for that asks at once for all it takes: on a CPU a C++ compiler and its headers, on CUDA
    Triton, and a GPU that is new enough for it.
    """
    never_seen = torch.ones(1 + time.time_ns() % 999_983, device=device)  # or torch would find the answer on the disk
    try:
        torch.compile(_a_line, dynamic=False, options=_settings())(never_seen)
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"
    finally:
        torch._dynamo.reset()
    return ""


def _a_line(x: Tensor) -> Tensor:
    return x.sin() + 1


def _settings() -> dict[str, Any]:
    """Of Inductor, as far as this torch knows them: eager mode's random numbers, and no kernels chosen by the clock."""
    from torch._inductor import config

    wanted = {"fallback_random": True, "deterministic": True, "compile_threads": torch.get_num_threads()}
    return {key: value for key, value in wanted.items() if hasattr(config, key)}


def _backward_at_once() -> AbstractContextManager[Any]:
    """Compile the backward pass with the forward pass, where a failure leaves nothing half done; if this torch can."""
    from torch._functorch import config

    wanted: dict[str, Any] = {"force_non_lazy_backward_lowering": True}
    return config.patch(wanted) if all(hasattr(config, key) for key in wanted) else nullcontext()


def _has_parts(module: nn.Module) -> bool:
    return next(module.children(), None) is not None and type(module).forward is not nn.Module.forward

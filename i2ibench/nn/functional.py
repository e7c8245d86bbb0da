"""Small functions that let a method file read like its paper: joining, grouping and calling networks."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from i2ibench.policy import current

Network = Callable[..., Any]  # a module, or a method of one such as `generator.decode`

# Who keeps what a later turn needs too: the loop (see i2ibench/turns.py).
keeping: ContextVar[Callable[[Network, Tensor], Any] | None] = ContextVar("keeping", default=None)


def cat(*tensors: Tensor) -> Tensor:
    """Stack images (N, C_i, H, W) along the channels: (N, sum of C_i, H, W)."""
    return torch.cat(tensors, dim=1)


def rows(*tensors: Tensor) -> Tensor:
    """Stack images, or what else there is one of for each, along the batch: (N_i, ...) to (sum of N_i, ...)."""
    return torch.cat(tensors)


def group(**modules: nn.Module) -> Any:
    """Several networks as one player: `nn.group(ab=G, ba=F)` is one module with the members `.ab` and `.ba`."""
    return nn.ModuleDict(modules)


def calls(net: Network, *inputs: Tensor | tuple[Tensor, ...]) -> tuple[Any, ...]:
    """The outputs of one network for several inputs of the same shape, as if it were called on each.

    They go through as one batch, which is faster, where that changes nothing: not if the network holds a batch
    normalisation, which would mix their statistics, or a dropout, which would draw in another order. An input is a
    tensor, or a tuple of the network's arguments; outputs may be tensors or (nested) lists and tuples of tensors with
    the batch first. `net` may be a module's method: `calls(generator.decode, (content, style), ...)`.
    """
    arguments = [x if isinstance(x, tuple) else (x,) for x in inputs]
    if not current().batched or not repeatable(net):
        return tuple(net(*x) for x in arguments)
    sizes = [len(x[0]) for x in arguments]
    return _split(net(*(torch.cat(parts) for parts in zip(*arguments, strict=True))), sizes)


def shared(net: Network, x: Tensor) -> Any:
    """net(x), for use where two turns of a step need it: first while the network is frozen, then while it learns.

    It is computed once if the network has not changed in between and is `repeatable`. In the first turn the output is
    detached, as nothing there shall reach the network. Outputs may be tensors, or (nested) lists and tuples of them.
    """
    keep = keeping.get()
    return net(x) if keep is None else keep(net, x)


def module_of(net: Network) -> nn.Module:
    """The module that a network is, or whose method it is."""
    module = net if isinstance(net, nn.Module) else getattr(net, "__self__", None)
    if not isinstance(module, nn.Module):
        raise TypeError(f"{net!r} is neither a module nor a method of one")
    return module


def repeatable(net: Network) -> bool:
    """Whether an image's output hangs on that image alone: no statistics of the batch, nothing drawn at random."""
    return not any(
        (isinstance(m, _BatchNorm) and (m.training or m.running_mean is None))
        or (isinstance(m, _DropoutNd) and m.training and m.p > 0)
        for m in module_of(net).modules()
    )


def full(x: Tensor) -> Tensor:
    """x in float32, unless it is more precise already: for statistics and losses of what networks made in bf16."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def frozen(net: nn.Module, *inputs: Any) -> Any:
    """The output of a network whose own parameters get no gradient from it, while its inputs do."""
    return functional_call(net, {name: p.detach() for name, p in net.named_parameters()}, inputs)


def coin() -> bool:
    """Heads or tails, from torch's global CPU generator: seeded and checkpointed, without waiting for a device."""
    return bool(torch.rand(()) < 0.5)


def _split(output: Any, sizes: list[int]) -> tuple[Any, ...]:
    if isinstance(output, Tensor):
        return output.split(sizes)
    parts = zip(*(_split(member, sizes) for member in output), strict=True)
    return tuple(type(output)(part) for part in parts)

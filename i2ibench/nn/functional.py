"""Small functions that let a method file read like its paper: joining, grouping and calling networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm


def cat(*tensors: Tensor) -> Tensor:
    """Stack images (N, C_i, H, W) along the channels: (N, sum of C_i, H, W)."""
    return torch.cat(tensors, dim=1)


def group(**modules: nn.Module) -> Any:
    """Several networks as one player: `nn.group(ab=G, ba=F)` is one module with the members `.ab` and `.ba`."""
    return nn.ModuleDict(modules)


def calls(net: nn.Module, *inputs: Tensor) -> tuple[Any, ...]:
    """The outputs of one network for several inputs of the same shape, as if it were called on each.

    They go through as one batch, which is faster, unless the network holds a batch normalisation that would mix
    their statistics. Outputs may be tensors or (nested) lists and tuples of tensors with the batch first.
    """
    if any(isinstance(m, _BatchNorm) and (m.training or m.running_mean is None) for m in net.modules()):
        return tuple(net(x) for x in inputs)
    sizes = [len(x) for x in inputs]
    return _split(net(torch.cat(inputs)), sizes)


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

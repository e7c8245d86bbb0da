"""bf16 on processors that have none: its arithmetic, at about the speed of float32."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

_ATEN = torch.ops.aten
_PRODUCTS = {
    _ATEN.convolution.default,
    _ATEN.convolution_backward.default,
    _ATEN.mm.default,
    _ATEN.addmm.default,
    _ATEN.bmm.default,
    _ATEN.baddbmm.default,
}


def needed() -> bool:
    """Whether torch has no fast products of bf16 numbers on this CPU (oneDNN asks for AVX-512)."""
    return not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class Widened(TorchDispatchMode):
    """Within a `with` block: convolutions and matrix products of bf16 tensors are computed in float32 and rounded once.

    That is what processors with bf16 do, as they multiply without rounding and sum in float32, in whatever order.
    Without them torch has loops of its own instead: a step of pix2pix takes dozens of times as long as in float32, and
    its sums are rounded on the way (benchmarks/RESULTS.md). Attention is left to torch, which takes three times as long
    for it as in float32.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in _PRODUCTS or not any(_is_bf16(arg) for arg in args):
            return func(*args, **kwargs)
        wide = tree_map_only(torch.Tensor, lambda x: x.float() if _is_bf16(x) else x, args)
        return tree_map_only(torch.Tensor, torch.Tensor.bfloat16, func(*wide, **kwargs))


def _is_bf16(arg: Any) -> bool:
    return isinstance(arg, torch.Tensor) and arg.dtype == torch.bfloat16

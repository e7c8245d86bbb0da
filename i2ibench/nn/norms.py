"""The normalisation layers, and how instance normalisation is computed where channels lie last in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import full

Norm = Literal["batch", "instance"]


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """ "batch" (with scale and shift) or "instance" (without, so the convolution before it keeps its bias)."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return InstanceNorm2d(channels)
    raise ValueError(f"unknown norm '{norm}'; available: batch, instance")


class InstanceNorm2d(nn.InstanceNorm2d):
    """torch's layer, computed as `instance_norm` does."""

    layout = torch.channels_last

    def forward(self, x: Tensor) -> Tensor:
        return instance_norm(x, self.weight, self.bias, self.eps)


def instance_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Each channel of each image (N, C, H, W) to mean 0 and variance 1, then scaled by `weight` and shifted by `bias`.

    Both are (C,), or (N, C) for each image its own, which is AdaIN. The result is of x's type; in bf16 means and
    deviations stay in float32, which torch's own rounds unless it is given a weight in float32.

    Where channels lie last in memory, torch's own brings images into the other layout, and its backward pass back,
    which takes several times as long as the sums do (benchmarks/RESULTS.md). Batch normalisation knows both layouts,
    and of a single image it is the same thing.
    """
    if weight is None and x.dtype == torch.bfloat16:
        weight, bias = x.new_ones(x.shape[1], dtype=torch.float32), x.new_zeros(x.shape[1], dtype=torch.float32)
    if _channels_last(x):
        images = x.split(1)
        each = zip(images, *(_each(parameter, len(images)) for parameter in (weight, bias)), strict=True)
        normed = [F.batch_norm(image, None, None, w, b, training=True, eps=eps) for image, w, b in each]
        return normed[0] if len(normed) == 1 else torch.cat(normed)
    if weight is not None and bias is not None and weight.dim() == 2:
        scale, shift = (parameter[..., None, None] for parameter in (weight, bias))
        return (F.instance_norm(full(x), eps=eps) * scale + shift).to(x.dtype)
    return F.instance_norm(x, weight=weight, bias=bias, eps=eps)


def _each(parameter: Tensor | None, images: int) -> Sequence[Tensor | None]:
    return [None] * images if parameter is None else parameter.expand(images, -1).unbind()


def _channels_last(x: Tensor) -> bool:
    """In eager mode on a CPU, that is: a GPU takes longer to launch an image's work, and a compiler writes its own."""
    eager_cpu = x.device.type == "cpu" and not torch.compiler.is_compiling()
    return eager_cpu and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()

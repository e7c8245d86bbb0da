"""Initial weights as in the authors' code of pix2pix, CycleGAN, UNIT and MUNIT."""

from __future__ import annotations

from typing import Literal, TypeVar

from torch import nn
from torch.nn import init
from torch.nn.modules.batchnorm import _BatchNorm

M = TypeVar("M", bound=nn.Module)


def init_weights(module: M, kind: Literal["normal", "kaiming", "xavier"] = "normal", gain: float = 0.02) -> M:
    """Draw the weights of all 2-D convolutions and linear layers anew, zero their biases, and return the module.

    Args:
        module: the network; batch normalisations inside get scales from N(1, 0.02). Other layers stay as they are.
        kind: "normal" N(0, gain); "kaiming" He et al. normal over fan-in (`gain` is not used); "xavier" Glorot
            normal times `gain` (MUNIT's code takes sqrt(2)).
    """
    if kind not in ("normal", "kaiming", "xavier"):
        raise ValueError(f"unknown initialisation '{kind}'; available: kaiming, normal, xavier")
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            if kind == "normal":
                init.normal_(layer.weight, 0.0, gain)
            elif kind == "kaiming":
                init.kaiming_normal_(layer.weight, a=0, mode="fan_in")
            else:
                init.xavier_normal_(layer.weight, gain)
            if layer.bias is not None:
                init.zeros_(layer.bias)
        elif isinstance(layer, _BatchNorm) and layer.affine:
            init.normal_(layer.weight, 1.0, 0.02)
            init.zeros_(layer.bias)
    return module

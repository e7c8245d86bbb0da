"""The losses that several methods share: adversarial, L1 and squared error. Each returns a scalar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from .functional import full

GANKind = Literal["vanilla", "lsgan", "wgan"]

# Who wants to know of scores that should be called real: the loop, for a gradient penalty (see i2ibench/options.py).
on_real: ContextVar[Callable[[Tensor], None] | None] = ContextVar("on_real", default=None)


def l1(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference over all elements."""
    return F.l1_loss(full(x), full(y))


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared difference over all elements."""
    return F.mse_loss(full(x), full(y))


def gan_loss(scores: Tensor | Sequence[Tensor], real: bool, kind: GANKind) -> Tensor:
    """How far a discriminator's scores are from calling everything real (or fake).

    Args:
        scores: unbounded scores of any shape, or a sequence of them, one per scale; as in MUNIT's code the loss is
            the mean over each map and the *sum* over the scales.
        real: the verdict asked for. A generator asks for `real=True` on its fakes (the non-saturating loss).
        kind: "vanilla" is the cross-entropy of Goodfellow et al. 2014 on logits; "lsgan" is the squared distance
            to 1 (real) or 0 (fake) of Mao et al. 2017; "wgan" is the score itself with its sign (Arjovsky et al. 2017).
    """
    if not isinstance(scores, Tensor):
        first, *others = (gan_loss(score, real, kind) for score in scores)
        return sum(others, start=first)
    if real and (listener := on_real.get()) is not None:
        listener(scores)
    scores = full(scores)
    if kind == "vanilla":
        return F.softplus(-scores if real else scores).mean()  # cross-entropy with logits, written out
    if kind == "lsgan":
        return (scores - float(real)).square().mean()
    if kind == "wgan":
        return -scores.mean() if real else scores.mean()
    raise ValueError(f"unknown GAN loss '{kind}'; available: lsgan, vanilla, wgan")

"""DANN: the adaptation score's classifier, adapted without a translation (Ganin et al., JMLR 2016, arXiv:1505.07818).

A domain classifier learns to tell the features of source images from those of target images, and the features learn
the opposite, since its gradient reaches them reversed: they become useful for the classes and useless for the domain.
Labels of the target domain are never seen. The network, optimiser, batches and steps are those of the classifiers that
it is compared with; the paper has momentum and a learning rate of 0.01 / (1 + 10 p)^0.75.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

HIDDEN = 100  # units of the domain classifier, as in the paper's network for MNIST
SETTINGS = {"dann_domain_classifier": f"linear, ReLU, linear; {HIDDEN} units", "dann_gamma": 10}


class Reversal(torch.autograd.Function):
    """The identity forwards; backwards, the gradient times -strength (section 4.2, equations 16 and 17)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def strength(progress: float) -> float:
    """How much of the reversed gradient counts when this share of the training is done: from 0 to 1 (section 5.2.2)."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


class Loss(nn.Module):
    """Labels of the source and domains of both, for a network whose last layer classifies its features.

    Make it after the network, so that this one's weights are those of a network that is trained alone.
    """

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        last = network[-1]
        assert isinstance(last, nn.Linear)
        self.features, self.classes = network[:-1], last
        self.domain = nn.Sequential(nn.Linear(last.in_features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))

    def forward(self, source: Tensor, labels: Tensor, target: Tensor, progress: float) -> Tensor:
        """Source images (N, ...) with their labels (N,), and as many target images without."""
        seen = self.features(torch.cat([source, target]))
        domain = self.domain(Reversal.apply(seen, strength(progress)))[:, 0]
        of_target = torch.arange(len(seen), device=seen.device) >= len(source)
        confusion = binary_cross_entropy_with_logits(domain, of_target.float())
        return cross_entropy(self.classes(seen[: len(source)]), labels) + confusion

"""SRGAN's content loss: how far two images are apart in the features of a pretrained VGG."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from .losses import mse
from .perceptual import normalised, vgg16_features

Content = Literal["vgg22", "vgg54"]
LAYERS = {"vgg22": 9, "vgg54": 30}  # of torchvision's VGG16: up to relu2_2, and up to relu5_3, its last
RESCALED = 1 / 12.75  # of the features, "to obtain losses of a scale comparable to the MSE" (section 3.2)


class ContentLoss:
    """Mean squared difference of VGG features, over 12.75 (Ledig et al. 2017, equation 5).

    The paper's network is VGG19; this is VGG16, whose weights are on the package index. "vgg22" is relu2_2 in both;
    "vgg54", the fourth layer of their fifth block, is here the third, which is the last.

    Not a Module on purpose: pretrained weights belong into no checkpoint and to no player. They are read when first
    used, so that a method can be built, to count its parameters, say, where they are not.
    """

    def __init__(self, layer: Content) -> None:
        self._layer = layer
        self._features: nn.Sequential | None = None

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of images (N, 3, H, W) in [-1, 1], as one number."""
        with torch.no_grad():
            target = self._look(y)
        return mse(self._look(x), target)

    def _look(self, x: Tensor) -> Tensor:
        if self._features is None:
            self._features = vgg16_features()[: LAYERS[self._layer]]
        self._features.to(x.device)
        return RESCALED * self._features(normalised(x))

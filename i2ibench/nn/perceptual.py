"""VGG16's view of an image: pretrained features, and the domain-invariant perceptual distance over them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import instance_norm
from torchvision.models.vgg import cfgs, make_layers

from i2ibench import assets

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
LAST_POOLING = 23  # in torchvision's VGG16: between relu4_3 and conv5_1


def vgg16_features(weights: Path | str | None = None) -> nn.Sequential:
    """ImageNet VGG16 up to relu5_3, frozen; takes normalised RGB (N, 3, H, W), gives (N, 512, H/16, W/16).

    Raises:
        AssetError: its weights are missing (`i2ibench assets fetch vgg16-features`), or are not the pinned file.
    """
    with torch.device("meta"):  # the pretrained tensors take the place of these: nothing is drawn at random
        features = make_layers(cfgs["D"], batch_norm=False)[:30]
    state = load_file(weights or assets.path("vgg16-features"))
    features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()}, assign=True)
    return features.requires_grad_(False)


def normalised(x: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [-1, 1] as the network was trained on them: less ImageNet's mean, over its deviation.

    Channel by channel with plain numbers: tensors of them would have to be sent to the device, and wait for it.
    """
    channels = zip(x.add(1).div(2).split(1, dim=1), IMAGENET_MEAN, IMAGENET_STD, strict=True)
    return torch.cat([(channel - mean) / std for channel, mean, std in channels], dim=1)


class PerceptualLoss:
    """The domain-invariant perceptual distance of MUNIT (Huang et al., ECCV 2018, section 5.1).

    Mean squared difference of relu5_3 after instance normalisation, which takes each image's own mean and variance out
    of every channel: what is left tells the content rather than the domain. As in their code the last of VGG's poolings
    is left out, so that relu5_3 is an eighth of the image's size. (Theirs is a Caffe VGG16, fed BGR images in [0, 255]
    less a mean; this is torchvision's VGG16 with its own normalisation.)

    Not a Module on purpose: pretrained weights belong into no checkpoint and to no player.
    """

    def __init__(self) -> None:
        self._features = nn.Sequential(*(layer for i, layer in enumerate(vgg16_features()) if i != LAST_POOLING))

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of images (N, 3, H, W) in [-1, 1], at least 32 x 32 pixels, as one number."""
        return (self._look(x) - self._look(y)).square().mean()

    def _look(self, x: Tensor) -> Tensor:
        self._features.to(x.device)
        return instance_norm(self._features(normalised(x)))

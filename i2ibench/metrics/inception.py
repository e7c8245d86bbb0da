"""torch-fidelity's Inception network, weight for weight, in half the time: the network of published FIDs."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3

SIZE = FeatureExtractorInceptionV3.INPUT_IMAGE_SIZE


class Inception(FeatureExtractorInceptionV3):
    """Its features differ from the original's by rounding alone (some 1e-6 of their size, on random weights too).

    Batch normalisations are folded into the convolutions before them, memory is channels last, and the resizing is
    two matrix products.
    """

    def __init__(self, file: str) -> None:
        """`file`: the weights as torch-fidelity has them."""
        super().__init__("inception-v3-compat", ["2048"], feature_extractor_weights_path=file)
        for block in [module for module in self.modules() if isinstance(module, BasicConv2d)]:
            block.conv, block.bn = fuse_conv_bn_eval(block.conv, block.bn), nn.Identity()
        self.requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """uint8 (N, 3, H, W), or float32 of the same range -> float32 (N, 2048).

        Images that are not 299 x 299 are resized as TensorFlow 1.x does it: bilinear, not antialiased.
        """
        x = images.float()
        height, width = x.shape[-2:]
        if (height, width) != (SIZE, SIZE):
            x = _weights(height, x.device) @ (x.contiguous() @ _weights(width, x.device).T)
        x = ((x - 128) / 128).contiguous(memory_format=torch.channels_last)
        for name, layer in self.named_children():  # they stand in their order, the classifier last
            if name != "fc":
                x = layer(x)
        return (x.flatten(1),)


@lru_cache
def _weights(length: int, device: torch.device) -> Tensor:
    """What each of `SIZE` pixels takes of each of `length`: float32 (SIZE, length); two of a row are not 0."""
    place = torch.arange(SIZE, dtype=torch.float32) * torch.tensor(length / SIZE, dtype=torch.float32)
    low = place.long()
    share = place - low
    found = torch.zeros(SIZE, length)
    rows = torch.arange(SIZE)
    found[rows, low] = 1 - share
    found[rows, (low + 1).clamp_max(length - 1)] += share
    return found.to(device)

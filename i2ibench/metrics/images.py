"""Metrics that compare each output with its own target, image by image: uint8 (N, H, W, 3), or (H, W, 3) each."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import lpips
import numpy as np
import torch
from pytorch_msssim import ms_ssim
from safetensors.torch import load_file
from skimage.metrics import peak_signal_noise_ratio

from i2ibench import assets
from i2ibench.data.images import ImageSet
from i2ibench.metrics.features import batches, full_precision, require_finite, to_tensor
from i2ibench.metrics.protocol import LPIPS_ASSETS
from i2ibench.metrics.ssim import ssim

if TYPE_CHECKING:
    from torch import Tensor

PSNR_CAP = 100.0  # dB, in place of the infinity of identical images, which no mean survives


@lru_cache(maxsize=1)
def lpips_network(net: str, device: str) -> lpips.LPIPS:
    """The lpips package's network, v0.1, on the pinned trunk; the last one is kept in memory.

    Raises:
        AssetError: the trunk's weights are missing, or are not the pinned file.
    """
    trunk = load_file(assets.path(LPIPS_ASSETS[net]))
    with warnings.catch_warnings(), torch.device("meta"):  # nothing is drawn at random, nor is the classifier allocated
        warnings.simplefilter("ignore")  # lpips calls torchvision by deprecated arguments
        network = lpips.LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False)
    heads = torch.load(Path(lpips.__file__).parent / f"weights/v0.1/{net}.pth", weights_only=True, map_location="cpu")
    state = heads | {name.replace("lin", "lins.", 1): value for name, value in heads.items()}
    for name, part in network.net.named_children():
        for position, layer in part.named_children():
            for kind, _ in layer.named_parameters():
                state[f"net.{name}.{position}.{kind}"] = trunk[f"features.{position}.{kind}"]
    state |= {name: value for name, value in network.state_dict().items() if name.startswith("scaling_layer.")}
    network.load_state_dict(state, assign=True)
    network.to(device, memory_format=torch.channels_last)  # a quarter faster at 256 pixels on CPU
    return network.eval().requires_grad_(False)


def lpips_values(generated: ImageSet, reference: ImageSet, net: str, device: str) -> np.ndarray:
    """LPIPS of each pair, float64 (N,).

    Raises:
        AssetError: the network's weights are missing, or are not the pinned file.
        TrialError: values that are NaN or infinite.
    """
    network = lpips_network(net, device)

    def scaled(images: np.ndarray) -> Tensor:
        pixels = to_tensor(images).to(device).float() / 127.5 - 1
        return pixels.contiguous(memory_format=torch.channels_last)

    both = zip(batches(generated), batches(reference), strict=True)
    with torch.inference_mode(), full_precision():
        parts = [network(scaled(a), scaled(b)).flatten().cpu() for a, b in both]
    values = torch.cat(parts).double().numpy()
    require_finite(values, "the distances of image", f"LPIPS ({net})")
    return values


def ssim_values(generated: ImageSet, reference: ImageSet) -> np.ndarray:
    """SSIM of each pair with the window of Wang et al. (2004), float64 (N,)."""
    return np.array([ssim(a, b) for a, b in zip(generated, reference, strict=True)])


def ms_ssim_values(generated: ImageSet, reference: ImageSet, device: str) -> np.ndarray:
    """MS-SSIM of each pair with the five scales and weights of Wang et al. (2003), float64 (N,); by pytorch-msssim.

    It is 0 where structures are opposed at some scale: a negative number has no power there.
    """

    def exact(images: np.ndarray) -> Tensor:
        return to_tensor(images).to(device).double()  # in float32 the variances cancel to five digits

    both = zip(batches(generated), batches(reference), strict=True)
    parts = [ms_ssim(exact(a), exact(b), data_range=255, size_average=False).cpu() for a, b in both]
    return torch.cat(parts).numpy()


def psnr_values(generated: ImageSet, reference: ImageSet) -> np.ndarray:
    """PSNR of each pair in dB, at most 100, float64 (N,)."""
    with np.errstate(divide="ignore"):  # identical images
        values = [peak_signal_noise_ratio(b, a, data_range=255) for a, b in zip(generated, reference, strict=True)]
    return np.minimum(values, PSNR_CAP)


def l1_values(generated: ImageSet, reference: ImageSet) -> np.ndarray:
    """Mean absolute difference of each pair in grey levels of 0 to 255, float64 (N,)."""
    return np.array([np.abs(a.astype(int) - b).mean() for a, b in zip(generated, reference, strict=True)])

"""Puts images through the feature extractor of FID and KID, once: the real set's features are kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

from i2ibench import assets
from i2ibench.errors import AssetError
from i2ibench.metrics.protocol import EXTRACTORS, REVISION, Protocol
from i2ibench.nn.perceptual import IMAGENET_MEAN, IMAGENET_STD, vgg16_features
from i2ibench.store import atomic_write

BATCH_SIZE = 32  # fixed, since the last digit of a convolution may depend on it


class VGG16Features(FeatureExtractorBase):
    """relu5_3 of an ImageNet VGG16, averaged over the image, as a torch-fidelity feature extractor.

    `torch_fidelity.calculate_metrics(feature_extractor="vgg16-relu5_3", feature_extractor_weights_path=..., ...)`
    computes with it too; the weights are a safetensors file under torchvision's names.
    """

    def __init__(
        self,
        name: str,
        features_list: list[str],
        feature_extractor_weights_path: str | None = None,
        input_size: int = EXTRACTORS["vgg16-relu5_3"].input_size,
        **_: Any,
    ) -> None:
        super().__init__(name, features_list)
        self.input_size = input_size
        self.features = vgg16_features(feature_extractor_weights_path)
        self.register_buffer("mean", 255 * torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)  # a sixth faster on CPU

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """uint8 (N, 3, H, W) -> float32 (N, 512)."""
        x = images.float()
        if x.shape[-2:] != (self.input_size, self.input_size):
            x = interpolate(x, (self.input_size, self.input_size), mode="bilinear", antialias=True)
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return (self.features(x).mean(dim=(2, 3)),)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("512",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "512"

    @staticmethod
    def can_be_compiled() -> bool:
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros(1, 3, 32, 32, dtype=torch.uint8)


if "vgg16-relu5_3" not in FEATURE_EXTRACTORS_REGISTRY:
    register_feature_extractor("vgg16-relu5_3", VGG16Features)


@lru_cache(maxsize=1)
def extractor(name: str, size: int, device: str) -> FeatureExtractorBase:
    """The network of a protocol with its pretrained weights, ready to use; the last one is kept in memory.

    Raises:
        AssetError: its weights are missing, or are not the pinned file.
    """
    file = assets.path(EXTRACTORS[name].asset)
    if name == "vgg16-relu5_3":
        network: FeatureExtractorBase = VGG16Features(name, ["512"], str(file), size)
    else:
        network = _inception(name, file)
    return network.to(device).eval().requires_grad_(False)


def _inception(name: str, file: Path) -> FeatureExtractorBase:
    # torch-fidelity reads the file with a plain unpickler: let the restricted one see first that it holds only tensors.
    try:
        torch.load(file, weights_only=True, map_location="meta")
    except Exception as error:
        raise AssetError(f"{file} holds more than tensors and is not loaded ({type(error).__name__})") from None
    with torch.random.fork_rng(devices=[]):  # the initialisation that the weights replace draws random numbers
        return FeatureExtractorInceptionV3(name, ["2048"], feature_extractor_weights_path=str(file))


def extract(images: np.ndarray, protocol: Protocol, device: str) -> Tensor:
    """Features of uint8 images (N, H, W, 3) as float32 (N, dimension) on the CPU."""
    network = extractor(protocol.extractor, protocol.size, device)
    with torch.inference_mode(), full_precision():
        parts = [network(batch.to(device))[0].cpu() for batch in batches(images)]
    return torch.cat(parts)


def extract_cached(images: np.ndarray, protocol: Protocol, device: str, cache: Path | None) -> Tensor:
    """The same, read from the folder `cache` if these images were put through this network on such a device before."""
    if cache is None:
        return extract(images, protocol, device)
    weights = assets.ASSETS[EXTRACTORS[protocol.extractor].asset].sha256
    network = (protocol.extractor, protocol.size, weights, REVISION, torch.device(device).type, torch.__version__)
    digest = hashlib.sha256(repr((network, images.shape)).encode())
    digest.update(np.ascontiguousarray(images).data)
    file = cache / f"{protocol.extractor}-{digest.hexdigest()[:24]}.npy"
    try:
        return torch.from_numpy(np.load(file, allow_pickle=False))
    except (FileNotFoundError, ValueError, EOFError):  # not there, or damaged by something outside
        features = extract(images, protocol, device)
        with atomic_write(file, "wb") as stream:
            np.save(stream, features.numpy(), allow_pickle=False)
        return features


def batches(images: np.ndarray) -> Iterator[Tensor]:
    """uint8 (N, H, W, 3) as uint8 tensors (n, 3, H, W), in order."""
    for start in range(0, len(images), BATCH_SIZE):
        yield torch.from_numpy(np.array(images[start : start + BATCH_SIZE])).permute(0, 3, 1, 2)


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 means float32, whatever the training loop set: no TF32 or autocast in a network that scores."""
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        torch.autocast("cuda", enabled=False),
        torch.autocast("cpu", enabled=False),
    ):
        yield

"""Puts images through the feature extractor of FID and KID, once: the real set's features are kept on disk."""

from __future__ import annotations

import itertools
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
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

from i2ibench import assets
from i2ibench.data.images import ImageSet
from i2ibench.errors import AssetError, TrialError
from i2ibench.metrics import resize
from i2ibench.metrics.inception import Inception
from i2ibench.metrics.kept import kept
from i2ibench.metrics.protocol import EXTRACTORS, Protocol
from i2ibench.nn.perceptual import IMAGENET_MEAN, IMAGENET_STD, vgg16_features

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
        """uint8 (N, 3, H, W), or float32 of the same range -> float32 (N, 512)."""
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
        network = _inception(file)
    return network.to(device).eval().requires_grad_(False)


def _inception(file: Path) -> FeatureExtractorBase:
    # torch-fidelity reads the file with a plain unpickler: let the restricted one see first that it holds only tensors.
    try:
        torch.load(file, weights_only=True, map_location="meta")
    except Exception as error:
        raise AssetError(f"{file} holds more than tensors and is not loaded ({type(error).__name__})") from None
    with torch.random.fork_rng(devices=[]):  # the initialisation that the weights replace draws random numbers
        return Inception(str(file))


def extract(images: ImageSet, protocol: Protocol, device: str, role: str = "image") -> Tensor:
    """Features of uint8 images (N, H, W, 3), or of several sizes, as float32 (N, dimension) on the CPU.

    Raises:
        AssetError: the network's weights are missing, or are not the pinned file.
        TrialError: features that are NaN or infinite; the message names the network and the first image, by its `role`.
    """
    clean = protocol.resize == "clean"
    network = extractor(protocol.extractor, protocol.size, device)
    seen = (resize.clean(batch, protocol.size) if clean else batch for batch in batches(images))
    with torch.inference_mode(), full_precision():
        parts = [network(to_tensor(batch).to(device))[0].cpu() for batch in seen]
    features = torch.cat(parts)
    require_finite(features.numpy(), f"the features of {role}", protocol.extractor)
    return features


def extract_cached(
    images: ImageSet, protocol: Protocol, device: str, cache: Path | None, role: str = "image"
) -> Tensor:
    """The same, read from the folder `cache` if these images were put through this network on such a device before."""
    weights = assets.ASSETS[EXTRACTORS[protocol.extractor].asset].sha256
    view = (protocol.extractor, protocol.size, protocol.resize_rule, weights, protocol.revision)
    about = view, torch.device(device).type, torch.__version__
    return torch.from_numpy(
        kept(cache, protocol.extractor, about, images, lambda: extract(images, protocol, device, role).numpy())
    )


def require_finite(values: np.ndarray, what: str, network: str) -> None:
    """Raise TrialError naming the first image (row of `values`) that has anything NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if bad.size:
        raise TrialError(
            f"{what} {bad[0]} are NaN or infinite in {network} ({bad.size} of {len(values)} are): it cannot be scored"
        )


def batches(images: ImageSet) -> Iterator[np.ndarray]:
    """Images (n, H, W, 3) in order, a batch at a time and in memory; a batch ends where another size begins."""
    for start in range(0, len(images), BATCH_SIZE):
        for _, run in itertools.groupby(images[start : start + BATCH_SIZE], key=np.shape):
            yield np.array(list(run))


def to_tensor(images: np.ndarray) -> Tensor:
    """(N, H, W, 3) -> (N, 3, H, W) of the same type."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 means float32, whatever the training loop set: no TF32 or autocast in a network that scores."""
    products = torch.backends.cuda.matmul
    before, products.allow_tf32 = products.allow_tf32, False
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        torch.autocast("cuda", enabled=False),
        torch.autocast("cpu", enabled=False),
    ):
        try:
            yield
        finally:
            products.allow_tf32 = before

"""How long FID, KID, LPIPS and SSIM of one set of outputs take, against the libraries that each of them comes from.

    python -m benchmarks.evaluation                  # 200 outputs of 64 x 64, the offline protocol (VGG16 features)
    python -m benchmarks.evaluation --images 1000 --size 256 --protocol standard
    python -m benchmarks.evaluation --images 1000 --size 256 --protocol standard --random-inception  # lacking them

Three ways take turns on the same images in memory, with the same networks and weights: i2ibench's one pass with the
reference's features cached; the libraries at their best (one torch-fidelity call for FID and KID with the reference
cached, lpips in batches, scikit-image); and separate calls as scripts make them (torch-fidelity twice without a cache,
lpips image by image). On a CPU the clock is this process's own processor time. Random weights of Inception, in a file
as the real one is, take as long as its own; the FID and KID that are printed then mean nothing but that the ways agree.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch_fidelity
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from i2ibench import assets, provenance
from i2ibench.build import limit_threads
from i2ibench.metrics.evaluate import evaluate
from i2ibench.metrics.images import lpips_network
from i2ibench.metrics.protocol import Protocol, resolve

METRICS = ("fid", "kid", "lpips", "ssim")
BATCH = 32


class Bytes(Dataset[torch.Tensor]):
    """Images as torch-fidelity takes them."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.images[i]


def draw(count: int, size: int, seed: int) -> np.ndarray:
    """Smoothed noise, uint8 (count, size, size, 3)."""
    rng = np.random.default_rng(seed)
    noise = np.stack([gaussian_filter(rng.random((size, size, 3)), (2, 2, 0)) for _ in range(count)])
    low, high = noise.min((1, 2, 3), keepdims=True), noise.max((1, 2, 3), keepdims=True)
    return ((noise - low) / (high - low) * 255).astype(np.uint8)


def pin_random_inception(folder: Path) -> None:
    """Write weights that keep the size of what passes, and let them stand for the real ones in this process."""
    file = (folder / "random-inception.pth").absolute()
    torch.save({}, file)
    with mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict"):
        network = FeatureExtractorInceptionV3("random", ["2048"], feature_extractor_weights_path=str(file))
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    torch.save(network.state_dict(), file)
    sha256, size = hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size
    known = assets.ASSETS["inception-v3-compat"]
    assets.ASSETS["inception-v3-compat"] = replace(known, file=str(file), sha256=sha256, size=size)


def fidelity(outputs: np.ndarray, real: np.ndarray, protocol: Protocol, cache: Path | None, *names: str) -> list[float]:
    found = torch_fidelity.calculate_metrics(
        input1=Bytes(outputs),
        input2=Bytes(real),
        **dict.fromkeys(names, True),
        kid_subset_size=protocol.kid_size(len(outputs), len(real)),
        feature_extractor=protocol.extractor,
        feature_extractor_weights_path=str(assets.path(protocol.assets(["fid"])[0])),
        batch_size=BATCH,
        cuda=torch.cuda.is_available(),
        cache=cache is not None,
        cache_root=str(cache) if cache else None,
        cache_input2_name="real" if cache else None,
        save_cpu_ram=True,
        verbose=False,
    )
    keys = {"fid": "frechet_inception_distance", "kid": "kernel_inception_distance_mean"}
    return [found[keys[name]] for name in names]


def of_pairs(outputs: np.ndarray, real: np.ndarray, protocol: Protocol, batch: int) -> list[float]:
    """LPIPS and SSIM by lpips and scikit-image."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, distances = _lpips(protocol.lpips_net, device), []
    with torch.inference_mode():
        for start in range(0, len(outputs), batch):
            x, y = (
                torch.from_numpy(images[start : start + batch]).permute(0, 3, 1, 2).to(device).float() / 127.5 - 1
                for images in (outputs, real)
            )
            distances += network(x, y).flatten().tolist()
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    similar = [structural_similarity(y, x, data_range=255, channel_axis=-1, **window) for x, y in zip(outputs, real)]  # noqa: B905
    return [float(np.mean(distances)), float(np.mean(similar))]


@cache
def _lpips(net: str, device: str) -> torch.nn.Module:
    """The package's network in the memory layout that it comes in."""
    return copy.deepcopy(lpips_network(net, device)).to(memory_format=torch.contiguous_format)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--protocol", default="offline")
    parser.add_argument("--random-inception", action="store_true", help="in place of Inception's weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    limit_threads(chosen.threads)
    protocol, device = resolve(chosen.protocol), "cuda" if torch.cuda.is_available() else "cpu"
    outputs, real = draw(chosen.images, chosen.size, 1), draw(chosen.images, chosen.size, 2)
    with tempfile.TemporaryDirectory() as folder:
        caches = Path(folder, "ours"), Path(folder, "theirs")
        if chosen.random_inception:
            pin_random_inception(Path(folder))

        def one_pass() -> list[float]:
            found = evaluate(outputs, real, METRICS, protocol, paired=True, device=device, cache=caches[0])
            return [found.values[name] for name in METRICS]

        ways: dict[str, Callable[[], list[float]]] = {
            "i2ibench": one_pass,
            "libraries, cached": lambda: (
                fidelity(outputs, real, protocol, caches[1], "fid", "kid") + of_pairs(outputs, real, protocol, BATCH)
            ),
            "separate calls": lambda: [
                *fidelity(outputs, real, protocol, None, "fid"),
                *fidelity(outputs, real, protocol, None, "kid"),
                *of_pairs(outputs, real, protocol, 1),
            ],
        }
        for name, way in ways.items():  # fills the caches too
            print(f"{name:18}", "  ".join(f"{metric} {v:.6g}" for metric, v in zip(METRICS, way(), strict=True)))
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(chosen.rounds):
            for name in sorted(ways, reverse=bool(number % 2)):
                before = _clock()
                ways[name]()
                taken[name].append(_clock() - before)
    for name in list(ways)[1:]:
        found = [theirs / ours for theirs, ours in zip(taken[name], taken["i2ibench"], strict=True)]
        print(
            f"{name} / i2ibench: {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}, "
            f"{chosen.rounds} rounds; {statistics.median(taken['i2ibench']):.2f} s a pass)"
        )
    hardware = provenance.hardware()
    where = ", ".join(hardware.get("gpus", [])) or hardware["processor"]
    print(
        f"{chosen.images} images of {chosen.size} px, protocol {chosen.protocol}"
        f"{' (RANDOM weights of Inception)' if chosen.random_inception else ''}, {chosen.threads} thread(s); {where}; "
        f"load {os.getloadavg()[0]:.1f}; torch {torch.__version__}, torch-fidelity {torch_fidelity.__version__}"
    )


def _clock() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


if __name__ == "__main__":
    main()

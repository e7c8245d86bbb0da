"""What every metric is: its name, which way is better, and what it needs. How it is computed is `evaluate`'s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One column of a leaderboard. `title` is its bare name; `Protocol.title` adds what it was measured with.

    kind: "set" compares two sets of images; "image" has a value per pair, and its score is their mean.
    network: the pretrained network it looks through, if any: the protocol's feature extractor, or its LPIPS network.
    """

    name: str
    title: str
    higher_is_better: bool
    needs_pairs: bool
    kind: Literal["set", "image"]
    description: str
    network: Literal["extractor", "lpips"] | None = None


LPIPS_SMALLEST = {"alex": 31, "vgg": 16}  # edge in pixels below which nothing is left after the pooling layers
SSIM_WINDOW = 11  # pixels: a Gaussian of sigma 1.5 cut off at 3.5 sigma

METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            name="fid",
            title="FID",
            higher_is_better=False,
            needs_pairs=False,
            kind="set",
            network="extractor",
            description="Fréchet distance between Gaussians fitted to the features of outputs and of real targets "
            "(Heusel et al., NeurIPS 2017)",
        ),
        Metric(
            name="kid",
            title="KID",
            higher_is_better=False,
            needs_pairs=False,
            kind="set",
            network="extractor",
            description="Squared maximum mean discrepancy of the same features, cubic kernel, unbiased for few images "
            "too; may be slightly negative (Bińkowski et al., ICLR 2018)",
        ),
        Metric(
            name="lpips",
            title="LPIPS",
            higher_is_better=False,
            needs_pairs=True,
            kind="image",
            network="lpips",
            description="Learned perceptual distance of each output to its own target, v0.1 (Zhang et al., CVPR 2018)",
        ),
        Metric(
            name="ssim",
            title="SSIM",
            higher_is_better=True,
            needs_pairs=True,
            kind="image",
            description="Structural similarity of each output to its own target, Gaussian window, mean over RGB "
            "(Wang et al., TIP 2004)",
        ),
        Metric(
            name="psnr",
            title="PSNR",
            higher_is_better=True,
            needs_pairs=True,
            kind="image",
            description="Peak signal-to-noise ratio of each output to its own target, in dB; 100 if identical",
        ),
    )
}

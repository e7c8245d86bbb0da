"""What every metric is: its name, which way is better, and what it needs. How it is computed is `evaluate`'s."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Need = Literal["pairs", "styles", "cycle", "palette", "labels", "scorer", "truths"]


@dataclass(frozen=True)
class Metric:
    """One column of a leaderboard. `title` is its bare name; `Protocol.title` adds what it was measured with.

    kind: "set" has one value for all images; "image" has a value per image (or pair), and its score is their mean.
    network: the pretrained network it looks through, if any: the protocol's feature extractor, or its LPIPS network.
    needs: what it cannot do without. "pairs": a target for each output. Of the method: "styles" (multimodal), "cycle"
        (bidirectional). Of the data set: a "palette", class "labels", the "truths" of a one-to-many task. Of the
        protocol, or learned from pairs: a segmentation "scorer", which looks at what was made of label maps.
    default: whether it is scored where `metrics:` names none.
    decimals: that published tables give at the least.
    unit: what its values are in, if in anything.
    """

    name: str
    title: str
    higher_is_better: bool
    kind: Literal["set", "image"]
    description: str
    network: Literal["extractor", "lpips"] | None = None
    needs: frozenset[Need] = frozenset()
    default: bool = False
    decimals: int = 0
    unit: str = ""

    @property
    def needs_pairs(self) -> bool:
        return "pairs" in self.needs

    def places(self, *values: float) -> int:
        """Decimals that show three significant digits of the smallest of some values, so that all of them align."""
        least = min((abs(value) for value in values if abs(value) > 0), default=None)
        known = 3 if least is None else min(max(2 - math.floor(math.log10(least)), 0), 5)
        return max(known, self.decimals)


def headed(title: str, unit: str) -> str:
    """The head of a column with what its numbers are in, unless the title or each of them says it."""
    return title if unit in ("", "s", "1/s") else f"{title} ({unit})"


def decimal(value: float, places: int) -> str:
    """A number with a true minus, and none before a zero: -0.0 + 0.0 is 0.0."""
    return f"{round(value, places) + 0.0:.{places}f}".replace("-", "−")


LPIPS_SMALLEST = {"alex": 31, "vgg": 16}  # edge in pixels below which nothing is left after the pooling layers
SSIM_WINDOW = 11  # pixels: a Gaussian of sigma 1.5 cut off at 3.5 sigma
MS_SSIM_SMALLEST = (SSIM_WINDOW - 1) * 2**4 + 1  # the window must fit into the image that was halved four times

PAIRS: frozenset[Need] = frozenset({"pairs"})

# In the order of a leaderboard's columns.
METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            name="fid",
            title="FID",
            higher_is_better=False,
            kind="set",
            network="extractor",
            default=True,
            description="Fréchet distance between Gaussians fitted to the features of outputs and of real targets "
            "(Heusel et al., NeurIPS 2017)",
        ),
        Metric(
            name="kid",
            title="KID",
            higher_is_better=False,
            kind="set",
            network="extractor",
            default=True,
            description="Squared maximum mean discrepancy of the same features, cubic kernel, unbiased for few images "
            "too; may be slightly negative (Bińkowski et al., ICLR 2018)",
        ),
        Metric(
            name="precision",
            title="Precision",
            higher_is_better=True,
            kind="set",
            network="extractor",
            description="Share of outputs whose features lie among those of real targets: within the distance of some "
            "target to its third neighbour (Kynkäänniemi et al., NeurIPS 2019)",
        ),
        Metric(
            name="recall",
            title="Recall",
            higher_is_better=True,
            kind="set",
            network="extractor",
            description="Share of real targets whose features lie among those of outputs, likewise "
            "(Kynkäänniemi et al., NeurIPS 2019)",
        ),
        Metric(
            name="density",
            title="Density",
            higher_is_better=True,
            kind="set",
            network="extractor",
            description="Precision that counts how many targets' neighbourhoods an output lies in, so that one outlier "
            "among the targets moves little; may exceed 1 (Naeem et al., ICML 2020)",
        ),
        Metric(
            name="coverage",
            title="Coverage",
            higher_is_better=True,
            kind="set",
            network="extractor",
            description="Share of real targets that have an output in their neighbourhood (Naeem et al., ICML 2020)",
        ),
        Metric(
            name="lpips",
            title="LPIPS",
            higher_is_better=False,
            kind="image",
            network="lpips",
            needs=PAIRS,
            default=True,
            description="Learned perceptual distance of each output to its own target, v0.1 (Zhang et al., CVPR 2018)",
        ),
        Metric(
            name="ssim",
            title="SSIM",
            higher_is_better=True,
            kind="image",
            needs=PAIRS,
            default=True,
            description="Structural similarity of each output to its own target, Gaussian window, mean over RGB "
            "(Wang et al., TIP 2004)",
        ),
        Metric(
            name="ms_ssim",
            title="MS-SSIM",
            higher_is_better=True,
            kind="image",
            needs=PAIRS,
            description="Structural similarity over five scales, mean over RGB; needs images of 161 pixels or more "
            "(Wang et al., Asilomar 2003)",
        ),
        Metric(
            name="psnr",
            title="PSNR",
            higher_is_better=True,
            kind="image",
            needs=PAIRS,
            default=True,
            decimals=2,
            unit="dB",
            description="Peak signal-to-noise ratio of each output to its own target, in dB; 100 if identical",
        ),
        Metric(
            name="psnr_y",
            title="PSNR-Y",
            higher_is_better=True,
            kind="image",
            needs=PAIRS,
            decimals=2,
            unit="dB",
            description="PSNR of the luminance (Y of BT.601) with the border cut off, as papers on super-resolution "
            "report it, in dB; 100 if identical",
        ),
        Metric(
            name="ssim_y",
            title="SSIM-Y",
            higher_is_better=True,
            kind="image",
            needs=PAIRS,
            decimals=4,
            description="Structural similarity of the same luminance, Gaussian window (Wang et al., TIP 2004)",
        ),
        Metric(
            name="l1",
            title="L1",
            higher_is_better=False,
            kind="image",
            needs=PAIRS,
            description="Mean absolute difference of each output to its own target, in grey levels of 0 to 255",
        ),
        Metric(
            name="diversity",
            title="Diversity",
            higher_is_better=True,
            kind="image",
            network="lpips",
            needs=frozenset({"styles"}),
            description="LPIPS distance between two translations of one input with styles drawn at random, mean over "
            "inputs and pairs; noise is diverse too, so read it beside a metric of quality "
            "(Zhu et al., NeurIPS 2017; Huang et al., ECCV 2018)",
        ),
        Metric(
            name="mode_coverage",
            title="Modes found",
            higher_is_better=True,
            kind="image",
            needs=frozenset({"styles", "truths"}),
            description="Share of an input's true answers that translations with styles drawn at random give, over the "
            "share that as many draws from the truth would give; of data sets that know all answers (shapes)",
        ),
        Metric(
            name="mode_validity",
            title="Valid answers",
            higher_is_better=True,
            kind="image",
            needs=frozenset({"styles", "truths"}),
            description="Share of translations with styles drawn at random that are a true answer to their input at "
            "all; of data sets that know all answers (shapes)",
        ),
        Metric(
            name="cycle",
            title="Cycle",
            higher_is_better=False,
            kind="image",
            needs=frozenset({"cycle"}),
            description="Mean absolute difference of each input to its output translated back, in grey levels of 0 to "
            "255; an identity that translates nothing has 0 (after Zhu et al., ICCV 2017)",
        ),
        Metric(
            name="pixel_accuracy",
            title="Pixel acc.",
            higher_is_better=True,
            kind="image",
            needs=frozenset({"pairs", "palette"}),
            description="Share of pixels whose nearest colour of the palette is that of the target "
            "(Long et al., CVPR 2015; Isola et al., CVPR 2017)",
        ),
        Metric(
            name="class_accuracy",
            title="Class acc.",
            higher_is_better=True,
            kind="set",
            needs=frozenset({"pairs", "palette"}),
            description="The same share for the pixels of each class of the targets, mean over classes",
        ),
        Metric(
            name="mean_iou",
            title="Mean IoU",
            higher_is_better=True,
            kind="set",
            needs=frozenset({"pairs", "palette"}),
            description="Intersection over union of each class's pixels in outputs and in targets, over the whole set; "
            "mean over the classes that either has",
        ),
        Metric(
            name="fcn_pixel_accuracy",
            title="FCN pixel acc.",
            higher_is_better=True,
            kind="image",
            needs=frozenset({"scorer"}),
            description="Share of pixels of the outputs that a segmentation network gives the class that the input "
            "label map has there (FCN-score; Isola et al., CVPR 2017)",
        ),
        Metric(
            name="fcn_class_accuracy",
            title="FCN class acc.",
            higher_is_better=True,
            kind="set",
            needs=frozenset({"scorer"}),
            description="The same share for the pixels of each class of the inputs, mean over classes",
        ),
        Metric(
            name="fcn_mean_iou",
            title="FCN mean IoU",
            higher_is_better=True,
            kind="set",
            needs=frozenset({"scorer"}),
            description="Intersection over union of each class's pixels in segmented outputs and in inputs, over the "
            "whole set; mean over the classes that either has",
        ),
        Metric(
            name="adaptation",
            title="Adaptation",
            higher_is_better=True,
            kind="image",
            needs=frozenset({"labels"}),
            description="Share of real test images of B that a small classifier recognises which learned from training "
            "images of A, translated, with A's labels; beside it the floor (A untranslated), DANN (Ganin et al., JMLR "
            "2016) and the ceiling (real B with its labels)",
        ),
    )
}

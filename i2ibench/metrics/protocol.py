"""The protocols that scores are made under: which networks look at the images, at what size, how KID draws subsets.

evaluation: {protocol: offline}                                                         a named one
evaluation: {protocol: {extractor: vgg16-relu5_3, input_size: 96, lpips_net: vgg}}      spelled out

`offline` looks through a VGG16, `standard` through the Inception network of published scores, and `clean` through the
same Inception weights at images that were resized as the clean-fid package resizes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from i2ibench.assets import ASSETS
from i2ibench.errors import ConfigError, did_you_mean
from i2ibench.metrics import scorer
from i2ibench.metrics.catalog import LPIPS_SMALLEST, METRICS, MS_SSIM_SMALLEST, SSIM_WINDOW
from i2ibench.settings import Settings

REVISION = 3  # of the computation in this package: raise it whenever a change could move a number


@dataclass(frozen=True)
class Extractor:
    """A network whose features FID and KID compare.

    `resize` is the rule of `resize: native`. `label` distinguishes its columns ("" for the one that papers mean);
    `caution` goes beside its numbers.
    """

    asset: str
    feature: str
    dimension: int
    input_size: int
    resizable: bool
    resize: str
    label: str = ""
    caution: str = ""
    revision: int = 0  # of how it is computed here, on top of REVISION: raise it if features alone could move


EXTRACTORS = {
    "inception-v3-compat": Extractor(
        asset="inception-v3-compat",
        feature="2048 (last average pooling)",
        dimension=2048,
        input_size=299,
        resizable=False,
        resize="bilinear as in TensorFlow 1.x, no antialiasing (torch-fidelity)",
        revision=1,
    ),
    "vgg16-relu5_3": Extractor(
        asset="vgg16-features",
        feature="relu5_3, averaged over the image",
        dimension=512,
        input_size=64,
        resizable=True,
        resize="bilinear, antialiased (torch.nn.functional.interpolate)",
        label="VGG16",
        caution="FID and KID are over VGG16 features: never compare them with published scores, which are Inception's",
    ),
}

CLEAN_RESIZE = "bicubic, antialiased, each channel as float32 (PIL, as clean-fid)"

LPIPS_ASSETS = {"alex": "alexnet-features", "vgg": "vgg16-features"}
SEGMENTER_STEPS = 500


class Protocol(Settings):
    """How scores are made. Two numbers may stand in one column only if their protocols have the same `key()`."""

    name: str = Field("custom", description="what the report calls it")
    extractor: Literal["inception-v3-compat", "vgg16-relu5_3"] = Field(
        description="network of FID and KID: inception-v3-compat or vgg16-relu5_3"
    )
    input_size: int | None = Field(
        None, ge=32, le=512, description="edge in pixels that images are resized to for a VGG16 extractor; default 64"
    )
    resize: Literal["native", "clean"] = Field(
        "native", description="native: the extractor's own way; clean: clean-fid's antialiased bicubic (Parmar 2022)"
    )
    lpips_net: Literal["alex", "vgg"] = Field("alex", description="network of LPIPS; papers report alex")
    kid_subsets: int = Field(100, ge=1, description="KID is the mean over this many random subsets")
    kid_subset_size: int = Field(1000, ge=2, description="images in a subset; half the smaller set if that is less")
    kid_seed: int = Field(2020, ge=0, description="seed of the subsets (torch-fidelity's default)")
    neighbours: int = Field(3, ge=1, description="neighbours that precision and recall reach to (torch-fidelity's)")
    density_neighbours: int = Field(5, ge=1, description="those of density and coverage (their paper's)")
    diversity_inputs: int = Field(100, ge=1, description="test images that are translated with several styles")
    diversity_pairs: int = Field(19, ge=1, description="pairs of translations of each of them (MUNIT's)")
    adaptation_steps: int = Field(500, ge=1, description="training steps of the classifiers of the adaptation score")
    segmenter_steps: int = Field(
        SEGMENTER_STEPS, ge=1, description="training steps of the FCN-score's network, where there is no scorer"
    )
    border: int | None = Field(
        None,
        ge=0,
        description="pixels that psnr_y and ssim_y cut off on each side; default: the scale of the task super-resolve",
    )
    scorer: str | None = Field(
        None,
        description="a Python file that defines segment(images), for the FCN-score; relative to the benchmark file; "
        "default: a small network learns from the data set's training pairs",
    )

    @model_validator(mode="after")
    def _size_is_the_extractors(self) -> Protocol:
        if self.input_size is not None and not EXTRACTORS[self.extractor].resizable:
            raise ValueError(f"input_size cannot be set for {self.extractor}, which always sees {self.size} pixels")
        return self

    @property
    def size(self) -> int:
        """Edge of the images that the extractor sees, in pixels."""
        return self.input_size or EXTRACTORS[self.extractor].input_size

    @property
    def revision(self) -> int:
        """Of the computation of scores of sets."""
        return REVISION + EXTRACTORS[self.extractor].revision

    @property
    def resize_rule(self) -> str:
        """How images come to the size that the extractor sees."""
        return CLEAN_RESIZE if self.resize == "clean" else EXTRACTORS[self.extractor].resize

    def assets(self, metrics: Iterable[str]) -> list[str]:
        """Names of the assets that these metrics need."""
        source = {"extractor": EXTRACTORS[self.extractor].asset, "lpips": LPIPS_ASSETS[self.lpips_net]}
        return list(dict.fromkeys(source[network] for name in metrics if (network := METRICS[name].network)))

    def cut(self, scale: int) -> int:
        """Pixels that metrics of luminance leave out on each side, of images enlarged by `scale` (1: they were not)."""
        if self.border is not None:
            return self.border
        return scale if scale > 1 else 0

    def smallest(self, metric: str, scale: int = 1) -> int:
        """Edge in pixels below which images cannot be scored by a metric; for `scale` see `cut`."""
        lpips, cut = LPIPS_SMALLEST[self.lpips_net], 2 * self.cut(scale)
        known = {"lpips": lpips, "diversity": lpips, "ssim": SSIM_WINDOW, "ms_ssim": MS_SSIM_SMALLEST}
        known |= {"psnr_y": 1 + cut, "ssim_y": SSIM_WINDOW + cut}
        return known.get(metric, 1)

    def title(self, metric: str) -> str:
        """A metric's column title, with what is not as papers mean it: "FID (VGG16)", "FID (clean)"."""
        return titled(metric, {"extractor": self.extractor, "resize": self.resize_rule, "network": self.lpips_net})

    def kid_size(self, *counts: int) -> int:
        """Images in each KID subset, for sets of these sizes.

        At most half the smaller set: so subsets differ, and their spread means something.
        """
        return max(2, min(self.kid_subset_size, min(counts) // 2))

    def key(self) -> str:
        """Short hash of all that decides a number here: settings and checksums of the weights. The name is left out.

        Raises:
            ConfigError: the scorer's file cannot be read.
        """
        content = self.model_dump(mode="json", exclude={"name", "input_size", "scorer"})
        if self.border is None:
            del content["border"]  # then it hangs on the data set, which the trial's own id covers
        if self.segmenter_steps == SEGMENTER_STEPS:
            del content["segmenter_steps"]  # as in the keys of before there was a segmenter
        weights = {name: ASSETS[name].sha256 for name in self.assets(METRICS)}
        if self.scorer is not None:
            weights["scorer"] = scorer.sha256(self.scorer)
        return hashlib.sha256(
            json.dumps([self.revision, self.size, content, weights], sort_keys=True).encode()
        ).hexdigest()[:12]


def titled(metric: str, made: Mapping[str, Any]) -> str:
    """As `Protocol.title`, from what a stamp says of the metric."""
    known, unusual = METRICS[metric], []
    if known.network == "extractor":
        unusual = [EXTRACTORS[made["extractor"]].label, "clean" if made["resize"] == CLEAN_RESIZE else ""]
    elif known.network == "lpips" and made["network"] != "alex":
        unusual = ["VGG"]
    said = ", ".join(filter(None, unusual))
    return f"{known.title} ({said})" if said else known.title


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(name="offline", extractor="vgg16-relu5_3"),
        Protocol(name="standard", extractor="inception-v3-compat"),
        Protocol(name="clean", extractor="inception-v3-compat", resize="clean"),
    )
}


def resolve(protocol: str | Mapping[str, Any], base: Path | None = None) -> Protocol:
    """A named protocol, or one spelled out as a mapping of `Protocol`'s fields (`config.protocol` says what is wrong).

    Args:
        base: the folder that a relative path of a scorer starts from.

    Raises:
        ConfigError: no protocol has this name, or one that is spelled out has it already; or its scorer is of no use.
    """
    if isinstance(protocol, str):
        if protocol not in PROTOCOLS:
            raise ConfigError(f"unknown protocol '{protocol}'; {did_you_mean(protocol, PROTOCOLS)}")
        return PROTOCOLS[protocol]
    if protocol.get("name") in PROTOCOLS:
        raise ConfigError(f"name: '{protocol['name']}' is a named protocol already; call this one otherwise")
    found = Protocol.model_validate(dict(protocol))
    if found.scorer is None:
        return found
    file = str(((base or Path()) / Path(found.scorer).expanduser()).absolute())
    scorer.check(file)
    return found.model_copy(update={"scorer": file})

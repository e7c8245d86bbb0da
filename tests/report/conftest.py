"""A finished benchmark on disk: the real classes of plan, store and data, with made-up training and scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from i2ibench.data.glyphs import GlyphParams, Glyphs, font_names
from i2ibench.data.images import Images
from i2ibench.metrics.protocol import resolve
from i2ibench.plan import DataPlan, Plan, Skip
from i2ibench.spec import TrialSpec
from i2ibench.store import Store

METRICS = ("fid", "kid", "lpips", "ssim", "psnr")
# label -> quality in [0, 1] (of made-up scores and images), and the names of its loss terms
METHODS = {
    "VAE": (0.35, ("generator.reconstruction", "generator.kl")),
    "cVAE": (0.5, ("generator.reconstruction", "generator.kl")),
    "pix2pix": (0.85, ("generator.gan", "generator.l1", "discriminator.real", "discriminator.fake")),
    "pix2pix lambda_l1=10": (0.8, ("generator.gan", "generator.l1", "discriminator.real", "discriminator.fake")),
    "CycleGAN": (
        0.6, ("generator.gan_a", "generator.gan_b", "generator.cycle", "discriminator.a", "discriminator.b"),
    ),
    "MUNIT": (
        0.55,
        (
            *(f"generator.{term}_{side}" for term in ("gan", "image", "content", "style") for side in "ab"),
            "discriminator.a",
            "discriminator.b",
        ),
    ),
}  # fmt: skip


@cache
def letters() -> Images:
    """48 pairs of letters in two of matplotlib's fonts: the data set `glyphs` in small, drawn in a moment."""
    characters = "abcdefghijkmnopqrstuvwxyABCDEFGHIJKLMNOPQRSTUVWX"
    a, b = (
        np.stack([_letter(character, ImageFont.truetype(font_names()[font], 22)) for character in characters])
        for font in ("DejaVuSans", "DejaVuSerif")
    )
    names = tuple(f"U+{ord(character):04X}" for character in characters)
    return Images(train_a=a, train_b=b, test_a=a, test_b=b, test_names=names, paired=True, fingerprint="5eed" * 16)


def _letter(character: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
    image = Image.new("RGB", (32, 32), "white")
    ImageDraw.Draw(image).text((16, 24), character, "black", font, anchor="ms")
    return np.asarray(image)


class Benchmark:
    """A plan and a store that grow trial by trial."""

    def __init__(self, folder: Path, name: str = "demo", text: str = "methods: {}\n", data: str = "glyphs") -> None:
        source = Glyphs(GlyphParams(size=32))
        self.store = Store(folder / "runs")
        self.images = {data: letters()}
        self.data = data
        self.plan = Plan(
            name=name, trials=(), skipped=(), assets=(),
            data={data: DataPlan(data, "benchmark.yaml:3", source, letters().fingerprint, METRICS)},
            protocol=resolve("offline"), store="runs", reports="reports", text=text, file="benchmark.yaml",
        )  # fmt: skip

    def spec(
        self, label: str, seed: int, *, trained: bool = True, scores_pairs: bool = True, **params: object
    ) -> TrialSpec:
        """Plan one more trial, without running it."""
        name = f"{label.split(' ')[0].lower().strip('<>/')}-glyphs-s{seed}-{len(self.plan.trials):010x}"
        spec = TrialSpec(
            id=name, trained_as=name,
            label=label, method=label.split(" ")[0].lower(), params=dict(params), data=self.data, source="glyphs",
            source_params={"size": 32}, base=".", fingerprint=letters().fingerprint, pairing="paired",
            scores_pairs=scores_pairs,
            trained=trained, seed=seed, training={"steps": 500}, resources={"cpus": 1, "gpus": 0.0},
        )  # fmt: skip
        self.plan = replace(self.plan, trials=(*self.plan.trials, spec))
        return spec

    def skip(self, label: str, reason: str) -> None:
        self.plan = replace(self.plan, skipped=(*self.plan.skipped, Skip(label, self.data, reason)))

    def finish(
        self, spec: TrialSpec, values: Mapping[str, float], *, stamp: Mapping[str, object] | None = None,
        cost: Mapping[str, float] | None = None, terms: tuple[str, ...] = (), outputs: np.ndarray | None = None,
        flags: Mapping[str, str] | None = None, per_image: Mapping[str, np.ndarray] | None = None,
        intervals: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:  # fmt: skip
        """Write everything that a finished trial leaves; without `per_image`, images scatter around the scores."""
        trial, key = self.store.trial(spec.id), self.plan.protocol.key()
        trial.write_spec(spec.to_json())
        rng = np.random.default_rng(spec.seed)
        trial.write_curves(
            [
                {"step": step, "seconds": step / 9.0}
                | {term: (1 + i) * np.exp(-step / 200) + 0.1 + 0.05 * rng.random() for i, term in enumerate(terms)}
                for step in range(10, 501, 10)
            ]
        )
        if outputs is not None:
            trial.write_outputs(outputs)
        trial.write_result(
            {
                "id": spec.id,
                "cost": {"parameters": 0, "translate_images_per_second": 900.0, **(cost or {})},
                "players": {},
                "flags": [{"flag": flag, "reason": reason} for flag, reason in (flags or {}).items()],
                "provenance": {
                    "packages": {"torch": "2.15.0"},
                    "hardware": {"cores": 2},
                    "git": {"revision": "abc", "dirty": True, "diff": "-old <line>\n+new line"},
                },
            }
        )
        common = {"revision": 1, "generated": 48, "input_size": 64, "torch version": "2.15.0"}
        stamp = stamp or {
            "name": "offline", "key": key, "device": "cpu", "warnings": ["FID is rank-deficient"],
            "metrics": {name: common | ({"rank_deficient": True} if name == "fid" else {}) for name in values},
        }  # fmt: skip
        if per_image is None:
            hard = np.random.default_rng(0).standard_normal(48)  # the same images are hard for every method
            hard -= hard.mean()
            per_image = {
                name: values[name] * (1 + 0.2 * (1 if name == "lpips" else -1) * hard)
                for name in ("lpips", "ssim", "psnr")
                if name in values
            }
        content = {"key": key, "values": dict(values), "protocol": dict(stamp)}
        trial.write_scores(key, content | ({"intervals": intervals} if intervals else {}), per_image)

    def method(self, label: str, quality: float, terms: tuple[str, ...] = (), seeds: int = 2) -> None:
        """A method that finished on all seeds, with scores and images of about `quality` in [0, 1]."""
        for seed in range(seeds):
            rng = np.random.default_rng([seed, round(1000 * quality)])
            q = quality + 0.02 * rng.standard_normal()
            blend = q * self.images[self.data].test_b + (1 - q) * self.images[self.data].test_a
            noise = rng.normal(0, 60 * (1 - q), blend.shape)
            self.finish(
                self.spec(label, seed, width=16, lambda_l1=100.0 if "gan" in str(terms) else None),
                {
                    "fid": 260 * (1 - q) + 8, "kid": 0.3 * (1 - q) ** 2, "lpips": 0.4 * (1 - q) + 0.03,
                    "ssim": 0.3 + 0.6 * q, "psnr": 8 + 14 * q,
                },
                cost={
                    "parameters": 4e6 * quality, "train_seconds": 20 + 90 * quality * (1 + 0.05 * seed),
                    "images_per_second": 210.0, "peak_memory_mb": 850.0, "steps": 500,
                },
                terms=terms,
                outputs=np.clip(blend + noise, 0, 255).astype(np.uint8),
            )  # fmt: skip

    def references(self) -> None:
        """copy and oracle, as a plan would have them: copy does not depend on the seed, and oracle has no pairs."""
        self.finish(
            self.spec("copy", 0, trained=False), {"fid": 190.0, "kid": 0.21, "lpips": 0.31, "ssim": 0.52, "psnr": 10.4}
        )
        for seed in range(2):
            self.finish(
                self.spec("oracle", seed, trained=False, scores_pairs=False), {"fid": 4.2 + seed / 10, "kid": 0.0003}
            )

    def fail(self, spec: TrialSpec, kind: str, message: str) -> None:
        self.store.trial(spec.id).write_spec(spec.to_json())
        self.store.trial(spec.id).write_error(kind, message)

    def write(self, out: Path) -> Path:
        from i2ibench.report import write

        return write(self.plan, self.store, self.images, out)


def full(folder: Path) -> Benchmark:
    """Six methods and two references over two seeds; one trial failed, one diverged, one combination was skipped."""
    made = Benchmark(folder, text=json.dumps({"seeds": 2, "methods": list(METHODS)}, indent=1))
    for label, (quality, terms) in METHODS.items():
        made.method(label, quality, terms)
    made.finish(
        made.spec("UNIT", 0),
        {"fid": 120.0, "kid": 0.1, "lpips": 0.22, "ssim": 0.6, "psnr": 14.0},
        cost={"parameters": 2.1e6, "train_seconds": 74.0, "images_per_second": 160.0, "peak_memory_mb": 910.0},
        terms=("generator.gan",),
    )
    made.fail(made.spec("UNIT", 1), "DIVERGED", "generator.kl became NaN at step 210; lower lr or set training.clip")
    made.fail(made.spec("<script>alert(1)</script>", 0), "FAILED", "RuntimeError: <b>boom</b> & more")
    made.spec("late", 0)
    made.references()
    made.skip("pix2pix on unpaired", "needs paired training images, and this data set has none")
    return made


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    """Nothing planned yet."""
    return Benchmark(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """`full`, for tests that only read."""
    return full(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def report(finished: Benchmark) -> Path:
    """The folder of its report."""
    return finished.write(finished.store.path.parent / "report").parent

"""What a large report costs: `python benchmarks/report_scale.py [METHODS [SETS [SEEDS]]]`, 200 x 20 x 5 by default.

Makes a store of finished trials with made-up scores (values per image, curves and outputs included; files of equal
content are hard links), then reports it as `i2ibench report` does, in a process of its own, and says how long that took
and how heavy the page is. `--keep FOLDER` leaves both there, and another call reports them again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from i2ibench import benchmark
from i2ibench.plan import Plan
from i2ibench.spec import TrialSpec
from i2ibench.store import Store

FONTS = (
    "DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Bold", "DejaVuSerif-Bold", "DejaVuSansMono-Bold",
)  # fmt: skip
TERMS = ("generator.gan", "generator.l1", "discriminator.real", "discriminator.fake")
PER_IMAGE = ("lpips", "ssim", "psnr")


def write(folder: Path, methods: int, sets: int, seeds: int) -> Path:
    """The benchmark file: rows of one method that differ in their learning rate, on pairs of fonts."""
    pairs = list(itertools.islice(itertools.permutations(FONTS, 2), sets))
    rates = ", ".join(f"{1e-5 * (i + 1):.5f}" for i in range(methods))
    data = "\n".join(
        f"  set-{i:02d}: {{source: glyphs, size: 32, source_font: '{a}', target_font: '{b}'}}"
        for i, (a, b) in enumerate(pairs)
    )
    file = folder / "benchmark.yaml"
    file.write_text(
        f"name: scale\nseeds: {seeds}\nstore: {folder}/runs\nreports: {folder}/reports\ndata:\n{data}\n"
        f"methods:\n  copy:\n  oracle:\n  pix2pix: {{preset: tiny, lr: {{grid: [{rates}]}}}}\n"
        "training: {steps: 2000, batch_size: 4}\n",
        encoding="utf-8",
    )
    return file


class Maker:
    """Writes finished trials; a row is about as good on every data set, and its seeds scatter."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self.key = plan.protocol.key()
        self.aside = store.path / "_made"
        self.sizes = {label: data.source.summary()["test_a"] for label, data in plan.data.items()}
        self.labels = {label: i for i, label in enumerate(dict.fromkeys(spec.label for spec in plan.trials))}

    def finish(self, spec: TrialSpec) -> None:
        """Everything that a finished trial leaves, but its weights."""
        trial = self.store.trial(spec.id)
        rng = np.random.default_rng([self.labels[spec.label], spec.seed, *spec.data.encode()])
        quality = self.labels[spec.label] / len(self.labels) + 0.02 * rng.standard_normal()
        values = {"fid": 250 - 200 * quality, "kid": 0.3 * (1.2 - quality) ** 2}
        size = self.sizes[spec.data]
        if spec.scores_pairs:
            values |= {"lpips": 0.5 - 0.4 * quality, "ssim": 0.3 + 0.5 * quality, "psnr": 8 + 14 * quality}
            self._link(f"{spec.label}-{spec.seed}-{size}.npz", trial.path / "scores" / f"{self.key}.npz", size, rng)
        self._link(f"{size}.npy", trial.path / "outputs.npy", size, rng)
        if spec.trained:
            self._link("curves.jsonl", trial.path / "curves.jsonl", size, rng)
        stamp = {"name": "offline", "key": self.key, "warnings": [], "metrics": {m: {"revision": 1} for m in values}}
        _dump(trial.path / "scores" / f"{self.key}.json", {"key": self.key, "values": values, "protocol": stamp})
        _dump(trial.path / "spec.json", spec.to_json())
        _dump(trial.path / "result.json", {"id": spec.id, "cost": _cost(spec, quality), "flags": [], "provenance": {
            "packages": {"torch": "2.15.0"}, "hardware": {"device": "cpu", "cores": 2}, "git": {"revision": "made up"},
        }})  # fmt: skip

    def _link(self, name: str, place: Path, size: int, rng: np.random.Generator) -> None:
        """The file `name`, made once, under another name."""
        made = self.aside / name
        if not made.exists():
            made.parent.mkdir(parents=True, exist_ok=True)
            with made.open("wb") as file:
                if name.endswith(".npz"):
                    hard = np.random.default_rng(0).standard_normal(size)  # the same images are hard for every row
                    centre = rng.random()
                    np.savez_compressed(
                        file, **{m: centre + 0.1 * hard + 0.03 * rng.standard_normal(size) for m in PER_IMAGE}
                    )
                elif name.endswith(".npy"):
                    np.save(file, rng.integers(0, 255, (size, 32, 32, 3), dtype=np.uint8))
                else:
                    points = (
                        {"step": step, "seconds": step / 9} | {term: 1 / step + rng.random() for term in TERMS}
                        for step in range(10, 2001, 10)
                    )
                    file.writelines(f"{json.dumps(point)}\n".encode() for point in points)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(made)


def _dump(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def _cost(spec: TrialSpec, quality: float) -> dict[str, float | str]:
    if not spec.trained:
        return {"translate_images_per_second": 900.0}
    return {
        "parameters": 1e6 * (1.5 + quality), "train_seconds": 60 + 90 * quality, "images_per_second": 210.0,
        "translate_images_per_second": 900.0, "peak_memory_mb": 850.0, "device": "cpu", "steps": 2000,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("methods", 200), ("sets", 20), ("seeds", 5)):
        parser.add_argument(name, type=int, nargs="?", default=default)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="i2i-") as place:
        folder = (given.keep or Path(place)).absolute()
        file = folder / "benchmark.yaml"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            plan, store = benchmark.load(write(folder, given.methods, given.sets, given.seeds))
            maker, began = Maker(plan, store), time.perf_counter()
            for spec in plan.trials:
                maker.finish(spec)
            print(f"made {len(plan.trials):,} trials in {time.perf_counter() - began:.0f} s")
        before = 0.0
        for what in ("first", "again"):  # the first call decodes the data sets, as the run would have done long before
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "i2ibench", "report", file], check=True, cwd=folder)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            page = folder / "reports/scale/index.html"
            seconds = time.perf_counter() - began
            print(
                f"{what}: {seconds:.0f} s by the clock, {used.ru_utime + used.ru_stime - before:.0f} s of CPU, "
                f"{used.ru_maxrss / 1024:.0f} MB of memory; page {page.stat().st_size / 1e6:.1f} MB"
            )
            before = used.ru_utime + used.ru_stime


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()

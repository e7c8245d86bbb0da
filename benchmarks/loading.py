"""How fast training batches come: i2ibench's cache against the usual PIL DataLoader, on side-by-side JPEG files.

    python benchmarks/loading.py FOLDER     # FOLDER/train/*.jpg and FOLDER/test/*.jpg, each A|B
    python benchmarks/loading.py            # without one: 200 files of 512 x 256 from photographs of scikit-image
    python benchmarks/loading.py --size 64  # load at 72, crop 64
    python benchmarks/loading.py --threads 1

Both load at 286, crop 256 at random and mirror every other image, as pix2pix and CycleGAN do, and both may use all
cores: the DataLoader has a worker on each, and the batches come from as many threads, as in a trial with so many `cpus`
(a trial has one by default: `--threads 1`). The two take turns, and the ratio is that of a round; on a machine that
others use, raise this one's priority (`nice -n -15`), or the scheduler is what is measured.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional  # type: ignore[import-untyped]

from i2ibench import registry
from i2ibench.data.batches import Batches
from i2ibench.data.cache import load
from i2ibench.data.folder import Folder, FolderParams
from i2ibench.machine import cores
from i2ibench.method import Batch, Task
from i2ibench.turns import Turns

BATCH = 16
LOAD = {256: 286, 64: 72}  # by the size of the crop


class Usual(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """What the reference implementations do for each image of each epoch: decode, resize, crop, flip, to float."""

    def __init__(self, folder: Path, size: int) -> None:
        self.files, self.size = sorted((folder / "train").glob("*.jpg")), size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        with Image.open(self.files[i]) as file:
            both = file.convert("RGB")
        half = both.width // 2
        size, load_size = self.size, LOAD[self.size]
        top, left = (int(value) for value in torch.randint(0, load_size - size + 1, (2,)))
        flip = bool(torch.rand(1) < 0.5)
        pair = []
        for box in ((0, 0, half, both.height), (half, 0, 2 * half, both.height)):
            image = both.crop(box).resize((load_size, load_size), Image.Resampling.BICUBIC)
            image = image.crop((left, top, left + size, top + size))
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image
            pair.append(functional.to_tensor(image) * 2 - 1)
        return pair[0], pair[1]


def rate(work: Callable[[int], Any], seconds: float) -> float:
    """Pairs a second of `work(step)`, which makes one batch, once it runs."""
    for step in range(3):
        work(step)
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        work(3 + steps)
        steps += 1
    return steps * BATCH / (time.perf_counter() - started)


class UsualRate:
    """Pairs a second of a DataLoader with a worker on each core, epoch after epoch."""

    def __init__(self, folder: Path, size: int) -> None:
        self._loader = DataLoader(
            Usual(folder, size), BATCH, shuffle=True, num_workers=cores(), drop_last=True, persistent_workers=True
        )

        for _ in self._loader:  # the workers start
            pass

    def over(self, seconds: float) -> float:
        """Within whole epochs, and so idle afterwards."""
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            count += sum(BATCH for _ in self._loader)
        return count / (time.perf_counter() - started)


def waiting(batches: Batches, device: str, size: int, seconds: float = 10.0) -> tuple[float, float]:
    """Seconds of a training step of pix2pix's preset tiny, and the share of them that passes before it has its batch.

    That is as if nothing overlapped: where a GPU computes while the batch is made, it waits for less.
    """
    method_class = registry.method("pix2pix")
    params = {key: value for key, value in method_class.presets["tiny"].items() if key != "training"}
    method = method_class(method_class.Params(**params), Task(3, 3, size))
    turns, whole, waited, step = Turns(method.to(device)), 0.0, 0.0, -1
    while whole < seconds or step < 3:
        before = time.perf_counter()
        a, b = batches.at(step + 1)
        made = time.perf_counter()
        turns.step(method, Batch(a, b, 0.0, step + 1), BATCH)
        turns.means()  # waits for the device
        if step >= 0:  # the first is slower
            waited += made - before
            whole += time.perf_counter() - before
        step += 1
    return whole / step, waited / whole


def make_files(folder: Path, number: int = 200) -> None:
    """JPEG files of 512 x 256: two crops of photographs beside each other."""
    from skimage import data

    photos = [Image.fromarray(photo) for photo in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())]
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        for i in range(number if split == "train" else 2):
            both = Image.new("RGB", (512, 256))
            for x in (0, 256):
                photo = photos[rng.integers(len(photos))]
                left, top = (int(rng.integers(0, edge - 256, endpoint=True)) for edge in photo.size)
                both.paste(photo.crop((left, top, left + 256, top + 256)), (x, 0))
            both.save(folder / split / f"{i}.jpg", quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--size", type=int, choices=LOAD, default=256)
    parser.add_argument("--threads", type=int, default=cores(), help="that make batches; default: one for each core")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each way in a round")
    chosen = parser.parse_args()
    folder, size, load_size = chosen.folder, chosen.size, LOAD[chosen.size]
    with tempfile.TemporaryDirectory() as scratch:
        if folder is None:
            folder = Path(scratch, "photos")
            make_files(folder)
        torch.set_num_threads(chosen.threads)
        params = FolderParams(path=str(folder), layout="side-by-side", size=size, load_size=load_size, flip=True)
        started = time.perf_counter()
        images = load(Folder(params), Path(scratch, "cache"))
        built = time.perf_counter() - started
        device = "cuda" if torch.cuda.is_available() else "cpu"
        batches, last = (Batches(images, "paired", BATCH, 0, params, device) for _ in range(2))
        last.channels_last = True
        with Image.open(sorted((folder / "train").glob("*.jpg"))[0]) as file:
            left = file.convert("RGB").crop((0, 0, file.width // 2, file.height))
        same = np.array_equal(np.asarray(left.resize((load_size,) * 2, Image.Resampling.BICUBIC)), images.train_a[0])
        ways = {
            "float in [-1, 1]": batches.at,
            "the same, channels last": last.at,
            "bytes, mirrored on the device": batches.pixels,
            "bytes, as they leave for a GPU": Batches(images, "paired", BATCH, 0, unmirrored(params), device).pixels,
        }
        usual = UsualRate(folder, size)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(chosen.rounds):
            theirs = usual.over(2 * chosen.seconds)
            for name, way in ways.items():
                found[name].append((rate(way, chosen.seconds), theirs))
        step, share = waiting(batches, device, size)
    print(
        f"{cores()} cores, {device}; {len(images.train_a)} pairs of {load_size} pixels, "
        f"batches of {BATCH}, threads that make them: {chosen.threads}"
    )
    print(f"decoding into the cache, once            {len(images.train_a) / built:9.0f} pairs/s ({built:.1f} s)")
    rates = [theirs for _, theirs in found["float in [-1, 1]"]]
    print(f"PIL DataLoader, {cores():2} workers               {median(rates):9.0f} pairs/s")
    for name, pairs in found.items():
        ratios = [ours / theirs for ours, theirs in pairs]
        print(
            f"i2ibench, {name:30} {median([ours for ours, _ in pairs]):9.0f} pairs/s "
            f"({median(ratios):.1f} x, {min(ratios):.1f} to {max(ratios):.1f})"
        )
    print(f"a step of a tiny pix2pix waits for its batch {100 * share:.1f} % of its {1000 * step:.0f} ms")
    print(f"pixels are those that PIL gives: {same}; load {os.getloadavg()[0]:.1f}")


def unmirrored(params: FolderParams) -> FolderParams:
    """As images leave for a GPU, which mirrors them and cuts their rows to length."""
    return params.model_copy(update={"flip": False})


if __name__ == "__main__":
    main()
